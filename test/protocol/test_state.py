import contextlib
import copy
import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from go2_webrtc_driver.errors import DecodeError
from go2_webrtc_driver.protocol import state
from go2_webrtc_driver.protocol.decoders import DECODERS
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.topics import MessageType, Topic

# Shapes and numbers of messages that others recorded on real robots.
SPORT = {
    'stamp': {'sec': 1746565669, 'nanosec': 500000000},
    'error_code': 100,
    'imu_state': {
        'quaternion': [0.9997, 0.0054, -0.009, 0.0206],
        'gyroscope': [0, 0.01, -0.5],
        'accelerometer': [0.12, -0.08, 9.54],
        'rpy': [0.01, -0.018, 0.041],
        'temperature': 79,
    },
    'mode': 0, 'progress': 0, 'gait_type': 0, 'foot_raise_height': 0,
    'position': [1, 2.5, 0.3], 'body_height': 0.32, 'velocity': [0.5, -0.1, 0], 'yaw_speed': 0.25,
    'range_obstacle': [0, 0, 0, 0], 'foot_force': [97, 84, 81, 80],
    'foot_position_body': [0] * 12, 'foot_speed_body': [0] * 12,
}  # fmt: skip
LOW = {
    'imu_state': {'rpy': [0.008086, -0.007515, 2.981771]},
    'motor_state': [
        {'q': 0.098092, 'temperature': 40, 'lost': 0, 'reserve': [0, 674]},
        *[{'q': 0, 'temperature': 35, 'lost': 2, 'reserve': [0, 0]}] * 19,
    ],
    'bms_state': {
        'version_high': 1, 'version_low': 18, 'soc': 55, 'current': -2481, 'cycle': 56,
        'bq_ntc': [30, 29], 'mcu_ntc': [33, 32],
    },
    'foot_force': [97, 84, 81, 80], 'temperature_ntc1': 48, 'power_v': 28.331045,
}  # fmt: skip
POSE = {
    'header': {'stamp': {'sec': 1746565669, 'nanosec': 448350564}, 'frame_id': 'odom'},
    'pose': {
        'position': {'x': 1.5, 'y': 0, 'z': 0.319509},
        'orientation': {'x': 0, 'y': 0, 'z': 0.6, 'w': 0.8},
    },
}
MULTIPLE = '{"brightness":0,"obstaclesAvoidSwitch":true,"uwbSwitch":true,"volume":7}'
RECORDED = {
    Topic.SPORT_MODE_STATE: SPORT,
    Topic.LOW_STATE: LOW,
    Topic.ROBOT_POSE: POSE,
    Topic.MULTIPLE_STATE: json.loads(MULTIPLE),
}


def decode(topic, data):
    return DECODERS[topic.value](Message(MessageType.MESSAGE, topic.value, data))


def test_the_sport_state_has_si_units_and_a_quaternion_with_w_last():
    sample = decode(Topic.SPORT_MODE_STATE, SPORT)
    assert sample.stamp == 1746565669.5
    assert sample.velocity == (0.5, -0.1, 0.0)
    assert sample.imu.orientation == pytest.approx((0.0054, -0.009, 0.0206, 0.9997), abs=1e-4)
    assert sum(part**2 for part in sample.imu.orientation) == pytest.approx(1.0)
    assert all(isinstance(part, float) for part in (*sample.velocity, *sample.position))


def test_the_low_state_has_si_units_and_twelve_motors():
    sample = decode(Topic.LOW_STATE, LOW)
    assert sample.battery.charge == 0.55
    assert sample.battery.current == -2.481
    assert sample.voltage == 28.331045
    assert [motor.position for motor in sample.motors] == [0.098092, *[0.0] * 11]
    assert sample.motors[1].lost == 2


def test_the_pose_is_read():
    sample = decode(Topic.ROBOT_POSE, POSE)
    assert sample.position == (1.5, 0.0, 0.319509)
    assert sample.orientation == pytest.approx((0.0, 0.0, 0.6, 0.8))


def test_the_multiple_state_comes_as_json_in_a_string_or_not():
    assert decode(Topic.MULTIPLE_STATE, MULTIPLE) == decode(
        Topic.MULTIPLE_STATE, json.loads(MULTIPLE)
    )
    assert decode(Topic.MULTIPLE_STATE, MULTIPLE).volume == 7


def flat(values):
    return [
        each for value in values for each in (flat(value) if isinstance(value, tuple) else [value])
    ]


@pytest.mark.parametrize('topic', RECORDED)
def test_a_state_survives_the_round_trip(topic):
    encode = getattr(state, DECODERS[topic.value].__name__.replace('decode', 'encode'))
    sample = decode(topic, RECORDED[topic])
    again = decode(topic, json.loads(json.dumps(encode(sample))))
    assert list(flat(dataclasses.astuple(again))) == pytest.approx(
        list(flat(dataclasses.astuple(sample))), abs=1e-6
    )


def test_the_robot_sends_zeros_as_integers():
    encoded = state.encode_sport_mode_state(decode(Topic.SPORT_MODE_STATE, SPORT))
    assert '"velocity": [0.5, -0.1, 0]' in json.dumps(encoded)


def leaves(content, path=()):
    if isinstance(content, dict):
        for name, value in content.items():
            yield from leaves(value, (*path, name))
    else:
        yield path


UNUSED = {
    'progress', 'foot_raise_height', 'foot_position_body', 'foot_speed_body', 'version_high',
    'version_low', 'frame_id',
}  # fmt: skip
CASES = [
    (topic, path)
    for topic, data in RECORDED.items()
    for path in leaves(data)
    if path[-1] not in UNUSED
]


@pytest.mark.parametrize('bad', [None, 'text', {}, [], [1], float('nan'), 10**400])
@pytest.mark.parametrize(('topic', 'path'), CASES)
def test_a_bad_field_is_one_decode_error_that_names_topic_and_field(topic, path, bad):
    data = copy.deepcopy(RECORDED[topic])
    spot = data
    for name in path[:-1]:
        spot = spot[name]
    spot[path[-1]] = bad
    told = complaint(topic, data)
    if topic in PARTS and path[0] not in PARTS[topic]:
        assert told == ''  # nothing needs it
    elif path[-1] in SPARE:
        assert told == ''
    else:
        assert topic.value in told
        assert path[-1] in told


PARTS = {  # of which each goes on without the others
    Topic.SPORT_MODE_STATE: ('velocity', 'imu_state'),
    Topic.LOW_STATE: ('motor_state', 'bms_state', 'foot_force'),
}
SPARE = ('lost',)


def complaint(topic, data):
    """Return the error that a packet gives, or the gaps that its sample has."""
    try:
        return '; '.join(getattr(decode(topic, data), 'gaps', ()))
    except DecodeError as error:
        return str(error)


@pytest.mark.parametrize('topic', PARTS)
def test_one_part_of_a_state_goes_on_without_the_others(topic):
    for part in PARTS[topic]:
        data = {part: RECORDED[topic][part]}
        sample = decode(topic, data)
        assert len(sample.gaps) == len(PARTS[topic]) - 1
    with pytest.raises(DecodeError, match=PARTS[topic][0]):
        decode(topic, {'nothing': 'of it'})


@pytest.mark.parametrize('bad', [1e39, -1e300, 10**39])
def test_a_number_that_would_be_infinite_in_a_message_of_ros_is_none(bad):
    """Volts and forces are float32 there."""
    assert math.isnan(decode(Topic.LOW_STATE, {**LOW, 'power_v': bad}).voltage)
    assert 'foot_force: expected 4 finite numbers' in complaint(
        Topic.LOW_STATE, {**LOW, 'foot_force': [0, 0, 0, bad]}
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.parametrize('topic', RECORDED)
@given(content=ANYTHING)
def test_any_content_is_a_state_or_a_decode_error(topic, content):
    with contextlib.suppress(DecodeError):
        decode(topic, content)
