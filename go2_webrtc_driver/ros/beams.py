"""
Beams of a laser scanner, cast into the lidar's voxel map: pure functions of arrays.

Seen from above, every voxel of a slice of the map is a square of odom's grid. A beam ends
where it enters the first of them: no beam sees through a voxel, and a straight wall stays as
straight as its voxels are, from wherever it is seen, also by a robot that leans.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..protocol.state import RobotPose
from ..protocol.voxel_map import VoxelMap

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flat = tuple[Floats, Floats]  # components along two axes

UPRIGHT = 0.5  # cosine of the tilt beyond which the plane of the beams rather stands than lies
OVERLAP = 1e-6  # m, by which squares are larger, so that no beam slips through between two
TINY = 1e-12  # instead of 0 where something is divided by it
MOST_CELLS = 1 << 20  # of a grid; a robot's has 16 384. In a larger one squares come repeatedly.


@dataclass(frozen=True)
class Limits:
    """
    What beams can meet.

    Attributes:
        heights: lowest and highest point, in ``base_link`` [m].
        body: length and width of the robot, ``base_link`` in its middle [m]. A voxel whose
            middle is within is the robot's own, and beams begin at the border.
        farthest: longest range [m].
    """

    heights: tuple[float, float]
    body: tuple[float, float]
    farthest: float


def cast_beams(voxel_map: VoxelMap, pose: RobotPose, beams: int, limits: Limits) -> Floats:
    """
    Return the range of each beam [m], from -pi in ``base_link``, counterclockwise.

    Args:
        voxel_map: in ``odom``.
        pose: of ``base_link`` in ``odom``.
        beams: how many make a turn.
        limits: what they can meet.

    Returns:
        ``inf`` where there is nothing; ``nan``, unknown, if the robot is tilted by over 60
        degrees.
    """
    rotation, edge = _rotation(pose.orientation), voxel_map.resolution
    if rotation[2, 2] < UPRIGHT:
        return np.full(beams, np.nan)
    points = _slice(voxel_map.points, pose.position, rotation[:, 2], limits.heights)
    squares = _outside(_to_plane(_squares(points, edge), rotation), edge, limits)
    half = edge / 2.0 + OVERLAP
    square, beam = _pairs(squares, half * math.sqrt(2.0) / rotation[2, 2], beams)
    directions = _directions(beams)
    begins = _border(directions, limits.body)
    x, y = _to_odom(squares, rotation)
    toward_x, toward_y = map(_not_zero, _to_odom(directions, rotation))
    along_x = _crossing(x[square], toward_x[beam], half)
    along_y = _crossing(y[square], toward_y[beam], half)
    return _nearest(along_x, along_y, begins, beam, limits.farthest)


def _rotation(orientation: tuple[float, float, float, float]) -> Floats:
    """Return the matrix of a unit quaternion; its columns are the body's axes."""
    x, y, z, w = orientation
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    )


def _slice(
    points: NDArray[np.float32],
    position: tuple[float, float, float],
    up: Floats,
    heights: tuple[float, float],
) -> Flat:
    """Return where the points of the slice are from the robot, along odom's x and y [m]."""
    # Axis by axis: arrays of shape (N, 2) and (N, 3) take numpy three times as long.
    height, x, y = (points[:, axis] * np.float32(up[axis]) for axis in (2, 0, 1))
    height += x
    height += y
    base = float(np.dot(position, up))
    within = (height >= base + heights[0]) & (height <= base + heights[1])
    x, y = (
        np.subtract(points[:, axis][within], position[axis], dtype=np.float64) for axis in (0, 1)
    )
    return x, y


def _squares(points: Flat, edge: float) -> Flat:
    """Return the middles of the squares that the points are in, each once [m]."""
    x, y = points
    if not x.size:
        return points
    left, low = x.min(), y.min()
    column = np.rint((x - left) / edge).astype(np.int64)
    row = np.rint((y - low) / edge).astype(np.int64)
    columns, rows = int(column.max()) + 1, int(row.max()) + 1
    if columns * rows <= MOST_CELLS:
        occupied = np.zeros(columns * rows, np.bool_)
        occupied[column * rows + row] = True
        column, row = np.divmod(np.flatnonzero(occupied), rows)
    return column * edge + left, row * edge + low


def _to_plane(flat: Flat, rotation: Floats) -> Flat:
    """Return what is straight above or below in the plane of the beams, along the body's axes."""
    (a, b), (c, d) = rotation[:2, :2]
    x, y = flat
    return (d * x - b * y) / rotation[2, 2], (a * y - c * x) / rotation[2, 2]


def _to_odom(flat: Flat, rotation: Floats) -> Flat:
    """Undo :func:`_to_plane`."""
    (a, b), (c, d) = rotation[:2, :2]
    x, y = flat
    return a * x + b * y, c * x + d * y


def _outside(squares: Flat, edge: float, limits: Limits) -> Flat:
    """Return the squares that are not the robot's own, and not too far."""
    x, y = squares
    length, width = limits.body
    counts = (np.abs(x) > length / 2.0) | (np.abs(y) > width / 2.0)
    counts &= np.hypot(x, y) < limits.farthest + 2.0 * edge
    return x[counts], y[counts]


def _pairs(squares: Flat, radius: float, beams: int) -> tuple[Indices, Indices]:
    """Return squares and the beams that may meet them: those through a circle around each."""
    x, y = squares
    distances = np.maximum(np.hypot(x, y), radius)
    spreads = np.where(distances > radius, np.arcsin(radius / distances), math.pi)
    per_radian = beams / (2.0 * math.pi)
    middles, spreads = (np.arctan2(y, x) + math.pi) * per_radian, spreads * per_radian
    first = np.ceil(middles - spreads).astype(np.int64)
    counts = np.floor(middles + spreads).astype(np.int64) - first + 1
    square = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return square, (np.arange(len(square)) + (first - before)[square]) % beams


@functools.lru_cache(maxsize=1)
def _directions(beams: int) -> Flat:
    """Return the beams' directions along the body's axes; no component is zero."""
    angles = np.arange(beams) * (2.0 * math.pi / beams) - math.pi
    return _not_zero(np.cos(angles)), _not_zero(np.sin(angles))


def _not_zero(numbers: Floats) -> Floats:
    return np.where(np.abs(numbers) < TINY, TINY, numbers)


def _border(directions: Flat, body: tuple[float, float]) -> Floats:
    """Return where beams leave the robot's body [m]."""
    x, y = directions
    return np.minimum(body[0] / 2.0 / np.abs(x), body[1] / 2.0 / np.abs(y))


def _crossing(middles: Floats, toward: Floats, half: float) -> Flat:
    """Return where beams enter and leave the strips that are ``half`` to both sides [m]."""
    ways, halves = middles / toward, half / np.abs(toward)
    return ways - halves, ways + halves


def _nearest(
    along_x: Flat, along_y: Flat, begins: Floats, beam: Indices, farthest: float
) -> Floats:
    """Return where each beam is first in both strips of a square [m], or ``inf``."""
    enters = np.maximum(np.maximum(along_x[0], along_y[0]), begins[beam])
    met = enters <= np.minimum(np.minimum(along_x[1], along_y[1]), farthest)
    nearest = np.full(len(begins), np.inf)
    np.minimum.at(nearest, beam[met], enters[met])
    return nearest
