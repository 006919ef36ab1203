"""Decides which velocity, if any, goes to the robot now."""

from __future__ import annotations

from ..velocity import STOP, Velocity

EXPIRED = Velocity()  # equal to STOP, but another object: the end of a command
LONGEST_STEP = 0.2  # s; a longer pause between two outputs lets nobody speed up more
REPEAT_PERIOD = 0.05  # s, between two requests to stop: each shows sooner that one was lost
REPEAT_TIME = 2.0  # s, after which a stop that the robot does not follow is not repeated any more


class VelocityGate:
    """
    Limits the commanded velocity and how fast it grows, and lets it expire.

    A command is repeated until it is ``timeout`` seconds old; then the robot is
    told to stop. Slowing down takes no time, speeding up does. Time is passed in, so
    the gate has no clock of its own.

    Attributes:
        limit: largest magnitude on each axis [m/s, m/s, rad/s]; may change at any time.
        acceleration: by which the magnitude may grow [m/s^2, m/s^2, rad/s^2]; likewise.
        timeout: age at which a command expires [s].
    """

    def __init__(self, limit: Velocity, acceleration: Velocity, timeout: float) -> None:
        self.limit = limit
        self.acceleration = acceleration
        self.timeout = timeout
        self._target = STOP
        self._received_at: float | None = None
        self._last = STOP
        self._last_at = float('-inf')

    def command(self, velocity: Velocity, now: float) -> None:
        """Take a new target at time ``now`` [s, monotonic]; it replaces the last one."""
        self._target = velocity
        self._received_at = now

    def clear(self) -> None:
        """Forget the command: nothing more is sent until the next one."""
        self._received_at = None

    @property
    def is_moving(self) -> bool:
        """Whether a command is there that is no stop."""
        return self._received_at is not None and self._target != STOP

    def rest(self) -> None:
        """Note that the last output was not sent: the robot does not move yet."""
        self._last = STOP

    def output(self, now: float) -> Velocity | None:
        """
        Return what to send at time ``now`` [s, monotonic]; None is silence.

        The one object ``EXPIRED`` says that the command has just expired.
        """
        elapsed, self._last_at = min(now - self._last_at, LONGEST_STEP), now
        before, self._last = self._last, STOP
        if self._received_at is None:
            return None
        if now - self._received_at < self.timeout:
            wanted = self._target.limited_to(self.limit)
            self._last = wanted.approached_from(before, self.acceleration.times(elapsed))
            return self._last
        self._received_at = None
        return EXPIRED


class Stopping:
    """
    Repeats a stop until the robot's motion state shows it, or ``REPEAT_TIME`` is over.

    Time is passed in.
    """

    def __init__(self) -> None:
        self._begun_at: float | None = None
        self._told_at = 0.0

    def begin(self, now: float) -> None:
        """Note that the robot was told to stop at ``now`` [s, monotonic]."""
        self._begun_at = self._told_at = now

    def end(self) -> None:
        """Repeat it no more: something else is commanded."""
        self._begun_at = None

    def note(self, velocity: Velocity) -> None:
        """Take what the robot reports of its motion."""
        if velocity.is_still:
            self._begun_at = None

    def is_due(self, now: float) -> bool:
        """Whether to tell the robot again at ``now``; that counts as told."""
        if self._begun_at is None or now - self._told_at < REPEAT_PERIOD:
            return False
        self._told_at = now
        return True

    def is_vain(self, now: float) -> bool:
        """Whether the robot moves in spite of all; said once."""
        if self._begun_at is None or now - self._begun_at < REPEAT_TIME:
            return False
        self._begun_at = None
        return True
