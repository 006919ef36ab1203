"""What a service of the simulated robot answers, and how it reads what it is asked."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from ...protocol.topics import Status


@dataclass(frozen=True)
class Reply:
    """
    What a service answers.

    Attributes:
        status: 0, or what is wrong.
        content: what was asked for; None for nothing. It goes out as JSON in a string.
        silent: the service carries the request out and says nothing.
    """

    status: Status = Status.OK
    content: Any = None
    silent: bool = False

    @property
    def text(self) -> str:
        """The ``data`` of the response."""
        return '' if self.content is None else json.dumps(self.content)


BAD_PARAMETER = Reply(Status.BAD_PARAMETER)


def read(parameter: str) -> Any:
    """Return the content of a request's parameter; None if it is none, or not JSON."""
    try:
        return json.loads(parameter)
    except (ValueError, RecursionError):
        return None


def field(parameter: str, name: str) -> Any:
    """Return a field of a request's parameter; None if there is none."""
    content = read(parameter)
    return content.get(name) if isinstance(content, dict) else None


def numbers(content: Any, names: str | tuple[str, ...]) -> tuple[float, ...] | None:
    """Return fields of ``content`` if all are finite numbers."""
    try:
        found = tuple(float(content[name]) for name in names)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    return found if all(map(math.isfinite, found)) else None
