"""
The simulated lidar: which voxels around the robot are occupied.

Space is cut into cells of one grid that is fixed in ``odom``, so a map taken from another
place shows the same cells. As on a recorded robot (origin -3.775, -4.975, -0.575), the map's
origin is the middle of its first cell. Nothing hides anything: walls behind boxes are seen.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...protocol.voxel_map import SIDE
from ..pose import Pose
from .world import WORLD, Box

RESOLUTION = 0.05  # m
LAYERS = 38
LOWEST = -12  # cell of the lowest layer; its middle is at -0.575 m
REACH = 3.0  # m, of the floor that is seen
DENSITY = 0.85  # share of a surface's cells that echo; makes LZ4 work as on a real map

Voxels = NDArray[np.bool_]
Vector = tuple[float, float, float]


def scan(pose: Pose) -> tuple[Voxels, Vector]:
    """
    Return the voxels that are occupied around ``pose``: walls, boxes, and the floor near by.

    Returns:
        Occupancy, shape (38, 128, 128), indexed z, y, x; and the middle of voxel
        (0, 0, 0) in ``odom`` [m], on a grid that does not move with the robot.
    """
    first = np.array((LOWEST, _cell(pose.y) - SIDE // 2, _cell(pose.x) - SIDE // 2))
    voxels = np.zeros((LAYERS, SIDE, SIDE), np.bool_)
    voxels[-LOWEST] = _FLOOR
    for box in WORLD:
        _add_shell(voxels, box, first)
    voxels &= np.roll(_ECHOES, (-first[1], -first[2]), axis=(1, 2))
    z, y, x = (round(float(cell + 0.5) * RESOLUTION, 6) for cell in first)
    return voxels, (x, y, z)


def _cell(at: float) -> int:
    """Return the cell a coordinate [m] is in; a border belongs to the upper one."""
    return math.floor(at / RESOLUTION + 1e-6)


def _add_shell(voxels: Voxels, box: Box, first: NDArray[np.int64]) -> None:
    """Mark the surface of ``box`` where it lies within the map that begins at ``first``."""
    low = np.array([_cell(at) for at in box.low[::-1]]) - first
    high = -np.array([_cell(-at) for at in box.high[::-1]]) - first
    voxels[_region(low, high)] = True
    voxels[_region(low + 1, high - 1)] = False


def _region(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[slice, ...]:
    shape = (LAYERS, SIDE, SIDE)
    return tuple(map(slice, np.clip(low, 0, shape), np.clip(high, 0, shape)))


def _disc() -> Voxels:
    """Return the cells of a layer that are within ``REACH`` of its middle."""
    away = (np.arange(SIDE) - SIDE // 2) * RESOLUTION
    near: Voxels = np.hypot(away[:, None], away) <= REACH
    return near


_FLOOR = _disc()
_ECHOES = np.random.default_rng(0).random((LAYERS, SIDE, SIDE)) < DENSITY
