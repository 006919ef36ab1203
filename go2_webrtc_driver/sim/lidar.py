"""The simulated lidar: which voxels around the robot are occupied."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..protocol.voxel_map import SIDE
from .pose import Pose
from .world import WORLD, Box

RESOLUTION = 0.05  # m
LAYERS = 38
LOWEST = -0.575  # m, z of the lowest layer, as on a recorded robot
REACH = 2.5  # m, of the floor that is seen

Voxels = NDArray[np.bool_]
Vector = tuple[float, float, float]


def scan(pose: Pose) -> tuple[Voxels, Vector]:
    """
    Return the voxels that are occupied around ``pose``: walls, boxes, and the floor near by.

    Returns:
        Occupancy, shape (38, 128, 128), indexed z, y, x; and the position of voxel
        (0, 0, 0) in ``odom`` [m], on a grid that does not move with the robot.
    """
    half = SIDE // 2
    origin = (
        (round(pose.x / RESOLUTION) - half) * RESOLUTION,
        (round(pose.y / RESOLUTION) - half) * RESOLUTION,
        LOWEST,
    )
    voxels = np.zeros((LAYERS, SIDE, SIDE), np.bool_)
    near = round(REACH / RESOLUTION)
    voxels[_index(0.0, LOWEST), half - near : half + near, half - near : half + near] = True
    for box in WORLD:
        _add_shell(voxels, box, origin)
    return voxels, origin


def _index(at: float, start: float) -> int:
    return int(np.floor((at - start) / RESOLUTION + 0.5))


def _add_shell(voxels: Voxels, box: Box, origin: Vector) -> None:
    """Mark the surface of ``box`` where it lies within the map."""
    x0, y0, z0 = (_index(a, o) for a, o in zip(box.low, origin, strict=True))
    x1, y1, z1 = (_index(a, o) for a, o in zip(box.high, origin, strict=True))
    outer = (_within(z0, z1, LAYERS), _within(y0, y1, SIDE), _within(x0, x1, SIDE))
    hidden = voxels[outer].copy()
    voxels[outer] = True
    inside = tuple(
        slice(max(0, low + 1 - at.start), max(0, high - at.start))
        for (low, high), at in zip(((z0, z1 - 1), (y0, y1 - 1), (x0, x1 - 1)), outer, strict=True)
    )
    voxels[outer][inside] = hidden[inside]


def _within(low: int, high: int, size: int) -> slice:
    return slice(min(max(low, 0), size), min(max(high, 0), size))
