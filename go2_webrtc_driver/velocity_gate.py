"""Decides which velocity, if any, goes to the robot now."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import InvalidCommand


@dataclass(frozen=True)
class Velocity:
    """
    Planar body velocity (REP-103: x forward, y left, counterclockwise positive).

    Attributes:
        x: forward speed [m/s].
        y: leftward speed [m/s].
        yaw: turn rate about +z [rad/s].

    Raises:
        InvalidCommand: a component is not a finite number.
    """

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x, self.y, self.yaw))):
            raise InvalidCommand(f'expected finite speeds, got {self}')

    def limited_to(self, limit: Velocity) -> Velocity:
        """Return this velocity with the magnitude on each axis at most ``limit``'s."""
        return Velocity(
            _clamp(self.x, limit.x), _clamp(self.y, limit.y), _clamp(self.yaw, limit.yaw)
        )


STOP = Velocity()
EXPIRED = Velocity()  # equal to STOP, but another object: the end of a command


class VelocityGate:
    """
    Limits the commanded velocity and lets it expire.

    A command is repeated until it is ``timeout`` seconds old; then the robot is
    told to stop, once. Time is passed in, so the gate has no clock of its own.

    Attributes:
        limit: largest magnitude on each axis [m/s, m/s, rad/s]; may change at any time.
        timeout: age at which a command expires [s].
    """

    def __init__(self, limit: Velocity, timeout: float) -> None:
        self.limit = limit
        self.timeout = timeout
        self._target = STOP
        self._received_at: float | None = None

    def command(self, velocity: Velocity, now: float) -> None:
        """Take a new target at time ``now`` [s, monotonic]; it replaces the last one."""
        self._target = velocity
        self._received_at = now

    def clear(self) -> None:
        """Forget the command: nothing more is sent until the next one."""
        self._received_at = None

    def output(self, now: float) -> Velocity | None:
        """
        Return what to send at time ``now`` [s, monotonic]; None is silence.

        The one object ``EXPIRED`` says that the command has just expired.
        """
        if self._received_at is None:
            return None
        if now - self._received_at < self.timeout:
            return self._target.limited_to(self.limit)
        self._received_at = None
        return EXPIRED


def _clamp(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
