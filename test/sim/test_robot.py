import json
import math

import pytest

from go2_webrtc_driver.protocol.topics import Mode, SportApi, Status
from go2_webrtc_driver.sim.brain.robot import LYING, Robot


def move(robot, now, x=0.0, y=0.0, yaw=0.0):
    return robot.request(SportApi.MOVE, json.dumps({'x': x, 'y': y, 'z': yaw}), now)


def test_a_move_walks_forward_and_expires_after_a_second():
    robot = Robot(0.0)
    assert move(robot, 0.0, x=0.5) is Status.OK
    robot.advance(0.9)
    assert robot.velocity[0] == pytest.approx(0.5, abs=0.01)
    robot.advance(3.0)
    assert robot.velocity == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    assert robot.pose.x == pytest.approx(0.5, abs=0.01)  # a first-order lag keeps the way
    assert robot.pose.y == 0.0


def test_a_repeated_move_goes_on():
    robot = Robot(0.0)
    for tenth in range(40):
        move(robot, tenth / 10, x=0.5)
    robot.advance(4.0)
    assert robot.pose.x == pytest.approx(4.0 * 0.5 - 0.05, abs=0.01)


def test_turning_is_counterclockwise_and_left_is_left_of_the_heading():
    robot = Robot(0.0)
    move(robot, 0.0, yaw=math.pi / 2)
    robot.advance(3.0)
    assert robot.pose.yaw == pytest.approx(math.pi / 2, abs=0.01)
    move(robot, 3.0, x=1.0)
    robot.advance(6.0)
    assert (robot.pose.x, robot.pose.y) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.02))


def test_stop_move_ends_a_move():
    robot = Robot(0.0)
    move(robot, 0.0, x=1.0)
    assert robot.request(SportApi.STOP_MOVE, '', 0.5) is Status.OK
    robot.advance(1.2)
    assert robot.velocity[0] < 0.01


def test_a_robot_that_lies_refuses_to_walk_until_it_stands():
    robot = Robot(0.0, LYING)
    assert move(robot, 0.0, x=1.0) is Status.SPORT_ERROR
    assert robot.request(SportApi.STAND_UP, '', 0.0) is Status.OK
    robot.advance(1.0)
    assert robot.pose.z == pytest.approx(0.32)
    assert move(robot, 1.0, x=1.0) is Status.OK


@pytest.mark.parametrize(
    ('api', 'mode'),
    [
        (SportApi.DAMP, Mode.DAMPING), (SportApi.STAND_DOWN, Mode.LIE_DOWN),
        (SportApi.SIT, Mode.SIT), (SportApi.RECOVERY_STAND, Mode.BALANCE_STAND),
    ],
)  # fmt: skip
def test_a_posture_stops_the_robot_and_shows_in_its_mode(api, mode):
    robot = Robot(0.0)
    move(robot, 0.0, x=1.0)
    assert robot.request(api, '', 0.5) is Status.OK
    robot.advance(2.0)
    assert robot.sport_mode_state(0.0).mode == mode
    assert robot.velocity[0] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(
    'parameter', ['', '{}', '[]', '{"x":"a","y":0,"z":0}', '{"x":1e999,"y":0,"z":0}', '7']
)
def test_a_bad_move_is_a_bad_parameter_and_does_not_move(parameter):
    robot = Robot(0.0)
    assert robot.request(SportApi.MOVE, parameter, 0.0) is Status.BAD_PARAMETER
    robot.advance(1.0)
    assert robot.pose.x == 0.0


def test_an_unknown_request_is_not_implemented():
    assert Robot(0.0).request(9999, '', 0.0) is Status.API_NOT_IMPLEMENTED


def test_states_agree_with_the_motion():
    robot = Robot(0.0)
    move(robot, 0.0, x=0.5, yaw=0.5)
    robot.advance(0.9)
    state, pose = robot.sport_mode_state(5.0), robot.robot_pose(5.0)
    assert state.mode == Mode.LOCOMOTION
    assert state.velocity[0] == pytest.approx(0.5, abs=0.01)
    assert state.yaw_speed == state.imu.angular_velocity[2] == pytest.approx(0.5, abs=0.01)
    assert state.position == pose.position
    assert 2 * math.atan2(pose.orientation[2], pose.orientation[3]) == pytest.approx(
        robot.pose.yaw
    )
