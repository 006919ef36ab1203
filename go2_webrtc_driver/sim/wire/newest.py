"""A list that does not grow for ever."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar('T')

MOST_KEPT = 100_000  # over an hour of velocities at 20 Hz, about 30 MB in both of a robot


class Newest(list[T]):
    """A list in which :meth:`append` keeps the newest ``MOST_KEPT``, as a robot runs for days."""

    def append(self, item: T) -> None:
        """Add an item at the end; what is then too many goes from the beginning."""
        super().append(item)
        del self[:-MOST_KEPT]
