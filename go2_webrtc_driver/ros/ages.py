"""
How old a received message is, however far the clocks of the two machines are apart.

DDS carries the time of ``publish()``. The difference between that and our own clock is the
age and the difference of the clocks; the smallest one seen of a publisher was (nearly) only
the latter. So a message is as old as its difference is above that smallest one.

What this cannot see: a delay that all messages of a publisher have had from the first on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WINDOW, FEWEST = 10.0, 50  # s and messages, over which a smallest difference must be found again
MOST_PUBLISHERS = 16
DRIFT = 1e-4  # of two clocks against each other; a night may lie between two Twists
NANO = 1e-9
NEVER = float('inf')

Clocks = tuple[float, float]


def clocks() -> Clocks:
    """Return the time of day, and one that nobody sets and that goes on in a suspend [s]."""
    return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class _Smallest:
    """
    The smallest difference of one pair of clocks, of the last two windows.

    A burst of what has waited does not end a window: that takes time and many messages.
    """

    before: float = NEVER
    here: float = NEVER
    count: int = 0
    since: float = 0.0
    noted_at: float = 0.0

    def note(self, difference: float, now: float) -> float:
        """Take a difference [s] at ``now`` [s]; return how far it is above the smallest."""
        if self.count >= FEWEST and now - self.since >= WINDOW:
            self.before, self.here, self.count = self.here, NEVER, 0
        if not self.count:
            self.since = now
        drift = DRIFT * (now - self.noted_at) if self.count or self.before < NEVER else 0.0
        self.here, self.before, self.noted_at = self.here + drift, self.before + drift, now
        self.count += 1
        self.here = min(self.here, difference)
        return difference - min(self.here, self.before)


@dataclass(eq=False)
class _Publisher:
    """One publisher: the number of its last message, and its clock against two of ours."""

    sequence: int  # 0 where the middleware does not count
    by_day: _Smallest = field(default_factory=_Smallest)
    by_boot: _Smallest = field(default_factory=_Smallest)


class Ages:
    """The ages of the messages of one topic, by publisher."""

    def __init__(self) -> None:
        self._publishers: list[_Publisher] = []

    def age(self, info: Mapping[str, Any], now: Clocks) -> float:
        """
        Return how old a message is [s].

        A clock of ours that is set makes nothing old: the smaller of the ages by our two clocks
        counts. A publisher's clock that is set back does, for two windows.

        Args:
            info: of rclpy, about the message.
            now: what :func:`clocks` returns.
        """
        publisher = self._publisher_of(int(info.get('publication_sequence_number') or 0))
        sent = info['source_timestamp'] * NANO
        day, boot = now
        by_day = publisher.by_day.note(day - sent, boot)
        return min(by_day, publisher.by_boot.note(boot - sent, boot))

    def _publisher_of(self, sequence: int) -> _Publisher:
        """Find the publisher by its running number: rclpy does not tell who it is."""
        known = self._publishers  # the one that was heard last is the last
        earlier = [each for each in known if each.sequence < sequence or not sequence]
        if earlier:
            found = max(reversed(earlier), key=lambda each: each.sequence)
            known.remove(found)
        else:
            found = _Publisher(sequence)
        found.sequence = sequence
        self._publishers = [*known[1 - MOST_PUBLISHERS :], found]
        return found
