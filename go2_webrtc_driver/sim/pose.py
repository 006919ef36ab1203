"""Where the simulated robot's body is."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pose:
    """
    Pose of ``base_link`` in ``odom`` (REP-103; level: no roll, no pitch).

    Attributes:
        x: forward at start [m].
        y: left at start [m].
        z: height of the body above the floor [m].
        yaw: heading, counterclockwise positive [rad].
    """

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0

    @property
    def quaternion(self) -> tuple[float, float, float, float]:
        """Orientation as (x, y, z, w)."""
        return 0.0, 0.0, math.sin(self.yaw / 2), math.cos(self.yaw / 2)
