"""Decides which velocity, if any, goes to the robot now: pure, time is an argument."""

from __future__ import annotations

from enum import Enum

from ..velocity import STOP, Velocity

LONGEST_STEP = 0.2  # s; a longer pause between two outputs allows no larger step of speed
REPEAT_PERIOD = 0.05  # s, between two requests to stop: each shows sooner that one was lost
PATIENCE = 2.0  # s, for a robot to begin to move
MOVED = 0.05  # m or rad, beyond the noise of a robot that stands
ON_ITS_WAY = 0.2  # s, for which what the robot reports may be older than a stop
REPEAT_TIME = 2.0  # s, after which a stop that the robot does not follow is not repeated any more


class NoVelocity(Enum):
    """What a gate says instead of a velocity."""

    NOTHING = 'nothing is commanded'
    EXPIRED = 'the command has just expired: stop'


class VelocityGate:
    """
    Limits the commanded velocity and how fast it grows, and lets it expire.

    A command is repeated until it is ``timeout`` seconds old; then the robot is
    told to stop. Slowing down takes no time, speeding up does.

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
        self._given_at: float | None = None
        self._last = STOP
        self._last_at = float('-inf')

    def command(self, velocity: Velocity, given_at: float) -> None:
        """Take a new target, given at a time [s, monotonic]; it replaces the last one."""
        self._target = velocity
        self._given_at = given_at

    def clear(self) -> None:
        """Forget the command: nothing more is sent until the next one."""
        self._given_at = None

    @property
    def target(self) -> Velocity:
        """What is commanded, before any limit; a stop if nothing is."""
        return STOP if self._given_at is None else self._target

    def rest(self) -> None:
        """Note that the last output was not sent: the robot does not move yet."""
        self._last = STOP

    def output(self, now: float) -> Velocity | NoVelocity:
        """Return what to send at time ``now`` [s, monotonic]."""
        elapsed, self._last_at = min(now - self._last_at, LONGEST_STEP), now
        before, self._last = self._last, STOP
        if self._given_at is None:
            return NoVelocity.NOTHING
        if now - self._given_at >= self.timeout:
            self._given_at = None
            return NoVelocity.EXPIRED
        wanted = self._target.limited_to(self.limit)
        self._last = wanted.approached_from(before, self.acceleration.times(elapsed))
        return self._last


class Stopping:
    """Repeats a stop until the robot's motion state shows it, or ``REPEAT_TIME`` is over."""

    def __init__(self) -> None:
        self._begun_at: float | None = None
        self._told_at = 0.0
        self._is_seen = False

    def begin(self, now: float) -> None:
        """Note that the robot was told to stop at ``now`` [s, monotonic]."""
        self._begun_at = self._told_at = now
        self._is_seen = False

    def end(self) -> None:
        """Repeat it no more: something else is commanded."""
        self._begun_at = None

    def note(self, velocity: Velocity, now: float) -> None:
        """Take what the robot reports of its motion; just after a stop that may be older."""
        if self._begun_at is None or now - self._begun_at < ON_ITS_WAY:
            return
        self._is_seen = True
        if velocity.is_still:
            self._begun_at = None

    def is_due(self, now: float) -> bool:
        """Whether to tell the robot again at ``now``; that counts as told."""
        if self._begun_at is None or now - self._told_at < REPEAT_PERIOD:
            return False
        self._told_at = now
        return True

    def has_failed(self, now: float) -> bool:
        """Whether the robot still moves after all that time; true once for each stop."""
        if self._begun_at is None or now - self._begun_at < REPEAT_TIME:
            return False
        self._begun_at = None
        return self._is_seen


class Following:
    """Whether the robot moves at all when it is told to walk."""

    def __init__(self) -> None:
        self._told_at: float | None = None
        self._seen: tuple[float, ...] | None = None

    def tell(self, velocity: Velocity, now: float) -> None:
        """Note what the robot is told at ``now`` [s, monotonic]."""
        if velocity.is_still:
            self._told_at = None
        elif self._told_at is None:
            self._told_at, self._seen = now, None

    def see(self, velocity: Velocity, pose: tuple[float, ...], now: float) -> None:
        """
        Take what the robot reports at ``now``.

        Args:
            velocity: of the body; some robots always report zeros.
            pose: x, y [m] and yaw [rad] of the body.
            now: [s, monotonic].
        """
        if self._told_at is None:
            return
        if self._seen is None:
            self._seen = pose
        shift = max(abs(a - b) for a, b in zip(pose, self._seen, strict=True))
        if not velocity.is_still or shift > MOVED:
            self._told_at, self._seen = now, pose

    def fails(self, now: float) -> bool:
        """Whether the robot has been told to walk for a while, and has not moved."""
        is_told = self._told_at is not None and now - self._told_at > PATIENCE
        return is_told and self._seen is not None
