"""A planar velocity of the body."""

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
        yaw_rate: turn rate about +z [rad/s].

    Raises:
        InvalidCommand: a component is not a finite number.
    """

    x: float = 0.0
    y: float = 0.0
    yaw_rate: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x, self.y, self.yaw_rate))):
            raise InvalidCommand(f'expected finite speeds, got {self}')

    def limited_to(self, limit: Velocity) -> Velocity:
        """Return this velocity with the magnitude on each axis at most ``limit``'s."""
        return Velocity(
            _clamp(self.x, limit.x), _clamp(self.y, limit.y), _clamp(self.yaw_rate, limit.yaw_rate)
        )

    def approached_from(self, before: Velocity, step: Velocity) -> Velocity:
        """Return this velocity, on each axis at most ``step`` faster than ``before``."""
        return Velocity(
            _approach(self.x, before.x, step.x),
            _approach(self.y, before.y, step.y),
            _approach(self.yaw_rate, before.yaw_rate, step.yaw_rate),
        )

    def times(self, factor: float) -> Velocity:
        """Return this velocity times ``factor``."""
        return Velocity(self.x * factor, self.y * factor, self.yaw_rate * factor)

    @property
    def is_still(self) -> bool:
        """Whether a robot that reports this velocity counts as one that has stopped."""
        return max(abs(self.x), abs(self.y)) < STILL and abs(self.yaw_rate) < STILL_TURN


STILL, STILL_TURN = 0.05, 0.1  # m/s and rad/s, above the noise of a robot at rest
STOP = Velocity()


def _clamp(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def _approach(target: float, before: float, step: float) -> float:
    """Return ``target``, at most ``step`` farther from zero than ``before`` was on its side."""
    reached = abs(before) if target * before > 0.0 else 0.0
    return math.copysign(min(abs(target), reached + step), target)
