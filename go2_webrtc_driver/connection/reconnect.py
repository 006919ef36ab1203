"""When to try again, as pure functions of the error."""

from __future__ import annotations

import random
from collections.abc import Iterator

from ..errors import LinkBusy, LinkError, LinkRefused

FIRST_DELAY = 0.5  # s
FACTOR = 1.8
LONGEST_DELAY = 15.0  # s; a robot boots in about a minute, the driver should notice
OPERATOR_DELAY = 10.0  # s; a person closes an app no faster


def delays(rng: random.Random) -> Iterator[float]:
    """Yield the waits between attempts [s]: exponential, jittered, capped."""
    delay = FIRST_DELAY
    while True:
        yield delay * rng.uniform(0.8, 1.2)
        delay = min(delay * FACTOR, LONGEST_DELAY)


def needs_operator(error: LinkError) -> bool:
    """Tell whether waiting alone will not help: log it as an error, try slowly."""
    return isinstance(error, (LinkBusy, LinkRefused))
