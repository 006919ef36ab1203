import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from go2_webrtc_driver.errors import DecodeError, InvalidCommand
from go2_webrtc_driver.protocol import commands
from go2_webrtc_driver.protocol.actions import ACTIONS, BY_NAME, GAITS, decode_mode
from go2_webrtc_driver.protocol.faults import RobotFault, update_faults
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.motion import MOTIONS
from go2_webrtc_driver.protocol.topics import MessageType, Topic

NONE = frozenset()


def message(kind, data):
    return Message(kind, '', data)


@pytest.mark.parametrize(
    ('name', 'normal', 'mcf'),
    [
        ('damp', 1001, 1001), ('stand_up', 1004, 1004), ('recovery_stand', 1006, 1006),
        ('hello', 1016, 1016), ('front_flip', 1030, 1030), ('left_flip', 1042, 2041),
        ('back_flip', 1044, 2043), ('handstand', 1301, 2044), ('wallow', 1021, None),
    ],
)  # fmt: skip
def test_an_action_has_its_own_number_in_each_mode(name, normal, mcf):
    assert BY_NAME[name].request('normal').api_id == normal
    if mcf is None:
        with pytest.raises(InvalidCommand, match="'mcf' does not have it"):
            BY_NAME[name].request('mcf')
    else:
        assert BY_NAME[name].request('mcf').api_id == mcf


def test_what_leaves_the_ground_is_acrobatic():
    acrobatic = {action.name for action in ACTIONS if action.acrobatic}
    assert acrobatic == {
        'front_flip', 'front_jump', 'front_pounce', 'left_flip', 'right_flip', 'back_flip',
        'handstand',
    }  # fmt: skip


def test_a_gait_of_the_other_mode_is_refused():
    assert GAITS['static_walk'].request('mcf').api_id == 1061
    with pytest.raises(InvalidCommand, match='static_walk'):
        GAITS['static_walk'].request('normal')


@pytest.mark.parametrize(
    ('data', 'mode'),
    [
        ({'data': '{"form": "0", "name": "mcf"}'}, 'mcf'),
        ({'data': '{"form": "0", "name": "ai"}'}, 'ai'),
        ({'data': '{"name": ""}'}, 'normal'), ({'data': '{"name": 7}'}, 'normal'),
        ({'data': 'garbage'}, 'normal'), ({'data': None}, 'normal'), ({}, 'normal'),
        (None, 'normal'), ({'data': '[' * 100_000}, 'normal'),
        ({'data': '{"name": "\\ud800"}'}, 'normal'), ({'data': '{"name": "a\\nb"}'}, 'normal'),
    ],
)  # fmt: skip
def test_the_mode_is_what_the_robot_says_or_normal(data, mode):
    assert decode_mode(message(MessageType.RESPONSE, data)) == mode


def test_faults_are_added_and_removed_one_by_one_and_replaced_by_a_list():
    faults = update_faults(NONE, message(MessageType.FAULTS, [[1, 300, 16], [1, 600, 8]]))
    assert faults == {RobotFault(300, 16), RobotFault(600, 8)}
    faults = update_faults(faults, message(MessageType.FAULT_ADDED, [2, 100, 1]))
    faults = update_faults(faults, message(MessageType.FAULT_REMOVED, [2, 600, 8]))
    assert faults == {RobotFault(300, 16), RobotFault(100, 1)}
    assert update_faults(faults, message(MessageType.FAULTS, [])) == NONE


def test_a_fault_is_told_in_words_and_in_the_vendors_number():
    assert str(RobotFault(300, 16)) == 'motor: winding overheating (300_10)'
    assert str(RobotFault(600, 8)) == 'motion control: low battery protection (600_8)'
    assert str(RobotFault(999, 255)) == 'source 999: unknown (999_FF)'


@pytest.mark.parametrize(
    'data',
    [None, 7, 'x', {}, [1], [1, 2], [1, '2', 3], [1, 2, 3.5], [1, True, 3], [1, -2, 3],
     [1, 2, 1 << 40]],
)  # fmt: skip
def test_a_bad_fault_is_a_decode_error(data):
    with pytest.raises(DecodeError, match='errors: expected'):
        update_faults(NONE, message(MessageType.FAULT_ADDED, data))


def test_a_flood_of_faults_does_not_fill_the_memory():
    with pytest.raises(DecodeError, match='expected a list of faults'):
        update_faults(NONE, message(MessageType.FAULTS, [[1, 2, 3]] * 1000))
    faults = NONE
    for code in range(1000):
        faults = update_faults(faults, message(MessageType.FAULT_ADDED, [1, 2, code]))
    assert len(faults) <= 256


@given(st.recursive(st.none() | st.integers() | st.text(), lambda each: st.lists(each)))
def test_whatever_comes_as_faults_is_taken_or_a_decode_error(data):
    for kind in (MessageType.FAULTS, MessageType.FAULT_ADDED, MessageType.FAULT_REMOVED):
        with contextlib.suppress(DecodeError):
            update_faults(NONE, message(kind, data))


def sent(name, x, y, yaw):
    return json.loads(commands.build(MOTIONS[name].move(x, y, yaw), 5))


def test_the_sport_interface_sends_move_in_metres_and_radians_per_second():
    content = sent('sport', 0.5, -0.1, 0.3)
    assert content['topic'] == 'rt/api/sport/request'
    assert content['data']['header']['identity'] == {'id': 5, 'api_id': 1008}
    assert json.loads(content['data']['parameter']) == {'x': 0.5, 'y': -0.1, 'z': 0.3}


def test_the_avoiding_interface_sends_its_own_move_and_takes_its_flag_back():
    content = sent('obstacle_avoidance', 0.5, -0.1, 0.3)
    assert content['topic'] == 'rt/api/obstacles_avoid/request'
    assert content['data']['header']['identity']['api_id'] == 1003
    parameter = json.loads(content['data']['parameter'])
    assert parameter == {'x': 0.5, 'y': -0.1, 'yaw': 0.3, 'mode': 0}
    motion = MOTIONS['obstacle_avoidance']
    assert [(r.api_id, r.parameter) for r in motion.enable] == [
        (1001, {'enable': True}), (1004, {'is_remote_commands_from_api': True}),
    ]  # fmt: skip
    assert [(r.api_id, r.parameter) for r in motion.undo] == [
        (1004, {'is_remote_commands_from_api': False})
    ]


@pytest.mark.parametrize(
    ('velocity', 'sticks'),
    [
        ((0.5, 0.0, 0.0), {'lx': 0, 'ly': 0.5, 'rx': 0}),
        ((0.0, 0.25, 0.0), {'lx': -0.5, 'ly': 0, 'rx': 0}),
        ((0.0, 0.0, 0.5), {'lx': 0, 'ly': 0, 'rx': -0.5}),
        ((9.0, -9.0, -9.0), {'lx': 1.0, 'ly': 1.0, 'rx': 1.0}),
    ],
)
def test_the_joystick_interface_moves_the_sticks_of_a_remote(velocity, sticks):
    content = sent('joystick', *velocity)
    assert (content['type'], content['topic']) == ('msg', 'rt/wirelesscontroller')
    assert content['data'] == {**sticks, 'ry': 0, 'keys': 0}


def test_the_lidar_is_switched_by_a_message():
    content = json.loads(commands.build(commands.switch_lidar(True), 5))
    assert content == {'type': 'msg', 'topic': Topic.LIDAR_SWITCH.value, 'data': 'ON'}
