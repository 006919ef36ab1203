import array
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import LaserScan, PointCloud2, PointField

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.protocol.messages import build_frame, parse_message
from go2_webrtc_driver.protocol.state import RobotPose
from go2_webrtc_driver.protocol.topics import Topic
from go2_webrtc_driver.protocol.voxel_map import VoxelMap, decode_voxel_map, encode_voxels
from go2_webrtc_driver.ros.clouds import to_laser_scan, to_point_cloud
from go2_webrtc_driver.ros.publications import PUBLICATIONS, Context
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.wire.streams import VOXEL_MAP_RATE
from go2_webrtc_driver.sim.world import lidar

STAMP = Time(sec=7, nanosec=8)
LEVEL = (0.0, 0.0, 0.0, 1.0)
VOXEL = 0.05  # m
CORNERS = ((-1, -1, 1, 1), (-1, 1, -1, 1))
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


def turned(yaw):
    """Return the quaternion of a turn to the left."""
    return 0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)


def leaning(roll, pitch):
    """Return the quaternion of a body that is first pitched down, then rolled to its right."""
    rolled = (math.sin(roll / 2), 0.0, 0.0, math.cos(roll / 2))
    return times((0.0, math.sin(pitch / 2), 0.0, math.cos(pitch / 2)), rolled)


def times(first, second):
    """Return the product of two quaternions."""
    (*a, s), (*b, t) = np.array(first), np.array(second)
    vector = s * np.array(b) + t * np.array(a) + np.cross(a, b)
    return (*map(float, vector), float(s * t - np.dot(a, b)))


def matrix(quaternion):
    """Return its matrix, by turning each axis."""
    *vector, scalar = quaternion
    conjugate = (*(-each for each in vector), scalar)
    axes = [times(times(quaternion, (*axis, 0.0)), conjugate)[:3] for axis in np.eye(3)]
    return np.array(axes).T


def wall(angle, distance, shift=(0.0, 0.0)):
    """
    Return the middles of the voxels that a thin wall of 6.4 m meets, shape (N, 3) [m].

    Args:
        angle: of the wall to odom's x [rad]; it is on the left of who looks along it from 0, 0.
        distance: of it from 0, 0 [m].
        shift: of the grid [m].
    """
    along = np.arange(-3.2, 3.2, 1e-3)
    x = along * math.cos(angle) - distance * math.sin(angle)
    y = along * math.sin(angle) + distance * math.cos(angle)
    cells = np.unique(np.floor((np.stack([x, y], 1) - shift) / VOXEL), axis=0)
    return np.column_stack([(cells + 0.5) * VOXEL + shift, np.zeros(len(cells))])


def ends_of(message, yaw):
    """Return where beams end, turned to the left by ``yaw``, shape (N, 2) [m]."""
    ranges = np.array(message.ranges)
    met = np.flatnonzero(np.isfinite(ranges))
    bearings, ranges = message.angle_min + met * message.angle_increment + yaw, ranges[met]
    return np.stack([ranges * np.cos(bearings), ranges * np.sin(bearings)], axis=1)


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
    assert beams(received) == {0: pytest.approx(2.0, abs=1e-3)}


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
    assert (message.range_min, message.range_max) == (0.155, 3.2)
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
    assert beams(scan(map_of(point))) == {bearing: pytest.approx(2.0, abs=1e-3)}


def test_a_wall_ahead_of_the_start_is_on_the_right_of_a_robot_turned_left():
    wall = map_of(*[(2.0, y / 20, 0.3) for y in range(-40, 41)], resolution=0.05)
    seen = beams(scan(wall, (0.5, 0.0, 0.3), LEFT))
    assert seen[-90] == pytest.approx(
        1.475
    )  # the voxels' face, half of 0.05 m before their middle
    assert seen[-135] == pytest.approx(1.475 * math.sqrt(2))
    assert seen[-45] == pytest.approx(1.475 * math.sqrt(2))
    # Its ends, 2.025 m to either side, are 53.9 degrees from the middle.
    assert sorted(seen) == list(range(-90 - 53, -90 + 54))


def test_the_nearest_of_a_beam_counts():
    points = [(3.0, 0.0, 0.0), (1.0, 0.0, 0.1), (2.0, 0.0, 0.2)]
    assert beams(scan(map_of(*points))) == {0: pytest.approx(1.0, abs=1e-3)}
    assert beams(scan(map_of(*points[::-1]))) == {0: pytest.approx(1.0, abs=1e-3)}


def test_points_above_and_below_the_slice_do_not_count():
    points = map_of((1, 0, 0.84), (0, 1, 0.86), (-1, 0, 0.46), (0, -1, 0.44))
    assert sorted(beams(scan(points, (0.0, 0.0, 0.6)))) == [-180, 0]
    assert sorted(beams(scan(points, (0.0, 0.0, 0.6), heights=(-0.2, 0.3)))) == [-180, -90, 0, 90]


def test_the_robots_own_body_is_a_rectangle():
    body = map_of((0.349, 0.0, 0), (0.0, 0.154, 0), (-0.349, 0.0, 0), (0.0, -0.154, 0))
    assert beams(scan(body)) == {}
    corners = [(x, y, 0) for x in (-0.345, 0.345) for y in (-0.145, 0.145)]
    assert beams(scan(map_of(*corners, resolution=0.01))) == {}
    around = map_of((0.352, 0.0, 0), (0.0, 0.157, 0), (-0.352, 0.0, 0), (0.0, -0.157, 0))
    assert beams(scan(around)) == {
        bearing: pytest.approx(distance, abs=1e-3)
        for bearing, distance in ((0, 0.352), (90, 0.157), (-180, 0.352), (-90, 0.157))
    }
    assert beams(scan(around, body=(0.8, 0.4))) == {}


def test_what_is_too_far_away_does_not_count():
    points = map_of((3.199, 0, 0), (0, 3.202, 0))
    assert sorted(beams(scan(points))) == [0]
    assert sorted(beams(scan(points, farthest=5.0))) == [0, 90]


def test_beams_begin_at_the_border_of_the_body():
    """What reaches into it is at its border, and no beam is shorter than ``range_min``."""
    for point, bearing, distance in (((0.36, 0, 0), 0, 0.35), ((0, 0.16, 0), 90, 0.155)):
        message = scan(map_of(point, resolution=VOXEL))
        assert beams(message)[bearing] == pytest.approx(distance)
        assert min(message.ranges) >= message.range_min
    around = scan(map_of((0.4, 0, 0), resolution=1.0))
    assert beams(around)[45] == pytest.approx(0.155 * math.sqrt(2))
    assert -180 not in beams(around)  # there it ends before the body does


def test_a_point_in_the_robots_very_middle_is_no_trouble():
    assert set(beams(scan(map_of((0, 0, 0)), body=(0.0, 0.0))).values()) <= {0.0}


@pytest.mark.parametrize('degrees', [0, 8, 30, 45, 90, -100])
@pytest.mark.parametrize('distance', [0.2, 0.3, 0.39])
def test_a_wall_beside_the_robot_is_seen_and_nothing_through_it(distance, degrees):
    """It is on its left, along it, and a second one 1 m behind; a voxel reaches 71 mm askew."""
    angle = math.radians(degrees)
    walls = np.concatenate([wall(angle, distance), wall(angle, distance + 1.0)])
    seen = beams(scan(map_of(*walls, resolution=VOXEL), orientation=turned(angle)))
    for bearing in range(10, 171):
        sine = math.sin(math.radians(bearing))
        assert distance - 1.5 * VOXEL < seen[bearing] * sine < distance + 1e-3, bearing
    assert {bearing for bearing in seen if bearing < 0} == set()


def test_beside_an_obstacle_the_wall_behind_is_still_seen():
    obstacle, behind = (0.2, 0.3, 0.0), [(x / 20, 1.0, 0.0) for x in range(-40, 41)]
    seen = beams(scan(map_of(obstacle, *behind, resolution=VOXEL)))
    assert seen[56] == pytest.approx(0.275 / math.sin(math.radians(56)), abs=1e-5)
    assert seen[90] == pytest.approx(0.975, abs=1e-5)


@pytest.mark.parametrize('seed', range(20))
def test_a_beam_sees_through_no_voxel_and_meets_none_that_is_not_there(seed):
    """However the robot stands and leans: each beam is walked along in steps of 1 mm."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(-70, 70, (400, 2))
    points = np.column_stack([(cells + 0.5) * VOXEL, np.zeros(400)])
    position = (*rng.uniform(-0.5, 0.5, 2), 0.0)
    orientation = times(turned(rng.uniform(-3, 3)), leaning(*rng.uniform(-0.3, 0.3, 2)))
    message = scan(map_of(*points, resolution=VOXEL), position, orientation, heights=(-9.0, 9.0))

    plane, start = matrix(orientation)[:2, :2], np.reshape(position[:2], (2, 1))
    middles = np.linalg.solve(plane, points[:, :2].T - start)
    others = cells[(abs(middles[0]) > 0.35) | (abs(middles[1]) > 0.155)]
    occupied = np.zeros((1000, 1000), bool)
    occupied[tuple(others.T)] = True
    assert sum(map(math.isfinite, message.ranges)) > 200
    for index, distance in enumerate(message.ranges):
        bearing = message.angle_min + index * message.angle_increment
        direction = np.array(((math.cos(bearing),), (math.sin(bearing),)))
        begin = (((0.35,), (0.155,)) / np.maximum(abs(direction), 1e-9)).min()
        free = np.arange(begin, min(distance, 3.2) - 1e-4, 1e-3)
        seen = plane @ direction * free + start
        assert not occupied[tuple(np.floor(seen / VOXEL).astype(int))].any()
        if math.isfinite(distance):
            around = plane @ direction * distance + start + 1e-5 * np.array(CORNERS)
            assert occupied[tuple(np.floor(around / VOXEL).astype(int))].any()


@pytest.mark.parametrize('distance', [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize('yaw', np.radians([0, 17, 45, 90, -130]))
def test_a_wall_along_the_grid_is_straight_whatever_the_angle_it_is_seen_at(yaw, distance):
    """Up to 3.2 m away, which is 4 to 51 degrees to its face."""
    voxels = wall(0.0, distance + VOXEL / 2)
    message = scan(map_of(*voxels, resolution=VOXEL), orientation=turned(yaw), body=(0.31, 0.31))
    ends = ends_of(message, yaw)
    face = voxels[0, 1] - VOXEL / 2
    assert np.ptp(ends[:, 0]) > 4.5
    np.testing.assert_allclose(ends[:, 1], face, atol=1e-4)


@pytest.mark.parametrize('degrees', [0, 5, 10, 20, 30, 45, 60, 80, 90])
def test_a_wall_is_straight_however_it_runs_through_the_grid(degrees):
    """
    Within 10 mm of itself, from straight on to 15 degrees to its face.

    The voxels of a wall that is turned are a staircase, and each beam ends on a step: which, is
    a matter of how the wall lies in the grid. What bends a wall is what is left in the mean over
    60 such lies: at each angle it is to be seen as far away as at all the others.
    """
    rng, askew, off = np.random.default_rng(degrees), [], []
    angle = math.radians(degrees)
    for yaw, distance, *shift in rng.uniform((0, 0.4, 0, 0), (6, 1.2, VOXEL, VOXEL), (60, 4)):
        message = scan(
            map_of(*wall(angle, distance, shift), resolution=VOXEL), orientation=turned(yaw)
        )
        along, away = ends_of(message, yaw - angle).T
        askew.append(np.arctan2(along, distance))
        off.append(away - distance)
    askew, off = np.concatenate(askew), np.concatenate(off)
    borders = np.radians(np.arange(-75, 80, 15))
    bent = [off[(askew > low) & (askew < low + math.radians(15))].mean() for low in borders[:-1]]
    np.testing.assert_allclose(bent, np.mean(bent), atol=0.010)
    assert -0.75 * VOXEL < np.mean(bent) < 0


def test_the_wall_stays_where_it_is_when_the_body_leans():
    points = [(1.0, y / 20, z / 20) for y in range(-20, 21) for z in range(-10, 11)]
    level = beams(scan(map_of(*points, resolution=VOXEL)))[0]
    for roll, pitch in ((0.0, 0.1), (0.0, -0.2), (0.3, 0.0)):
        message = scan(map_of(*points, resolution=VOXEL), orientation=leaning(roll, pitch))
        assert beams(message)[0] * math.cos(pitch) == pytest.approx(level)


def test_a_robot_that_lies_on_its_side_says_that_it_does_not_know():
    points = map_of((1.0, 0.0, 0.0))
    for roll in (math.radians(61), math.pi / 2, math.pi):
        message = scan(points, orientation=leaning(roll, 0.0))
        assert all(map(math.isnan, message.ranges))
    assert beams(scan(points, orientation=leaning(math.radians(59), 0.0)))


def test_the_slice_follows_a_rolled_and_pitched_body():
    # Pitched down by 30 degrees: what is 1 m along the body's x lies 0.5 m lower in odom.
    ahead = map_of((math.cos(math.radians(30)), 0.0, -0.5), (1.0, 0.0, 0.0))
    seen = beams(scan(ahead, orientation=leaning(0.0, math.radians(30))))
    assert seen == {0: pytest.approx(1.0, abs=1e-3)}
    # Rolled right by 30 degrees: the body's left is 0.5 m higher 1 m away.
    left = map_of((0.0, math.cos(math.radians(30)), 0.5), (0.0, 1.0, 0.0))
    seen = beams(scan(left, orientation=leaning(math.radians(30), 0.0)))
    assert seen == {90: pytest.approx(1.0, abs=1e-3)}


def test_all_three_turns_apply_in_the_order_of_the_quaternion():
    # Yaw 90 then pitch down 45: the body's x is odom's y and -z, its y odom's -x.
    tipped = times(LEFT, leaning(0.0, math.pi / 4))
    assert beams(scan(map_of((0.0, 1.0, -1.0)), orientation=tipped)) == {
        0: pytest.approx(math.sqrt(2), abs=2e-3)
    }
    assert beams(scan(map_of((-1.5, 0.0, 0.0)), orientation=tipped)) == {
        90: pytest.approx(1.5, abs=1e-3)
    }
    assert beams(scan(map_of((0.0, 1.0, 0.0)), orientation=tipped)) == {}


def test_a_near_voxel_fills_every_beam_it_meets():
    # Half of its edge, 25 mm, is 3.01 degrees wide at 0.475 m and 0.7 at 2 m.
    assert sorted(beams(scan(map_of((0.5, 0, 0), resolution=VOXEL)))) == list(range(-3, 4))
    assert sorted(beams(scan(map_of((2, 0, 0), resolution=VOXEL)))) == [0]


@pytest.mark.parametrize('slack', [0.0, 1e-7, -1e-7])
def test_no_beam_slips_through_where_two_voxels_touch(slack):
    """Neither at a common edge nor at a common corner."""
    edge = map_of((1.0, 0.025 + slack, 0), (1.0, -0.025 + slack, 0), resolution=VOXEL)
    assert beams(scan(edge))[0] == pytest.approx(0.975, abs=1e-5)
    corner = map_of((0.975, 1.025 + slack, 0), (1.025, 0.975 + slack, 0), resolution=VOXEL)
    assert beams(scan(corner))[45] == pytest.approx(math.sqrt(2), abs=1e-5)


@pytest.mark.parametrize('slope', [0.0, 0.5, 1.0])
def test_a_wall_of_voxels_has_no_holes_however_it_runs(slope):
    """Seen from half a metre, its voxels are up to 6 beams apart."""
    along = np.arange(-60, 61)
    cells = np.stack([10 + np.round(np.abs(along) * slope), along, along * 0], axis=1)
    seen = scan(map_of(*(cells * 0.05), resolution=0.05), farthest=10.0)
    bearings = sorted(beams(seen))
    assert bearings == list(range(bearings[0], bearings[-1] + 1))


@pytest.mark.parametrize('yaw', [0.0, math.pi / 2, -2.0])
def test_the_simulated_robots_wall_is_where_it_is_in_cloud_and_scan(yaw):
    """Its face is at y = 3.0, 1.5 m from the robot."""
    pose = Pose(-1.0, 1.5, 0.32, yaw)
    cloud = xyz(to_point_cloud(seen_by_the_simulated_lidar(pose), STAMP, 'odom'))
    wall = cloud[(cloud[:, 0] > -3.4) & (cloud[:, 1] > 2.9) & (cloud[:, 2] > 0.1)]
    assert len(wall) > 1000
    assert wall[:, 1].min() == pytest.approx(3.025)
    assert wall[:, 1].max() < 3.1

    seen = scan(
        seen_by_the_simulated_lidar(pose),
        (pose.x, pose.y, pose.z),
        turned(yaw),
    )
    bearing = math.degrees(math.pi / 2 - yaw)
    for aside in (-30, -15, 0, 15, 30):
        index = round(bearing + aside + 180) % 360
        exact = math.radians(index - 180 - bearing)
        assert seen.ranges[index] == pytest.approx(1.5 / math.cos(exact), abs=1e-3)


def test_the_simulated_robots_floor_is_in_the_cloud_and_not_in_the_scan():
    pose = Pose(0.0, 0.0, 0.32, 0.0)
    voxel_map = seen_by_the_simulated_lidar(pose)
    assert xyz(to_point_cloud(voxel_map, STAMP, 'odom'))[:, 2].min() == pytest.approx(0.025)
    seen = beams(scan(voxel_map, (0.0, 0.0, 0.32)))
    # The nearest thing in the room is 2.25 m away: the corner of a box at (2.4, -1.3).
    assert min(seen.values()) > 2.0


def test_a_scan_bears_the_stamp_of_the_pose_it_is_made_with():
    """Its transform was published with that stamp, and the robot has moved since."""
    context, later = Context(DriverConfig(), []), Time(sec=7, nanosec=70_000_000)
    assert published('scan', EMPTY, later, context) is None, 'there is no pose yet'
    context.note(Topic.ROBOT_POSE.value, RobotPose(1.0, (0.0, 0.0, 0.32), LEVEL), STAMP)
    assert published('scan', EMPTY, later, context).header.stamp == STAMP
    assert published('points', EMPTY, later, context).header.stamp == later


def published(topic, sample, stamp, context):
    (row,) = [row for row in PUBLICATIONS if row.topic == topic]
    return row.convert(sample, stamp, context)
