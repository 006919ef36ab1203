"""The simulated body: its legs, its inertial unit, its battery and heat agree with its motion."""

import itertools
import json
import math

import numpy as np
import pytest

from go2_webrtc_driver.protocol.topics import Mode, NormalApi, SportApi, Status
from go2_webrtc_driver.sim.body import legs, trot
from go2_webrtc_driver.sim.body.battery import Load, Pack
from go2_webrtc_driver.sim.brain.robot import LYING, Robot

FR, FL, RR, RL = range(4)
REST = (0.0, 0.0, 0.0)


def walk(robot, until, x=0.0, y=0.0, yaw=0.0, since=0.0):
    """Walk from ``since`` to ``until`` [s] with a Move every tenth."""
    for tenth in range(round(since * 10), round(until * 10)):
        move = {'x': x, 'y': y, 'z': yaw}
        assert robot.request(SportApi.MOVE, json.dumps(move), tenth / 10) is Status.OK
    robot.advance(until)


def lean(robot, now, roll=0.0, pitch=0.0, yaw=0.0):
    angles = json.dumps({'x': roll, 'y': pitch, 'z': yaw})
    assert robot.request(SportApi.EULER, angles, now) is Status.OK


def joints(robot):
    """Return the joint angles that go over the wire, shape (4, 3)."""
    return np.array([motor.position for motor in robot.low_state().motors]).reshape(4, 3)


def feet(robot):
    """Return the feet in base_link by forward kinematics, shape (4, 3)."""
    return np.array([legs.foot_position(leg, tuple(q)) for leg, q in enumerate(joints(robot))])


def rotation(robot):
    """Return the matrix that turns vectors of the body into ``odom``."""
    x, y, z, w = robot.orientation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def on_ground(robot):
    """Return the feet in ``odom``, shape (4, 3)."""
    return feet(robot) @ rotation(robot).T + (robot.pose.x, robot.pose.y, robot.pose.z)


@pytest.mark.parametrize(
    ('leg', 'angles', 'foot'),
    [
        (FL, (0, 0, 0), (0.1934, 0.142, -0.426)),
        (RR, (0, 0, 0), (-0.1934, -0.142, -0.426)),
        (FR, (0, math.pi / 2, 0), (0.1934 - 0.426, -0.142, 0.0)),
        (FR, (0, 0, -math.pi / 2), (0.1934 + 0.213, -0.142, -0.213)),
        (FL, (math.pi / 2, 0, 0), (0.1934, 0.0465 + 0.426, 0.0955)),
        (FR, (math.pi / 2, 0, 0), (0.1934, -0.0465 + 0.426, -0.0955)),
    ],
)
def test_a_foot_is_where_a_ruler_on_the_drawing_puts_it(leg, angles, foot):
    assert legs.foot_position(leg, angles) == pytest.approx(foot)


@pytest.mark.parametrize('leg', legs.LEGS)
def test_joint_angles_bring_the_foot_where_it_was_wanted(leg):
    for hip, thigh, calf in itertools.product((-0.6, 0, 0.6), (0.2, 0.8, 1.3), (-2.4, -1.5, -0.9)):
        foot = legs.foot_position(leg, (hip, thigh, calf))
        assert legs.joint_angles(leg, foot) == pytest.approx((hip, thigh, calf))


def test_a_standing_robot_holds_still_with_its_feet_below_its_thighs():
    robot = Robot(0.0)
    before = joints(robot)
    robot.advance(100.0)
    assert np.array_equal(joints(robot), before)
    # 0.32 m is 2 * 0.213 m * cos(a) with a = 0.7210 rad
    assert before == pytest.approx(np.array([(0.0, 0.7210, -1.4419)] * 4), abs=1e-3)
    assert feet(robot)[:, 2] == pytest.approx([-0.32] * 4)


def test_a_lying_robot_has_folded_its_legs():
    robot = Robot(0.0, LYING)
    assert (joints(robot)[:, 2] < -2.4).all()
    assert feet(robot)[:, 2] == pytest.approx([-0.08] * 4)


MOTIONS = [
    {'x': 0.5}, {'x': -0.5}, {'y': 0.4}, {'yaw': 1.0}, {'x': 0.6, 'y': -0.2, 'yaw': -0.8},
    {'x': 3.8, 'y': 1.0, 'yaw': 4.0}, {'x': -3.8, 'y': 1.0, 'yaw': -4.0},
]  # fmt: skip


@pytest.mark.parametrize('motion', MOTIONS)
def test_joints_stay_within_the_limits_of_the_robot(motion):
    robot = Robot(0.0)
    for tick in range(100):
        walk(robot, 1 + tick / 50, since=tick / 50, **motion)
        for leg, (hip, thigh, calf) in enumerate(joints(robot)):
            low, high = legs.thigh_limit(leg)
            assert -1.0472 < hip < 1.0472
            assert low < thigh < high
            assert -2.7227 < calf < -0.83776


@pytest.mark.parametrize('motion', MOTIONS[:5])
def test_two_feet_or_more_are_on_the_floor_and_stay_where_they_are(motion):
    robot = Robot(0.0)
    walk(robot, 2.0, **motion)
    pairs = set()
    for tick in range(200):
        before = on_ground(robot)
        walk(robot, 2.005 + tick * 0.005, since=2.0 + tick * 0.005, **motion)
        after = on_ground(robot)
        standing = (before[:, 2] < 1e-6) & (after[:, 2] < 1e-6)
        assert after[standing] == pytest.approx(before[standing], abs=1e-4)
        pairs.add(tuple(standing))
    assert (True, False, False, True) in pairs
    assert (False, True, True, False) in pairs
    assert all(sum(pair) >= 2 for pair in pairs)


def test_diagonal_legs_step_together():
    robot = Robot(0.0)
    for tick in range(100):
        walk(robot, 1 + tick / 50, x=0.5, since=tick / 50)
        raised = feet(robot)[:, 2]
        assert raised[FR] == pytest.approx(raised[RL])
        assert raised[FL] == pytest.approx(raised[RR])


def test_a_stride_follows_the_velocity():
    # 60 % of a period of 0.5 s on the floor at 0.4 m/s: 0.12 m
    found = [trot.feet(n / 100, (0.4, 0, 0), 0.32, 0.09)[FR].position for n in range(100)]
    assert max(x for x, _, _ in found) - min(x for x, _, _ in found) == pytest.approx(0.12)
    assert max(z for _, _, z in found) == pytest.approx(0.09 - 0.32)
    sideways = [trot.feet(n / 100, (0, 0.4, 0), 0.32, 0.09)[FR].position for n in range(100)]
    assert max(y for _, y, _ in sideways) - min(y for _, y, _ in sideways) == pytest.approx(0.12)


def test_the_reported_feet_are_those_of_the_joints_and_their_speed_is_their_motion():
    robot = Robot(0.0)
    walk(robot, 2.0, x=0.5)
    state = robot.sport_mode_state(0.0)
    before = feet(robot)
    assert np.reshape(state.foot_position_body, (4, 3)) == pytest.approx(before)
    walk(robot, 2.005, x=0.5, since=2.0)
    moved = (feet(robot) - before) / 0.005
    assert np.reshape(state.foot_speed_body, (4, 3)) == pytest.approx(moved, abs=0.15)


def test_standing_feet_carry_what_a_real_robot_s_did():
    assert Robot(0.0).low_state().foot_force == (97.0, 84.0, 81.0, 81.0)
    assert Robot(0.0, LYING).low_state().foot_force == (0.0,) * 4


def test_feet_on_the_floor_carry_the_whole_robot_and_the_others_nothing():
    robot = Robot(0.0)
    least = [math.inf] * 4
    for tick in range(100):
        walk(robot, 1 + tick / 50, x=0.5, since=tick / 50)
        force = robot.low_state().foot_force
        assert sum(force) == pytest.approx(97 + 84 + 81 + 81, abs=2)
        least = np.minimum(least, force)
        raised = feet(robot)[:, 2] > -0.28
        assert (np.array(force)[raised] < 1).all()
    assert (least == 0).all()


def quaternion_rate(robot, step):
    """Return the angular velocity in the body's frame by two orientations, and the time's end."""
    before = rotation(robot)
    robot.advance(robot._now + step)
    turned = before.T @ rotation(robot)
    return np.array([turned[2, 1], turned[0, 2], turned[1, 0]]) / step


def test_the_gyroscope_feels_how_the_orientation_changes():
    robot = Robot(0.0)
    walk(robot, 1.0, x=0.3, yaw=1.0)
    lean(robot, 1.0, roll=0.3, pitch=-0.2, yaw=0.4)
    robot.advance(1.1)
    robot.advance(1.105)
    turned = quaternion_rate(robot, 0.005)
    felt = robot.sport_mode_state(0.0).imu.angular_velocity
    assert felt == pytest.approx(turned, abs=0.02)
    assert abs(felt[0]) > 0.3
    assert abs(felt[1]) > 0.2


def test_roll_pitch_and_yaw_are_those_of_the_quaternion():
    robot = Robot(0.0)
    lean(robot, 0.0, roll=0.3, pitch=-0.2, yaw=0.4)
    robot.advance(3.0)
    imu = robot.sport_mode_state(0.0).imu
    assert imu.rpy == pytest.approx((0.3, -0.2, 0.4))
    # Rz(0.4) Ry(-0.2) Rx(0.3): its first column, and its last row's angle
    assert rotation(robot)[:, 0] == pytest.approx(
        (math.cos(0.4) * math.cos(0.2), math.sin(0.4) * math.cos(0.2), math.sin(0.2))
    )
    assert math.atan2(rotation(robot)[2, 1], rotation(robot)[2, 2]) == pytest.approx(0.3)
    assert robot.low_state().rpy == imu.rpy
    assert robot.robot_pose(0.0).orientation == imu.orientation


def test_a_leaning_robot_at_rest_feels_gravity_from_below():
    robot = Robot(0.0)
    lean(robot, 0.0, roll=0.3)
    robot.advance(3.0)
    imu = robot.sport_mode_state(0.0).imu
    # its left side is up: y points 0.3 rad above the horizon
    assert imu.linear_acceleration == pytest.approx(
        (0.0, 9.81 * math.sin(0.3), 9.81 * math.cos(0.3))
    )
    lean(robot, 3.0, pitch=0.2)
    robot.advance(6.0)
    imu = robot.sport_mode_state(0.0).imu
    # its nose is down: x points 0.2 rad below the horizon
    assert imu.linear_acceleration == pytest.approx(
        (-9.81 * math.sin(0.2), 0.0, 9.81 * math.cos(0.2))
    )


def test_a_leaning_robot_keeps_its_feet_on_their_spots():
    robot = Robot(0.0)
    before = on_ground(robot)
    lean(robot, 0.0, roll=0.2, pitch=0.15, yaw=0.3)
    robot.advance(3.0)
    assert on_ground(robot) == pytest.approx(before, abs=1e-6)


def test_the_accelerometer_feels_the_turn():
    robot = Robot(0.0)
    walk(robot, 2.0, x=0.5, yaw=1.0)
    # on a circle of 0.5 m/s and 1 rad/s: 0.5 m/s^2 to the left
    assert robot.sport_mode_state(0.0).imu.linear_acceleration == pytest.approx(
        (0.0, 0.5, 9.81), abs=0.01
    )


def test_the_accelerometer_feels_the_start():
    robot = Robot(0.0)
    move = json.dumps({'x': 1.0, 'y': 0, 'z': 0})
    robot.request(SportApi.MOVE, move, 0.0)
    robot.advance(0.005)
    # 1 - exp(-0.005 / 0.1) = 0.04877 m/s in 0.005 s
    assert robot.sport_mode_state(0.0).imu.linear_acceleration == pytest.approx(
        (9.754, 0.0, 9.81), abs=0.001
    )


def test_the_velocity_is_how_the_position_changes():
    robot = Robot(0.0)
    walk(robot, 1.0, x=0.4, y=0.2, yaw=0.5)
    before = robot.sport_mode_state(0.0)
    walk(robot, 1.005, x=0.4, y=0.2, yaw=0.5, since=1.0)
    state = robot.sport_mode_state(0.0)
    moved = (np.array(state.position) - before.position) / 0.005
    assert rotation(robot).T @ moved == pytest.approx(state.velocity, abs=0.01)


def test_standing_up_lifts_the_body_softly():
    robot = Robot(0.0, LYING)
    robot.request(SportApi.STAND_UP, '', 0.0)
    seen = []
    for tick in range(1, 161):
        robot.advance(tick * 0.005)
        seen.append((robot.pose.z, *robot.sport_mode_state(0.0).imu.linear_acceleration))
    assert seen[-1][0] == 0.32
    forces = np.array(seen)[:, 3]
    assert (forces > 9.81 - 7).all()
    assert (forces < 9.81 + 4).all()
    # what the accelerometer felt adds up to no speed at the end
    assert (forces - 9.81).sum() * 0.005 == pytest.approx(0.0, abs=1e-6)


def test_at_rest_the_robot_reports_what_a_real_one_did():
    state = Robot(0.0).sport_mode_state(0.0)
    assert (state.error_code, state.gait_type, state.progress) == (100, 0, 0.0)
    assert (state.body_height, state.foot_raise_height) == (0.32, 0.0)
    assert state.range_obstacle == state.foot_force == (0.0,) * 4


def test_a_walking_robot_reports_its_gait():
    robot = Robot(0.0)
    walk(robot, 1.0, x=0.5)
    state = robot.sport_mode_state(0.0)
    assert (state.mode, state.gait_type, state.foot_raise_height) == (Mode.LOCOMOTION, 1, 0.09)


def test_a_lower_body_bends_its_knees_more():
    robot = Robot(0.0, mode='normal')
    assert robot.request(NormalApi.BODY_HEIGHT, '{"data": -0.1}', 0.0) is Status.OK
    robot.advance(2.0)
    assert robot.sport_mode_state(0.0).body_height == pytest.approx(0.22)
    assert feet(robot)[:, 2] == pytest.approx([-0.22] * 4)


def test_the_battery_gives_the_recorded_voltage_at_the_recorded_charge_and_current():
    pack = Pack(0.55)
    pack.drain(Load(standing=1.0, speed=0.0), 0.0)
    assert pack.current == pytest.approx(-2.481, abs=0.01)
    assert pack.voltage == pytest.approx(28.33, abs=0.05)


def test_an_hour_of_standing_takes_its_ampere_hours():
    robot = Robot(0.0, charge=0.87)
    robot.advance(3600.0)
    state = robot.low_state()
    # 2.48 Ah of 15 Ah
    assert state.battery.charge == pytest.approx(0.87 - 2.48 / 15, abs=1e-6)
    assert state.voltage < Robot(0.0, charge=0.87).low_state().voltage


def test_walking_takes_more_and_lying_less():
    walking, lying = Robot(0.0), Robot(0.0, LYING)
    walk(walking, 1.0, x=1.0)
    currents = [robot.low_state().battery.current for robot in (walking, Robot(0.0), lying)]
    # 2.48 A and 4 A for 1 m/s
    assert currents == pytest.approx([-6.48, -2.48, -1.2], abs=0.01)


def test_an_empty_battery_stays_at_zero():
    robot = Robot(0.0, charge=0.01)
    robot.advance(36000.0)
    assert robot.low_state().battery.charge == 0.0


def test_motors_get_warmer_by_walking_and_cooler_again():
    robot = Robot(0.0)
    at_first = robot.low_state().motors[1].temperature
    walk(robot, 60.0, x=1.0)
    warm = robot.low_state().motors[1].temperature
    # 40 degrees at rest, 65 in the long run: 65 - 25 * exp(-60 / 120) = 49.8
    assert (at_first, warm) == (40.0, 50.0)
    robot.advance(4000.0)
    assert robot.low_state().motors[1].temperature == 40.0


def test_a_day_passes_at_once_for_a_robot_at_rest():
    robot = Robot(0.0)
    robot.advance(86400.0)
    assert robot.pose.x == 0.0
