"""The lidar's voxel map -> ROS messages: pure functions; an empty map makes an empty message."""

from __future__ import annotations

import array
import math

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import LaserScan, PointCloud2, PointField

from ..protocol.state import RobotPose
from ..protocol.voxel_map import VoxelMap
from .conversions import to_header

POINT_STEP = 12  # bytes: x, y, z as float32
# base_link of a standing robot is 0.32 m above the floor: from 0.17 m over it to above the back.
HEIGHTS = (-0.15, 0.25)  # m, in base_link
ANGLE_INCREMENT = math.radians(1.0)  # rad; a voxel 3 m away is about as wide
# Nothing of the robot (0.70 x 0.31 m) is farther than 0.38 m from its middle; the map ends
# 3.2 m from its own, and behind its end "nothing there" would be a guess.
RANGES = (0.4, 3.2)  # m
SCAN_TIME = 1.0 / 7.3  # s, between two maps, as recorded; all beams of one are of one instant


def to_point_cloud(voxel_map: VoxelMap, stamp: Time, frame_id: str) -> PointCloud2:
    """Return the points as PointCloud2, unordered; ``frame_id`` is the name of ``odom``."""
    points = voxel_map.points.astype('<f4', copy=False)
    message = PointCloud2(
        header=to_header(stamp, frame_id),
        height=1,
        width=len(points),
        fields=[
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate('xyz')
        ],
        is_bigendian=False,
        point_step=POINT_STEP,
        row_step=POINT_STEP * len(points),
        is_dense=True,
    )
    # As a keyword it would be copied element by element.
    message.data = array.array('B', points.tobytes())
    return message


def to_laser_scan(
    voxel_map: VoxelMap,
    pose: RobotPose,
    stamp: Time,
    frame_id: str,
    heights: tuple[float, float] = HEIGHTS,
    angle_increment: float = ANGLE_INCREMENT,
    ranges: tuple[float, float] = RANGES,
) -> LaserScan:
    """
    Return a slice of the map, seen from the robot, as a full turn of LaserScan.

    A voxel fills every beam it meets, so that a near wall has no holes; the nearest counts.
    The slice tilts with the body: with the defaults the floor enters it 3.2 m
    away when the body is pitched by 3 degrees.

    Args:
        voxel_map: in ``odom``.
        pose: of ``base_link`` in ``odom``.
        stamp: of the scan.
        frame_id: name of ``base_link``.
        heights: lowest and highest point that counts, in ``base_link`` [m].
        angle_increment: between beams [rad]; made to fit a turn a whole number of times.
        ranges: nearest, outside the robot's body, and farthest point that counts [m].

    Returns:
        Beams from -pi, counterclockwise; ``inf`` where nothing is within the limits (REP-117).
    """
    beams = round(2.0 * math.pi / angle_increment)
    step = 2.0 * math.pi / beams
    message = LaserScan(
        header=to_header(stamp, frame_id),
        angle_min=-math.pi,
        angle_max=-math.pi + (beams - 1) * step,
        angle_increment=step,
        scan_time=SCAN_TIME,
        range_min=ranges[0],
        range_max=ranges[1],
    )
    distances, bearings = _slice(voxel_map.points, pose, heights, ranges)
    radius = voxel_map.resolution / math.sqrt(2.0)  # reaches the corners: diagonals have no gaps
    nearest = _nearest(distances, bearings, np.arctan2(radius, distances), beams)
    message.ranges = array.array('f', nearest.astype(np.float32).tobytes())
    return message


def _slice(
    points: NDArray[np.float32],
    pose: RobotPose,
    heights: tuple[float, float],
    ranges: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distance [m] and bearing [rad] in ``base_link`` of the points within the limits."""
    rotation = _rotation(pose.orientation)
    # Axis by axis, heights first: a full map takes 12 ms, as a product of matrices 30 and more.
    offsets = [
        np.subtract(points[:, axis], pose.position[axis], dtype=np.float64) for axis in range(3)
    ]
    z = _along(offsets, rotation[:, 2])
    within = (z >= heights[0]) & (z <= heights[1])
    offsets = [each[within] for each in offsets]
    x, y = _along(offsets, rotation[:, 0]), _along(offsets, rotation[:, 1])
    distances = np.hypot(x, y)
    counts = (distances >= ranges[0]) & (distances <= ranges[1])
    return distances[counts], np.arctan2(y[counts], x[counts])


def _along(offsets: list[NDArray[np.float64]], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each point is along an axis of the body [m]."""
    x, y, z = offsets
    along: NDArray[np.float64] = x * axis[0] + y * axis[1] + z * axis[2]
    return along


def _rotation(orientation: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Return the matrix of a unit quaternion; its columns are the body's axes."""
    x, y, z, w = orientation
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    )


def _nearest(
    distances: NDArray[np.float64],
    bearings: NDArray[np.float64],
    spreads: NDArray[np.float64],
    beams: int,
) -> NDArray[np.float64]:
    """Return the smallest distance in each beam; a point fills its bearing -/+ spread."""
    per_radian = beams / (2.0 * math.pi)
    first = np.rint((bearings - spreads + math.pi) * per_radian).astype(np.int64)
    last = np.rint((bearings + spreads + math.pi) * per_radian).astype(np.int64)
    widths = last - first + 1
    within = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths)
    nearest = np.full(beams, np.inf)
    np.minimum.at(
        nearest, (np.repeat(first, widths) + within) % beams, np.repeat(distances, widths)
    )
    return nearest
