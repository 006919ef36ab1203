"""How much of something may come in a second: pure, time is an argument."""

from __future__ import annotations


class RateLimit:
    """
    A bucket of tokens that fills at a rate and never beyond its size.

    Attributes:
        refused: how many did not pass so far.
    """

    def __init__(self, rate: float, size: float) -> None:
        """
        Args:
            rate: how many pass in a second in the long run [1/s].
            size: how many pass at once after a pause.
        """
        self.refused = 0
        self._rate = rate
        self._size = size
        self._tokens = size
        self._filled_at = float('-inf')

    def allows(self, now: float) -> bool:
        """Whether one more passes at ``now`` [s, monotonic]; it counts."""
        gained = (now - self._filled_at) * self._rate
        self._tokens = min(self._size, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1.0:
            self.refused += 1
            return False
        self._tokens -= 1.0
        return True
