"""The lidar's voxel map -> ROS messages: pure functions; an empty map makes an empty message."""

from __future__ import annotations

import array
import math

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import LaserScan, PointCloud2, PointField

from ..protocol.state import RobotPose
from ..protocol.voxel_map import VoxelMap
from .beams import Limits, cast_beams
from .conversions import to_header

POINT_STEP = 12  # bytes: x, y, z as float32
# base_link of a standing robot is 0.32 m above the floor: from 0.17 m over it to above the back.
HEIGHTS = (-0.15, 0.25)  # m, in base_link
ANGLE_INCREMENT = math.radians(1.0)  # rad; a voxel 3 m away is about as wide
BODY = (0.70, 0.31)  # m, along x and y, as Unitree tells it; base_link is in its middle
FARTHEST = 3.2  # m; the map's end, from its middle: behind it "nothing there" would be a guess
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
    body: tuple[float, float] = BODY,
    farthest: float = FARTHEST,
) -> LaserScan:
    """
    Return a slice of the map, seen from the robot, as a full turn of LaserScan.

    A beam ends where it enters the first square that a voxel of the slice fills, seen from
    above. The slice tilts with the body: with the defaults the floor enters it 3.2 m away when
    the body is pitched by 3 degrees.

    Args:
        voxel_map: in ``odom``.
        pose: of ``base_link`` in ``odom``.
        stamp: of the pose.
        frame_id: name of ``base_link``.
        heights: lowest and highest point that counts, in ``base_link`` [m].
        angle_increment: between beams [rad]; made to fit a turn a whole number of times.
        body: length and width of the robot [m]; a voxel whose middle is within is its own, and
            beams begin at the border.
        farthest: longest range that counts [m].

    Returns:
        Beams from -pi, counterclockwise; ``inf`` where nothing is within the limits (REP-117);
        ``nan``, unknown, if the robot is tilted by over 60 degrees.
    """
    beams = round(2.0 * math.pi / angle_increment)
    step = 2.0 * math.pi / beams
    message = LaserScan(
        header=to_header(stamp, frame_id),
        angle_min=-math.pi,
        angle_max=-math.pi + (beams - 1) * step,
        angle_increment=step,
        scan_time=SCAN_TIME,
        range_min=min(body) / 2.0,
        range_max=farthest,
    )
    ranges = cast_beams(voxel_map, pose, beams, Limits(heights, body, farthest))
    message.ranges = array.array('f', ranges.astype(np.float32).tobytes())
    return message
