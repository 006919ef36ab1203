"""Where things are: messages of what the simulated robot sends, against numbers made by hand."""

import json
import math
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from test_view import pose_of, revolute
from urdf_parser_py.urdf import URDF

from go2_webrtc_driver.protocol.decoders import DECODERS
from go2_webrtc_driver.protocol.messages import parse_message
from go2_webrtc_driver.protocol.topics import SportApi, Status, Topic
from go2_webrtc_driver.ros.calibration import load_calibration
from go2_webrtc_driver.ros.clouds import to_laser_scan, to_point_cloud
from go2_webrtc_driver.ros.conversions import (
    JOINT_NAMES,
    to_camera_info,
    to_header,
    to_image,
    to_imu,
    to_joint_state,
    to_odometry,
    to_transform,
)
from go2_webrtc_driver.sim.brain.apis import Services
from go2_webrtc_driver.sim.brain.robot import Robot
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.wire import streams
from go2_webrtc_driver.sim.wire.camera import Camera
from go2_webrtc_driver.sim.world.frame_mark import FrameMark

ROOT = Path(__file__).parents[2]
STAMP = Time(sec=7, nanosec=8)
FEET = ('FR_foot', 'FL_foot', 'RR_foot', 'RL_foot')
QUARTER = math.pi / 2


@pytest.fixture(scope='module')
def model():
    return URDF.from_xml_file(str(ROOT / 'urdf' / 'go2.urdf'))


def drive(robot, since, until, x=0.0, y=0.0, yaw=0.0):
    """Drive from ``since`` to ``until`` [s] with a Move every tenth."""
    for now in np.arange(since, until, 0.1):
        ask(robot, SportApi.MOVE, now, x, y, yaw)
    robot.advance(until)


def ask(robot, api, now, x, y, z):
    assert robot.request(api, json.dumps({'x': x, 'y': y, 'z': z}), now) is Status.OK


def standing_at(x, y, yaw):
    robot = Robot(0.0)
    robot.pose = Pose(x, y, 0.32, yaw)
    return robot


def told(robot, topic):
    """Return the robot's next sample of a topic, after the wire."""
    raw = streams.texts(robot, Services(robot), 1.0)[topic.value].make()
    return DECODERS[topic.value](parse_message(raw))


def imu_of(robot):
    state = told(robot, Topic.SPORT_MODE_STATE)
    return to_imu(state.imu, to_header(STAMP, 'imu_link'))


def odometry_of(robot):
    state, pose = told(robot, Topic.SPORT_MODE_STATE), told(robot, Topic.ROBOT_POSE)
    return to_odometry(pose, state, to_header(STAMP, 'odom'), 'base_link')


def transform_of(robot):
    """Return ``odom`` -> ``base_link`` as published, as a 4x4 matrix."""
    pose = told(robot, Topic.ROBOT_POSE)
    transform = to_transform(pose, to_header(STAMP, 'odom'), 'base_link').transform
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(transform.rotation)
    matrix[:3, 3] = numbers(transform.translation)
    return matrix


def numbers(vector):
    return np.array((vector.x, vector.y, vector.z))


def rotation(quaternion):
    """Return a unit quaternion's matrix, by the formula of Rodrigues."""
    axis = np.cross(numbers(quaternion), np.eye(3)).T
    return np.eye(3) + 2 * quaternion.w * axis + 2 * axis @ axis


def heading(quaternion):
    assert (quaternion.x, quaternion.y) == (0.0, 0.0)
    return math.remainder(2 * math.atan2(quaternion.z, quaternion.w), math.tau)


# Motion. The speed follows a command by 63 % in 0.1 s, which costs 0.1 s of the way.


@pytest.mark.parametrize(
    ('rate', 'seconds', 'yaw'),
    [(0.8, 3.0, 2.32), (-1.2, 3.0, math.tau - 3.48), (0.8, 5.0, 3.92 - math.tau)],
)
def test_imu_odometry_and_transform_tell_the_same_turn(rate, seconds, yaw):
    robot = Robot(0.0)
    drive(robot, 0.0, seconds, yaw=rate)
    imu, odometry = imu_of(robot), odometry_of(robot)
    assert heading(imu.orientation) == pytest.approx(yaw, abs=5e-3)
    assert odometry.pose.pose.orientation == imu.orientation
    np.testing.assert_allclose(
        transform_of(robot)[:2, :2],
        [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]],
        atol=5e-3,
    )
    assert numbers(imu.angular_velocity) == pytest.approx((0, 0, rate), abs=1e-6)
    assert numbers(odometry.twist.twist.angular) == pytest.approx((0, 0, rate), abs=1e-6)
    assert numbers(imu.linear_acceleration) == pytest.approx((0, 0, 9.81), abs=1e-3)


def test_the_gyroscope_integrates_to_the_heading():
    robot, rates = Robot(0.0), [0.0]
    for tick in range(1, 61):
        drive(robot, (tick - 1) / 20, tick / 20, x=0.3, yaw=0.9)
        rates.append(imu_of(robot).angular_velocity.z)
    turned = (sum(rates) - rates[-1] / 2) * 0.05  # by trapezoids
    assert turned == pytest.approx(0.9 * 2.9, abs=5e-3)
    assert heading(odometry_of(robot).pose.pose.orientation) == pytest.approx(turned, abs=5e-3)


def test_a_robot_on_a_circle_feels_gravity_and_the_pull_to_its_middle():
    """At 0.6 m/s and 0.8 rad/s: 0.48 m/s^2 to the left, and a circle 1.5 m wide."""
    robot = Robot(0.0)
    drive(robot, 0.0, 2.0, x=0.6, yaw=0.8)
    start = transform_of(robot)
    assert numbers(imu_of(robot).linear_acceleration) == pytest.approx((0, 0.48, 9.81), abs=0.02)
    twist = odometry_of(robot).twist.twist
    assert numbers(twist.linear) == pytest.approx((0.6, 0, 0), abs=1e-3)
    assert numbers(twist.angular) == pytest.approx((0, 0, 0.8), abs=1e-3)

    drive(robot, 2.0, 2.0 + math.pi / 0.8, x=0.6, yaw=0.8)
    half_a_turn = np.diag((-1.0, -1.0, 1.0, 1.0))
    half_a_turn[1, 3] = 1.5
    np.testing.assert_allclose(np.linalg.inv(start) @ transform_of(robot), half_a_turn, atol=2e-3)


def test_the_transform_moves_as_the_twist_says_along_the_bodys_axes():
    robot = Robot(0.0)
    motion = {'x': 0.5, 'y': -0.3, 'yaw': 0.7}
    drive(robot, 0.0, 2.0, **motion)
    before = transform_of(robot)
    robot.advance(2.02)
    during, twist = transform_of(robot), odometry_of(robot).twist.twist
    robot.advance(2.04)
    moved = (transform_of(robot)[:3, 3] - before[:3, 3]) / 0.04
    assert during[:3, :3].T @ moved == pytest.approx((0.5, -0.3, 0), abs=2e-3)
    assert numbers(twist.linear) == pytest.approx((0.5, -0.3, 0), abs=1e-3)


def test_a_leaning_robot_still_has_gravity_upward_in_odom():
    """Rolled right by 0.3, pitched down by 0.2: up is (-sin 0.2, sin 0.3 cos 0.2, ...)."""
    robot = Robot(0.0)
    ask(robot, SportApi.EULER, 0.0, 0.3, 0.2, 0.1)
    robot.advance(3.0)
    felt = numbers(imu_of(robot).linear_acceleration)
    assert felt == pytest.approx((-1.949, 2.841, 9.185), abs=2e-3)
    assert transform_of(robot)[:3, :3] @ felt == pytest.approx((0, 0, 9.81), abs=1e-4)


def test_the_gyroscope_feels_how_the_transform_turns_while_the_body_tilts():
    robot = Robot(0.0)
    drive(robot, 0.0, 1.0, yaw=0.8)
    ask(robot, SportApi.EULER, 1.0, 0.5, -0.4, 0.0)
    poses, felt = [], []
    for tick in range(60):
        robot.advance(1.0 + tick * 0.005)
        poses.append(transform_of(robot)[:3, :3])
        felt.append(numbers(imu_of(robot).angular_velocity))
    for before, after, rate in zip(poses[:-1], poses[1:], felt[1:], strict=True):
        turned = cv2.Rodrigues(before.T @ after)[0].ravel() / 0.005
        assert turned == pytest.approx(rate, abs=0.03)
    assert np.abs(felt).max(axis=0) == pytest.approx((3.0, 2.4, 0.8), abs=0.5)


# Lidar. A voxel is known by its middle, half of 0.05 m behind the face of what it is part of.


def points_of(robot):
    """Return the points of the published cloud, shape (N, 3)."""
    cloud = to_point_cloud(map_of(robot), STAMP, 'odom')
    assert [(field.name, field.offset) for field in cloud.fields] == [('x', 0), ('y', 4), ('z', 8)]
    return np.frombuffer(bytes(cloud.data), '<f4').reshape(-1, 3)


def map_of(robot):
    return DECODERS[Topic.VOXEL_MAP.value](parse_message(streams.voxel_map(robot)))


def scan_of(robot):
    return to_laser_scan(map_of(robot), told(robot, Topic.ROBOT_POSE), STAMP, 'base_link')


def beam(scan, degrees):
    return scan.ranges[round((math.radians(degrees) - scan.angle_min) / scan.angle_increment)]


def ends_of(robot):
    """Return where the beams end, brought into ``odom`` by the transform, shape (N, 3)."""
    scan, transform = scan_of(robot), transform_of(robot)
    met = [
        (distance, scan.angle_min + index * scan.angle_increment)
        for index, distance in enumerate(scan.ranges)
        if math.isfinite(distance)
    ]
    ends = [(d * math.cos(angle), d * math.sin(angle), 0.0) for d, angle in met]
    return np.array(ends) @ transform[:3, :3].T + transform[:3, 3]


# The faces of two walls are at y = 3.0 and x = -3.5.
PLACES = [(-1.0, 2.3, 0.0), (-2.5, 0.0, QUARTER), (-2.0, 2.0, -2.0)]


@pytest.mark.parametrize('place', PLACES)
def test_the_walls_are_in_the_cloud_where_the_room_has_them(place):
    points = points_of(standing_at(*place))
    above_floor = points[points[:, 2] > 0.1]
    left_wall = above_floor[(above_floor[:, 1] > 2.7) & (above_floor[:, 0] > -3.4)]
    back_wall = above_floor[(above_floor[:, 0] < -3.2) & (abs(above_floor[:, 1]) < 2.9)]
    for wall, axis, middle, size in ((left_wall, 1, 3.025, 1.0), (back_wall, 0, -3.525, 1.0)):
        assert np.abs(wall[:, axis]).min() == pytest.approx(abs(middle), abs=1e-4)
        assert np.abs(wall[:, axis]).max() == pytest.approx(abs(middle) + 0.05, abs=1e-4)
        assert wall[:, 2].max() == pytest.approx(size - 0.025, abs=1e-4)


def test_the_cloud_of_a_wall_does_not_move_with_the_robot():
    first, second = (points_of(standing_at(*place)) for place in PLACES[:2])
    one, other = (
        {(x, y, z) for x, y, z in np.round(points, 3) if x < -3.3 and 0 < y < 2.9 and z > 0.1}
        for points in (first, second)
    )
    assert one == other
    assert len(one) > 500


def test_beams_are_as_long_as_the_way_to_what_they_meet():
    ahead, turned = (scan_of(standing_at(*place)) for place in PLACES[:2])
    assert beam(ahead, 90) == pytest.approx(0.7, abs=1e-3)  # wall: 3.0 - 2.3
    assert beam(ahead, -180) == pytest.approx(2.5, abs=1e-3)  # wall: 3.5 - 1.0
    assert beam(ahead, 0) == pytest.approx(1.05, abs=1e-3)  # box whose face is at x = 0.05
    assert beam(turned, 0) == pytest.approx(3.0, abs=1e-3)
    assert beam(turned, 90) == pytest.approx(1.0, abs=1e-3)
    assert beam(turned, -90) == math.inf  # nearest is 4.75 m away


@pytest.mark.parametrize('place', PLACES)
def test_beams_brought_into_odom_by_the_transform_end_at_the_walls(place):
    """Seen up to 45 degrees askew."""
    x, y, _ = ends_of(standing_at(*place)).T
    aside, along = abs(x - place[0]), abs(y - place[1])
    left_wall = y[(y > 2.7) & (aside < 3.025 - place[1]) & (x > -3.4)]
    back_wall = x[(x < -3.2) & (along < 3.525 + place[0]) & (y < 2.9)]
    assert len(left_wall) > 20
    assert len(back_wall) > 20
    np.testing.assert_allclose(left_wall, 3.0, atol=1e-3)
    np.testing.assert_allclose(back_wall, -3.5, atol=1e-3)


# Camera.


def camera_of(robot):
    """Return the published picture, shape (720, 1280, 3) BGR, and the camera matrix, 3x3."""
    decoder = av.CodecContext.create('h264', 'r')
    packet = Camera().encode(robot.pose, FrameMark(0, 1), keyframe=True)
    (frame,) = [*decoder.decode(packet), *decoder.decode(None)]
    header = to_header(STAMP, 'camera_optical_frame')
    image = to_image(frame, 'bgr8', header)
    calibrations = [
        load_calibration(ROOT / 'config' / f'camera_{size}.yaml')
        for size in ('1280x720', '1920x1080')
    ]
    matrix = np.array(to_camera_info(calibrations, frame, header).k).reshape(3, 3)
    return np.array(image.data).reshape(image.height, image.width, 3), matrix


def pixel_of(point, robot, model, matrix):
    """Return column and row of a point of ``odom``: transform, model and camera matrix."""
    camera = transform_of(robot) @ pose_of(model, 'camera_optical_frame')
    seen = np.linalg.inv(camera) @ (*point, 1.0)
    assert seen[2] > 0
    return (matrix @ seen[:3])[:2] / seen[2]


def red(pixels):
    """Return the first and the last red one in a row or a column of pixels."""
    blue, green, strength = np.moveaxis(pixels.astype(int), -1, 0)
    found = np.flatnonzero((strength > 100) & (strength > 2 * blue) & (strength > 2 * green))
    return found[0], found[-1]


def test_the_red_box_is_in_the_picture_where_model_transform_and_camera_info_put_it(model):
    """
    Its front face, x = 2.8, y -0.2 to 0.2, z 0 to 0.4, is 2.473 m ahead of the camera.

    The scene is a plain pinhole, drawn with the shipped camera matrix (rounded to 0.1 pixels)
    and without the shipped distortion, which would move its lower corners by 1.5 pixels.
    """
    robot = Robot(0.0)
    picture, matrix = camera_of(robot)
    left, top = pixel_of((2.8, 0.2, 0.4), robot, model, matrix)
    right, bottom = pixel_of((2.8, -0.2, 0.0), robot, model, matrix)
    # 639.2 -/+ 864.4 * 0.2 / 2.473; 373.3 + 863.7 * (0.363 - 0.4 or 0.0) / 2.473
    assert (left, right, top, bottom) == pytest.approx((569.3, 709.1, 360.4, 500.1), abs=0.1)
    assert red(picture[430]) == pytest.approx((left, right), abs=3)
    assert red(picture[:, 640]) == pytest.approx((top, bottom), abs=3)


def test_the_red_box_is_there_too_for_a_robot_that_looks_at_it_from_its_right(model):
    """
    Turned by 90 degrees at (3, -2): the face at y = -0.2 is 1.473 m ahead.

    Here the shipped distortion, which is not drawn, would move the lower corners by 7 pixels,
    and a corner of the picture by about 150.
    """
    robot = standing_at(3.0, -2.0, QUARTER)
    picture, matrix = camera_of(robot)
    left, top = pixel_of((2.8, -0.2, 0.4), robot, model, matrix)
    right, bottom = pixel_of((3.2, -0.2, 0.0), robot, model, matrix)
    # 639.2 -/+ 864.4 * 0.2 / 1.473; 373.3 + 863.7 * (0.363 - 0.4 or 0.0) / 1.473
    assert (left, right, top, bottom) == pytest.approx((521.8, 756.6, 351.6, 586.1), abs=0.1)
    assert red(picture[450]) == pytest.approx((left, right), abs=3)
    _, lowest = red(picture[360:, 640])  # above it, its own top
    assert 360 + lowest == pytest.approx(bottom, abs=3)


# Legs.


def angles_of(robot):
    message = to_joint_state(told(robot, Topic.LOW_STATE).motors, to_header(STAMP, ''))
    return dict(zip(message.name, message.position, strict=True))


def feet_of(robot, model):
    """Return the feet in ``odom``, FR FL RR RL: joint states, model, transform; shape (4, 3)."""
    angles = angles_of(robot)
    return np.array([(transform_of(robot) @ pose_of(model, foot, angles))[:3, 3] for foot in FEET])


def test_joints_have_the_names_of_the_models_joints(model):
    assert set(JOINT_NAMES) == set(revolute(model))
    assert len(JOINT_NAMES) == 12


def test_a_standing_robot_has_its_feet_on_the_floor_below_its_hips(model):
    """The simulated robot has the middle of its feet there, not their soles, 22 mm below."""
    sole = model.link_map['FR_foot'].visual.geometry.radius
    feet = feet_of(standing_at(1.0, 2.0, QUARTER), model)
    # 0.1934 ahead and behind, 0.0465 + 0.0955 aside; ahead is odom's y
    expected = [(1.142, 2.1934), (0.858, 2.1934), (1.142, 1.8066), (0.858, 1.8066)]
    np.testing.assert_allclose(feet[:, :2], expected, atol=1e-3)
    assert np.ptp(feet[:, 2]) < 1e-3
    assert -1e-3 < feet[0, 2] < sole + 1e-3


def test_the_feet_stay_where_they_are_when_the_body_leans(model):
    robot = Robot(0.0)
    before = feet_of(robot, model)
    ask(robot, SportApi.EULER, 0.0, 0.2, -0.2, 0.2)
    robot.advance(3.0)
    np.testing.assert_allclose(feet_of(robot, model), before, atol=1e-3)


def test_a_trotting_robot_has_two_feet_on_the_floor_that_do_not_slip(model):
    robot = Robot(0.0)
    floor = feet_of(robot, model)[0, 2]
    drive(robot, 0.0, 2.0, x=0.5, yaw=0.5)
    highest = 0.0
    for tick in range(50):
        before = feet_of(robot, model)
        drive(robot, 2.0 + tick / 50, 2.0 + (tick + 1) / 50, x=0.5, yaw=0.5)
        after = feet_of(robot, model)
        assert (after[:, 2] < floor + 1e-4).sum() >= 2
        standing = np.maximum(before[:, 2], after[:, 2]) < floor + 1e-4
        np.testing.assert_allclose(after[standing], before[standing], atol=1e-3)
        assert after[:, 2].min() == pytest.approx(floor, abs=1e-4)
        highest = max(highest, after[:, 2].max())
    assert highest - floor == pytest.approx(0.09, abs=0.01)  # of a step, as the vendor has it


@pytest.mark.parametrize(
    'motion', [{'x': 1.0}, {'y': 0.5}, {'yaw': 1.5}, {'x': -1.0, 'y': -0.5, 'yaw': -1.5}]
)
def test_every_joint_stays_within_the_models_limits_while_it_trots(model, motion):
    robot, seen = Robot(0.0), []
    for tick in range(60):
        drive(robot, tick / 30, (tick + 1) / 30, **motion)
        seen.append(angles_of(robot))
    for name, joint in revolute(model).items():
        angles = [angles[name] for angles in seen]
        assert joint.limit.lower < min(angles)
        assert max(angles) < joint.limit.upper
        assert max(angles) - min(angles) > 0.05 or 'hip' in name
