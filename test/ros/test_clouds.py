import array
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import LaserScan, PointCloud2, PointField

from go2_webrtc_driver.protocol.messages import build_frame, parse_message
from go2_webrtc_driver.protocol.state import RobotPose
from go2_webrtc_driver.protocol.topics import Topic
from go2_webrtc_driver.protocol.voxel_map import VoxelMap, decode_voxel_map, encode_voxels
from go2_webrtc_driver.ros.clouds import to_laser_scan, to_point_cloud
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.wire.streams import VOXEL_MAP_RATE
from go2_webrtc_driver.sim.world import lidar

STAMP = Time(sec=7, nanosec=8)
LEVEL = (0.0, 0.0, 0.0, 1.0)
LEFT = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))  # turned by 90 degrees to the left
EMPTY = VoxelMap(np.empty((0, 3), np.float32), 0.05)


def map_of(*points, resolution=0.001):
    return VoxelMap(np.array(points, np.float32).reshape(-1, 3), resolution)


def scan(voxel_map, position=(0.0, 0.0, 0.0), orientation=LEVEL, **options):
    pose = RobotPose(1.0, position, orientation)
    return to_laser_scan(voxel_map, pose, STAMP, 'base_link', **options)


def beams(message):
    """Return {bearing in whole degrees: range} of the beams that met something."""
    return {
        round(math.degrees(message.angle_min + index * message.angle_increment)): distance
        for index, distance in enumerate(message.ranges)
        if math.isfinite(distance)
    }


def seen_by_the_simulated_lidar(pose):
    header, payload = encode_voxels(*lidar.scan(pose), lidar.RESOLUTION, 1.7e9)
    return decode_voxel_map(parse_message(build_frame(Topic.VOXEL_MAP.value, header, payload)))


def xyz(cloud):
    fields = {field.name: (np.dtype('<f4'), field.offset) for field in cloud.fields}
    record = np.dtype(
        {
            'names': list(fields),
            'formats': [kind for kind, _ in fields.values()],
            'offsets': [offset for _, offset in fields.values()],
            'itemsize': cloud.point_step,
        }
    )
    points = np.frombuffer(bytes(cloud.data), record, cloud.width * cloud.height)
    return np.stack([points[name] for name in 'xyz'], axis=1)


def test_a_clouds_bytes_are_the_points():
    cloud = to_point_cloud(map_of((1.0, 2.0, 3.0), (-0.5, 0.25, 1e-3)), STAMP, 'odom')
    assert (cloud.header.stamp, cloud.header.frame_id) == (STAMP, 'odom')
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 2, 12, 24)
    assert cloud.is_dense is True
    assert cloud.is_bigendian is False
    assert [(each.name, each.offset, each.datatype, each.count) for each in cloud.fields] == [
        ('x', 0, PointField.FLOAT32, 1),
        ('y', 4, PointField.FLOAT32, 1),
        ('z', 8, PointField.FLOAT32, 1),
    ]
    # 1.0, 2.0, 3.0 in IEEE 754, little endian
    assert bytes(cloud.data[:12]).hex() == '0000803f' + '00000040' + '00004040'
    assert xyz(cloud)[1] == pytest.approx([-0.5, 0.25, 1e-3])


def test_points_in_another_order_of_memory_become_the_same_bytes():
    points = np.array(((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), np.float32)
    columns = VoxelMap(np.asfortranarray(points), 0.05)
    assert xyz(to_point_cloud(columns, STAMP, 'odom')).tolist() == points.tolist()


def test_messages_survive_the_wire():
    cloud = to_point_cloud(map_of((1.0, 2.0, 0.0)), STAMP, 'odom')
    assert deserialize_message(serialize_message(cloud), PointCloud2) == cloud
    message = scan(map_of((2.0, 0.0, 0.0)))
    received = deserialize_message(serialize_message(message), LaserScan)
    assert received.ranges == message.ranges
    assert beams(received) == {0: pytest.approx(2.0)}


def test_numbers_are_handed_over_as_arrays():
    assert isinstance(to_point_cloud(EMPTY, STAMP, 'odom').data, array.array)
    assert isinstance(scan(EMPTY).ranges, array.array)


def test_an_empty_map_is_an_empty_cloud_and_a_scan_that_meets_nothing():
    cloud = to_point_cloud(EMPTY, STAMP, 'odom')
    assert (cloud.width, cloud.row_step, len(cloud.data)) == (0, 0, 0)
    assert list(scan(EMPTY).ranges) == [math.inf] * 360


def test_a_scan_is_a_whole_turn_without_a_beam_twice():
    message = scan(EMPTY)
    assert (message.header.stamp, message.header.frame_id) == (STAMP, 'base_link')
    assert message.angle_min == pytest.approx(-math.pi)
    assert message.angle_increment == pytest.approx(math.pi / 180)
    assert message.scan_time == pytest.approx(1 / VOXEL_MAP_RATE)
    assert message.time_increment == 0.0
    assert message.angle_max == pytest.approx(math.pi - math.pi / 180)
    assert (message.range_min, message.range_max) == (0.4, 3.2)
    assert len(scan(EMPTY, angle_increment=math.radians(0.5)).ranges) == 720
    assert len(scan(EMPTY, angle_increment=1.0).ranges) == 6


@pytest.mark.parametrize(
    ('point', 'bearing'),
    [
        ((2, 0, 0), 0),
        ((0, 2, 0), 90),
        ((0, -2, 0), -90),
        ((-2, 0, 0), -180),
        ((-2, -1e-4, 0), -180),
    ],
)
def test_beams_turn_counterclockwise_from_straight_behind(point, bearing):
    assert beams(scan(map_of(point))) == {bearing: pytest.approx(2.0, abs=1e-4)}


def test_a_wall_ahead_of_the_start_is_on_the_right_of_a_robot_turned_left():
    wall = map_of(*[(2.0, y / 20, 0.3) for y in range(-40, 41)], resolution=0.05)
    seen = beams(scan(wall, (0.5, 0.0, 0.3), LEFT))
    assert seen[-90] == pytest.approx(1.5)
    assert seen[-135] == pytest.approx(1.5 * math.sqrt(2), abs=0.05)
    assert seen[-45] == pytest.approx(1.5 * math.sqrt(2), abs=0.05)
    # Its ends, 2.0 m to either side, are 53.1 degrees from the middle, and a voxel spreads by 0.8.
    assert sorted(seen) == list(range(-90 - 54, -90 + 55))


def test_the_nearest_of_a_beam_counts():
    points = [(3.0, 0.0, 0.0), (1.0, 0.0, 0.1), (2.0, 0.0, 0.2)]
    assert beams(scan(map_of(*points))) == {0: pytest.approx(1.0)}
    assert beams(scan(map_of(*points[::-1]))) == {0: pytest.approx(1.0)}


def test_points_above_and_below_the_slice_do_not_count():
    points = map_of((1, 0, 0.84), (0, 1, 0.86), (-1, 0, 0.46), (0, -1, 0.44))
    assert beams(scan(points, (0.0, 0.0, 0.6))) == {
        0: pytest.approx(1.0), -180: pytest.approx(1.0)
    }  # fmt: skip
    assert sorted(beams(scan(points, (0.0, 0.0, 0.6), heights=(-0.2, 0.3)))) == [-180, -90, 0, 90]


def test_the_robots_own_body_and_what_is_far_away_do_not_count():
    points = map_of((0.39, 0, 0), (0, 0.41, 0), (-3.19, 0, 0), (0, -3.21, 0))
    assert sorted(beams(scan(points))) == [-180, 90]
    assert sorted(beams(scan(points, ranges=(0.1, 5.0)))) == [-180, -90, 0, 90]


def test_a_point_in_the_robots_very_middle_is_no_trouble():
    assert set(beams(scan(map_of((0, 0, 0)), ranges=(0.0, 5.0))).values()) <= {0.0}


def test_the_slice_follows_a_rolled_and_pitched_body():
    # Pitched down by 30 degrees: what is 1 m along the body's x lies 0.5 m lower in odom.
    pitched = (0.0, math.sin(math.radians(15)), 0.0, math.cos(math.radians(15)))
    ahead = map_of((math.cos(math.radians(30)), 0.0, -0.5), (1.0, 0.0, 0.0))
    assert beams(scan(ahead, orientation=pitched)) == {0: pytest.approx(1.0)}
    # Rolled right by 30 degrees: the body's left is 0.5 m higher 1 m away.
    rolled = (math.sin(math.radians(15)), 0.0, 0.0, math.cos(math.radians(15)))
    left = map_of((0.0, math.cos(math.radians(30)), 0.5), (0.0, 1.0, 0.0))
    assert beams(scan(left, orientation=rolled)) == {90: pytest.approx(1.0)}


def test_all_three_turns_apply_in_the_order_of_the_quaternion():
    # Yaw 90 then pitch down 90: the body's x is odom's -z, its y odom's -x, its z odom's y.
    half = 0.5
    tipped = (-half, half, half, half)
    assert beams(scan(map_of((0.0, 0.0, -2.0)), orientation=tipped)) == {0: pytest.approx(2.0)}
    assert beams(scan(map_of((-1.5, 0.0, 0.0)), orientation=tipped)) == {90: pytest.approx(1.5)}
    assert beams(scan(map_of((-1.5, 0.3, 0.0)), orientation=tipped)) == {}


def test_a_near_voxel_fills_every_beam_it_meets():
    # Half the diagonal of a voxel, 35 mm, is 4.0 degrees wide at 0.5 m and 1.0 at 2 m.
    assert sorted(beams(scan(map_of((0.5, 0, 0), resolution=0.05)))) == list(range(-4, 5))
    assert sorted(beams(scan(map_of((2, 0, 0), resolution=0.05)))) == [-1, 0, 1]


@pytest.mark.parametrize('slope', [0.0, 0.5, 1.0])
def test_a_wall_of_voxels_has_no_holes_however_it_runs(slope):
    """Seen from half a metre, its voxels are up to 6 beams apart."""
    along = np.arange(-60, 61)
    cells = np.stack([10 + np.round(np.abs(along) * slope), along, along * 0], axis=1)
    seen = scan(map_of(*(cells * 0.05), resolution=0.05), ranges=(0.3, 10.0))
    bearings = sorted(beams(seen))
    assert bearings == list(range(bearings[0], bearings[-1] + 1))


@pytest.mark.parametrize('yaw', [0.0, math.pi / 2, -2.0])
def test_the_simulated_robots_wall_is_where_it_is_in_cloud_and_scan(yaw):
    """Its face is at y = 3.0, 1.5 m from the robot; a voxel's middle is half a voxel behind."""
    pose = Pose(-1.0, 1.5, 0.32, yaw)
    cloud = xyz(to_point_cloud(seen_by_the_simulated_lidar(pose), STAMP, 'odom'))
    wall = cloud[(cloud[:, 0] > -3.4) & (cloud[:, 1] > 2.9) & (cloud[:, 2] > 0.1)]
    assert len(wall) > 1000
    assert wall[:, 1].min() == pytest.approx(3.025)
    assert wall[:, 1].max() < 3.1

    seen = scan(
        seen_by_the_simulated_lidar(pose),
        (pose.x, pose.y, pose.z),
        (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)),
    )
    bearing = math.degrees(math.pi / 2 - yaw)
    for aside in (-30, -15, 0, 15, 30):
        index = round(bearing + aside + 180) % 360
        exact = math.radians(index - 180 - bearing)
        assert seen.ranges[index] == pytest.approx(1.525 / math.cos(exact), abs=0.06)


def test_the_simulated_robots_floor_is_in_the_cloud_and_not_in_the_scan():
    pose = Pose(0.0, 0.0, 0.32, 0.0)
    voxel_map = seen_by_the_simulated_lidar(pose)
    assert xyz(to_point_cloud(voxel_map, STAMP, 'odom'))[:, 2].min() == pytest.approx(0.025)
    seen = beams(scan(voxel_map, (0.0, 0.0, 0.32)))
    # The nearest thing in the room is 2.25 m away: the corner of a box at (2.4, -1.3).
    assert min(seen.values()) > 2.0
