"""The APIs of the simulated robot's services: what is asked, answered, and what then happens."""

import json
import math

import pytest

from go2_webrtc_driver.protocol.topics import (
    McfApi,
    Mode,
    MotionSwitcherApi,
    NormalApi,
    ObstaclesAvoidApi,
    SportApi,
    Status,
    Topic,
    VuiApi,
)
from go2_webrtc_driver.sim.brain.apis import Services
from go2_webrtc_driver.sim.brain.robot import LYING, Robot
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.world.avoidance import clearance
from go2_webrtc_driver.sim.world.world import Box

SPORT = Topic.SPORT_REQUEST.value
SWITCHER = Topic.MOTION_SWITCHER_REQUEST.value
AVOID = Topic.OBSTACLES_AVOID_REQUEST.value
VUI = Topic.VUI_REQUEST.value
FORWARD = {'x': 0.5, 'y': 0, 'z': 0}


class Clocked:
    """A robot, its services, and the time."""

    def __init__(self, **robot):
        self.now = 0.0
        self.robot = Robot(0.0, **robot)
        self.services = Services(self.robot)

    def ask(self, topic, api_id, parameter=None):
        """Return the status and what was answered; None if the service is silent."""
        text = '' if parameter is None else json.dumps(parameter)
        reply = self.services.answer(topic, api_id, text, self.now)
        if reply.silent:
            return None
        return reply.status, reply.text and json.loads(reply.text)

    def status(self, api_id, parameter=None):
        return self.ask(SPORT, api_id, parameter)[0]

    def after(self, seconds, again=lambda: None):
        """Let time pass, doing ``again`` every tenth of a second; return the robot."""
        for _ in range(round(seconds * 10)):
            again()
            self.now += 0.1
            self.robot.advance(self.now)
        return self.robot

    def stick(self, **sticks):
        zero = {'lx': 0, 'ly': 0, 'rx': 0, 'ry': 0, 'keys': 0}
        self.services.steer({**zero, **sticks}, self.now)

    def walk_avoiding(self, x, y=0.0, yaw=0.0):
        return self.ask(AVOID, ObstaclesAvoidApi.MOVE, {'x': x, 'y': y, 'yaw': yaw, 'mode': 0})


@pytest.mark.parametrize('api', SportApi)
@pytest.mark.parametrize('mode', ['mcf', 'normal'])
def test_both_modes_have_the_shared_requests(mode, api):
    assert Clocked(mode=mode).status(api, []) is not Status.API_NOT_IMPLEMENTED


@pytest.mark.parametrize('api', set(NormalApi) - {NormalApi.TRAJECTORY_FOLLOW})
def test_a_request_of_the_normal_mode_is_unknown_in_mcf(api):
    assert Clocked(mode='mcf').status(api, {'data': 0}) is Status.API_NOT_IMPLEMENTED
    assert Clocked(mode='normal').status(api, {'data': 0}) is Status.OK


@pytest.mark.parametrize('api', McfApi)
def test_a_request_of_mcf_is_unknown_in_the_normal_mode(api):
    assert Clocked(mode='normal').status(api, {'data': True}) is Status.API_NOT_IMPLEMENTED
    assert Clocked(mode='mcf').status(api, {'data': True}) is Status.OK


def test_a_path_to_follow_is_not_implemented():
    go2 = Clocked(mode='normal')
    assert go2.status(NormalApi.TRAJECTORY_FOLLOW, []) is Status.API_NOT_IMPLEMENTED


def test_a_gesture_takes_its_time_and_move_is_refused_meanwhile():
    go2 = Clocked()
    assert go2.status(SportApi.HELLO) is Status.OK
    state = go2.after(1.0).sport_mode_state(0.0)
    assert (state.mode, state.progress) == (Mode.POSE, pytest.approx(0.25))
    assert go2.status(SportApi.MOVE, FORWARD) is Status.SPORT_ERROR
    assert go2.status(SportApi.DANCE1) is Status.SPORT_ERROR
    state = go2.after(3.1).sport_mode_state(0.0)
    assert (state.mode, state.progress) == (Mode.BALANCE_STAND, 0.0)
    assert go2.status(SportApi.MOVE, FORWARD) is Status.OK


def test_a_gesture_ends_a_walk():
    go2 = Clocked()
    go2.status(SportApi.MOVE, FORWARD)
    go2.after(0.5)
    go2.status(SportApi.HELLO)
    assert go2.after(1.0).velocity == (0.0, 0.0, 0.0)


@pytest.mark.parametrize('api', [SportApi.STOP_MOVE, SportApi.DAMP, SportApi.BALANCE_STAND])
def test_a_stop_or_a_posture_ends_a_gesture(api):
    go2 = Clocked()
    go2.status(SportApi.DANCE2)
    assert go2.status(api) is Status.OK
    assert go2.robot.sport_mode_state(0.0).mode != Mode.POSE


def test_a_gesture_that_is_switched_off_ends():
    go2 = Clocked()
    go2.status(McfApi.HANDSTAND, {'data': True})
    assert go2.status(McfApi.HANDSTAND, {'data': False}) is Status.OK
    assert go2.status(SportApi.MOVE, FORWARD) is Status.OK


def test_a_flip_shows_in_the_mode():
    go2 = Clocked()
    go2.status(SportApi.FRONT_FLIP)
    assert go2.robot.sport_mode_state(0.0).mode == Mode.FRONT_FLIP


def test_a_robot_that_lies_makes_no_gestures_and_does_not_lean():
    go2 = Clocked(posture=LYING)
    assert go2.status(SportApi.HELLO) is Status.SPORT_ERROR
    assert go2.status(SportApi.EULER, {'x': 0.1, 'y': 0, 'z': 0}) is Status.SPORT_ERROR


def test_standing_up_locks_the_joints_until_the_robot_balances():
    go2 = Clocked(posture=LYING)
    go2.status(SportApi.STAND_UP)
    assert go2.after(1.0).sport_mode_state(0.0).mode == Mode.JOINT_LOCK
    go2.status(SportApi.BALANCE_STAND)
    assert go2.robot.sport_mode_state(0.0).mode == Mode.BALANCE_STAND


def test_the_lean_is_cut_to_the_limits_and_a_posture_ends_it():
    go2 = Clocked()
    go2.status(SportApi.EULER, {'x': -3, 'y': 0, 'z': 3})
    assert go2.after(3.0).lean == pytest.approx((-0.75, 0.0, 0.6))
    go2.status(SportApi.BALANCE_STAND)
    assert go2.after(3.0).lean == (0.0, 0.0, 0.0)
    assert go2.robot.pose.yaw == pytest.approx(0.0)


@pytest.mark.parametrize(
    ('api', 'parameter'),
    [
        (SportApi.EULER, {'x': 0.1}), (SportApi.EULER, {'x': math.inf, 'y': 0, 'z': 0}),
        (SportApi.SPEED_LEVEL, {'data': 2}), (SportApi.SPEED_LEVEL, None),
        (SportApi.SWITCH_JOYSTICK, {'data': 'on'}), (SportApi.GET_STATE, {}),
        (NormalApi.BODY_HEIGHT, {'data': 0.1}), (NormalApi.BODY_HEIGHT, [0.1]),
        (NormalApi.FOOT_RAISE_HEIGHT, {'data': -1}), (NormalApi.SWITCH_GAIT, {'data': 5}),
    ],
)  # fmt: skip
def test_a_parameter_out_of_its_range_is_refused(api, parameter):
    assert Clocked(mode='normal').status(api, parameter) is Status.BAD_PARAMETER


def test_what_was_set_can_be_asked_for():
    go2 = Clocked(mode='normal')
    go2.status(SportApi.SPEED_LEVEL, {'data': 1})
    go2.status(NormalApi.BODY_HEIGHT, {'data': -0.05})
    go2.status(NormalApi.FOOT_RAISE_HEIGHT, {'data': 0.02})
    go2.status(NormalApi.SWITCH_GAIT, {'data': 2})
    assert go2.ask(SPORT, SportApi.GET_SPEED_LEVEL) == (0, {'data': 1})
    assert go2.ask(SPORT, NormalApi.GET_BODY_HEIGHT) == (0, {'data': -0.05})
    assert go2.ask(SPORT, NormalApi.GET_FOOT_RAISE_HEIGHT) == (0, {'data': 0.02})
    assert go2.ask(SPORT, SportApi.GET_STATE, ['gait', 'speedLevel', 'unknown']) == (
        0, {'speedLevel': '1', 'gait': '2'},
    )  # fmt: skip


@pytest.mark.parametrize(('api', 'gait'), [(McfApi.TROT_RUN, 2), (McfApi.STATIC_WALK, 1)])
def test_the_gait_of_the_walk_is_reported(api, gait):
    go2 = Clocked()
    go2.status(api)
    go2.status(SportApi.MOVE, FORWARD)
    assert go2.after(0.5).sport_mode_state(0.0).gait_type == gait


def test_the_motion_switcher_tells_the_mode():
    assert Clocked().ask(SWITCHER, MotionSwitcherApi.CHECK_MODE) == (
        0, {'form': '0', 'name': 'mcf'},
    )  # fmt: skip


def test_selecting_a_mode_stands_the_robot_up_and_changes_its_requests():
    go2 = Clocked(posture=LYING)
    assert go2.ask(SWITCHER, MotionSwitcherApi.SELECT_MODE, {'name': 'normal'}) == (0, '')
    assert go2.ask(SWITCHER, MotionSwitcherApi.CHECK_MODE)[1]['name'] == 'normal'
    assert go2.after(1.0).pose.z == 0.32
    assert go2.status(McfApi.TROT_RUN) is Status.API_NOT_IMPLEMENTED


def test_a_released_mode_damps_the_robot_and_refuses_sport():
    go2 = Clocked()
    assert go2.ask(SWITCHER, MotionSwitcherApi.RELEASE_MODE) == (0, '')
    assert go2.ask(SWITCHER, MotionSwitcherApi.CHECK_MODE)[1]['name'] == ''
    assert go2.after(1.0).sport_mode_state(0.0).mode == Mode.DAMPING
    assert go2.status(SportApi.STAND_UP) is Status.SPORT_NOT_INITIALIZED


@pytest.mark.parametrize('parameter', [None, {}, {'name': 'other'}, {'name': ''}])
def test_a_mode_that_does_not_exist_is_refused(parameter):
    go2 = Clocked()
    answer = go2.ask(SWITCHER, MotionSwitcherApi.SELECT_MODE, parameter)
    assert answer == (Status.BAD_PARAMETER, '')
    assert go2.robot.sport.mode == 'mcf'


BOX = Box((2.0, 0.0, 0.5), (0.4, 0.4, 1.0), (0, 0, 0))


@pytest.mark.parametrize(
    ('pose', 'distance'),
    [
        (Pose(), 2.0 - 0.2 - 0.35),
        (Pose(x=1.0, y=0.35), 1.0 - 0.2 - 0.35),
        (Pose(y=0.37), math.inf),
        (Pose(x=3.0), math.inf),
        (Pose(x=3.0, yaw=math.pi), 1.0 - 0.2 - 0.35),
        (Pose(x=2.0, y=-1.0, yaw=math.pi / 2), 1.0 - 0.2 - 0.35),
        (Pose(yaw=math.pi / 2), math.inf),
        # from the south-west the corner at (1.8, -0.2) comes first
        (Pose(x=0.8, y=-1.2, yaw=math.pi / 4), math.sqrt(2) - 0.35),
        (Pose(x=1.7), 0.0),
    ],
)
def test_the_clearance_is_measured_from_the_nose_to_what_is_in_the_way(pose, distance):
    assert clearance(pose, [BOX]) == pytest.approx(distance)


def test_a_free_world_has_no_end():
    assert clearance(Pose(), []) == math.inf


def test_avoidance_is_switched_and_asked():
    go2 = Clocked()
    assert go2.ask(AVOID, ObstaclesAvoidApi.SWITCH_GET) == (0, {'enable': False})
    assert go2.ask(AVOID, ObstaclesAvoidApi.SWITCH_SET, {'enable': True}) == (0, '')
    assert go2.ask(AVOID, ObstaclesAvoidApi.SWITCH_GET) == (0, {'enable': True})
    assert go2.robot.multiple_state().obstacle_avoidance is True


def test_a_move_of_the_avoidance_works_only_in_place_of_the_remote_and_is_not_answered():
    go2 = Clocked()
    assert go2.walk_avoiding(0.5) == (3202, '')
    assert go2.after(1.0).pose.x == 0.0
    go2.ask(AVOID, ObstaclesAvoidApi.USE_REMOTE_COMMAND_FROM_API,
            {'is_remote_commands_from_api': True})  # fmt: skip
    assert go2.services.remote_from_api
    assert go2.walk_avoiding(0.5) is None
    assert go2.after(3.0).pose.x == pytest.approx(0.5, abs=0.01)


def test_a_walk_with_avoidance_stops_before_the_red_box():
    go2 = avoiding()
    go2.after(10.0, lambda: go2.walk_avoiding(1.0))
    # its side is at 2.8 m: 0.4 m before it stands the nose, 0.35 m behind that the middle
    assert go2.robot.pose.x == pytest.approx(2.8 - 0.4 - 0.35, abs=0.02)
    assert go2.robot.pose.x < 2.06
    assert go2.robot.velocity[0] == pytest.approx(0.0, abs=0.01)


def test_a_walk_with_avoidance_may_go_back_and_turn_at_the_box():
    go2 = avoiding()
    go2.after(10.0, lambda: go2.walk_avoiding(1.0))
    go2.after(2.0, lambda: go2.walk_avoiding(-0.5, yaw=0.5))
    assert go2.robot.velocity == pytest.approx((-0.5, 0.0, 0.5), abs=0.01)


def test_the_joystick_is_filtered_by_avoidance_too():
    go2 = Clocked()
    go2.ask(AVOID, ObstaclesAvoidApi.SWITCH_SET, {'enable': True})
    go2.after(10.0, lambda: go2.stick(ly=1.0))
    assert go2.robot.pose.x == pytest.approx(2.05, abs=0.02)


def test_move_of_sport_walks_through_the_box_with_avoidance_on():
    go2 = avoiding()
    go2.after(10.0, lambda: go2.status(SportApi.MOVE, FORWARD))
    assert go2.robot.pose.x == pytest.approx(4.95, abs=0.01)


def test_without_avoidance_the_avoidance_s_move_is_not_filtered():
    go2 = avoiding()
    go2.ask(AVOID, ObstaclesAvoidApi.SWITCH_SET, {'enable': False})
    go2.after(10.0, lambda: go2.walk_avoiding(0.5))
    assert go2.robot.pose.x == pytest.approx(4.95, abs=0.01)


def avoiding():
    go2 = Clocked()
    go2.ask(AVOID, ObstaclesAvoidApi.SWITCH_SET, {'enable': True})
    go2.ask(AVOID, ObstaclesAvoidApi.USE_REMOTE_COMMAND_FROM_API,
            {'is_remote_commands_from_api': True})  # fmt: skip
    return go2


@pytest.mark.parametrize(
    ('sticks', 'velocity'),
    [
        ({'ly': 1.0}, (1.0, 0.0, 0.0)),
        ({'ly': -0.5}, (-0.5, 0.0, 0.0)),
        ({'lx': 1.0}, (0.0, -0.5, 0.0)),
        ({'rx': 1.0}, (0.0, 0.0, -1.0)),
        ({'ry': 1.0}, (0.0, 0.0, 0.0)),
        ({'ly': 7.0}, (1.0, 0.0, 0.0)),
    ],
)
def test_a_stick_moves_the_robot_to_its_side(sticks, velocity):
    go2 = Clocked()
    go2.after(1.0, lambda: go2.stick(**sticks))
    assert go2.robot.velocity == pytest.approx(velocity, abs=0.01)


def test_a_stick_counts_for_a_second():
    go2 = Clocked()
    go2.stick(ly=1.0)
    assert go2.after(0.9).velocity[0] == pytest.approx(1.0, abs=0.01)
    assert go2.after(1.5).velocity == (0.0, 0.0, 0.0)


def test_the_joystick_can_be_switched_off_and_on():
    go2 = Clocked()
    go2.status(SportApi.SWITCH_JOYSTICK, {'data': False})
    go2.after(1.0, lambda: go2.stick(ly=1.0))
    assert go2.robot.pose.x == 0.0
    go2.status(SportApi.SWITCH_JOYSTICK, {'data': True})
    go2.after(1.0, lambda: go2.stick(ly=1.0))
    assert go2.robot.pose.x > 0.5


def test_the_joystick_is_dead_while_the_api_has_its_place():
    go2 = avoiding()
    go2.after(1.0, lambda: go2.stick(ly=1.0))
    assert go2.robot.pose.x == 0.0


@pytest.mark.parametrize('sticks', [None, [], {}, {'lx': 0, 'ly': 'full', 'rx': 0}])
def test_a_bad_stick_does_nothing(sticks):
    go2 = Clocked()
    go2.services.steer(sticks, 0.0)
    assert go2.after(0.5).velocity == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ('set_', 'get', 'name'),
    [
        (VuiApi.SET_VOLUME, VuiApi.GET_VOLUME, 'volume'),
        (VuiApi.SET_BRIGHTNESS, VuiApi.GET_BRIGHTNESS, 'brightness'),
        (VuiApi.SET_SWITCH, VuiApi.GET_SWITCH, 'enable'),
    ],
)
def test_what_was_set_of_lamp_and_loudspeaker_can_be_asked_for(set_, get, name):
    go2 = Clocked()
    assert go2.ask(VUI, set_, {name: 1}) == (0, '')
    assert go2.ask(VUI, get) == (0, {name: 1})
    assert go2.ask(VUI, set_, {name: 11}) == (Status.BAD_PARAMETER, '')
    assert go2.ask(VUI, set_, {name: 'loud'}) == (Status.BAD_PARAMETER, '')
    assert go2.ask(VUI, get) == (0, {name: 1})


def test_volume_and_brightness_show_in_the_multiple_state():
    go2 = Clocked()
    assert (go2.robot.multiple_state().volume, go2.robot.multiple_state().brightness) == (7, 0)
    go2.ask(VUI, VuiApi.SET_VOLUME, {'volume': 3})
    go2.ask(VUI, VuiApi.SET_BRIGHTNESS, {'brightness': 10})
    assert (go2.robot.multiple_state().volume, go2.robot.multiple_state().brightness) == (3, 10)


def test_the_leds_take_a_color_that_exists():
    go2 = Clocked()
    assert go2.ask(VUI, VuiApi.SET_COLOR, {'color': 'purple', 'time': 5}) == (0, '')
    assert go2.services.color == {'color': 'purple', 'time': 5}
    assert go2.ask(VUI, VuiApi.SET_COLOR, {'color': 'black'}) == (Status.BAD_PARAMETER, '')


@pytest.mark.parametrize(
    ('word', 'on'), [('off', False), ('OFF', False), ('on', True), ('ON', True), (7, True)]
)
def test_the_lidar_is_on_until_it_is_switched_off(word, on):
    services = Clocked().services
    assert services.lidar_on
    services.switch_lidar(word)
    assert services.lidar_on is on


@pytest.mark.parametrize('topic', [SWITCHER, AVOID, VUI, 'rt/api/unknown/request'])
def test_a_request_that_a_service_does_not_have_is_not_implemented(topic):
    assert Clocked().ask(topic, 9999) == (Status.API_NOT_IMPLEMENTED, '')
