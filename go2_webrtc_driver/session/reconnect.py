"""When to try again and what of it is news: pure, time and randomness are arguments."""

from __future__ import annotations

import random
from collections.abc import Iterator

from ..errors import LinkBusy, LinkError, LinkRefused

FIRST_DELAY = 0.5  # s
FACTOR = 1.8
LONGEST_DELAY = 15.0  # s; a robot boots in about a minute, the driver should notice
OPERATOR_DELAY = 10.0  # s; a person closes an app no faster
SLOT_HELD = 20.0  # s, for which a robot may keep its only slot for our lost link; a guess


class Outage:
    """
    One time without a link: how long to wait before each attempt, and what of it is news.

    Each link over which the robot was heard ends one; so the waits grow until there is data.
    """

    def __init__(self, rng: random.Random, lost_at: float = float('-inf')) -> None:
        """
        Args:
            rng: spreads the attempts of several drivers.
            lost_at: when our own link was lost [s, monotonic]; by default there was none.
        """
        self._delays = delays(rng)
        self._lost_at = lost_at
        self._told: set[type[LinkError]] = set()

    @property
    def is_new(self) -> bool:
        """Whether nothing has been told of it yet."""
        return not self._told

    def delay(self, error: LinkError, now: float) -> float:
        """Return how long to wait after ``error`` at ``now`` [s]."""
        return OPERATOR_DELAY if self.needs_operator(error, now) else next(self._delays)

    def needs_operator(self, error: LinkError, now: float) -> bool:
        """
        Tell whether waiting alone will not help: log it as an error, try slowly.

        Just after a loss the client that the robot serves may be ourselves.
        """
        if isinstance(error, LinkBusy):
            return now - self._lost_at > SLOT_HELD
        return isinstance(error, LinkRefused)

    def is_news(self, error: LinkError) -> bool:
        """Tell whether this kind of error is the first one of the outage."""
        is_news = type(error) not in self._told
        self._told.add(type(error))
        return is_news


def delays(rng: random.Random) -> Iterator[float]:
    """Yield the waits between attempts [s]: exponential, jittered, capped."""
    delay = FIRST_DELAY
    while True:
        yield delay * rng.uniform(0.8, 1.2)
        delay = min(delay * FACTOR, LONGEST_DELAY)
