"""Samples of the robot as messages, against numbers made by hand."""

import json
import logging
import math
import types
from dataclasses import replace

import cv2
import numpy as np
import pytest
import rclpy.logging
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import BatteryState

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.errors import ConfigError, InvalidCommand
from go2_webrtc_driver.protocol.faults import RobotFault
from go2_webrtc_driver.protocol.messages import Message
from go2_webrtc_driver.protocol.state import (
    Battery,
    LowState,
    Motor,
    RobotPose,
    decode_low_state,
    decode_sport_mode_state,
)
from go2_webrtc_driver.protocol.topics import MessageType, Topic
from go2_webrtc_driver.ros import log_bridge, publications
from go2_webrtc_driver.ros.conversions import (
    JOINT_NAMES,
    to_battery_state,
    to_compressed_image,
    to_foot_force,
    to_header,
    to_imu,
    to_joint_state,
    to_transform,
)
from go2_webrtc_driver.ros.diagnostics import HOT_MOTOR, STUCK, Diagnostics
from go2_webrtc_driver.ros.services import Services, parse_request
from go2_webrtc_driver.ros.stamps import Stamps, age
from go2_webrtc_driver.session.lasting import Status, Stream

STAMP = Time(sec=12, nanosec=34)

# As recorded of a real robot (dimos, type/lowstate.py), shortened to what is read.
RECORDED = {
    'imu_state': {'rpy': [0.008086, -0.007515, 2.981771]},
    'motor_state': [{'q': 0.1 * n, 'temperature': 30 + n, 'lost': 0} for n in range(20)],
    'bms_state': {'soc': 55, 'current': -2481, 'cycle': 56,
                  'bq_ntc': [30, 29], 'mcu_ntc': [33, 32]},
    'foot_force': [97, 84, 81, 81], 'temperature_ntc1': 48, 'power_v': 28.331045,
}  # fmt: skip
LOW = decode_low_state(Message(MessageType.MESSAGE, Topic.LOW_STATE.value, RECORDED))


def header(frame=''):
    return to_header(STAMP, frame)


def battery(charge=0.5, current=-1.0, temperature=30.0):
    pack = Battery(charge, current, 5, (temperature, 20.0, 20.0, 20.0))
    motors = tuple(Motor(0.0, 30.0, 0) for _ in range(12))
    return LowState((0.0,) * 3, motors, pack, 28.0, 40.0, (0.0,) * 4)


def test_joint_states_name_the_wires_joints_in_urdf_names():
    message = to_joint_state(LOW.motors, header())
    assert list(message.name) == [
        'FR_hip_joint', 'FR_thigh_joint', 'FR_calf_joint',
        'FL_hip_joint', 'FL_thigh_joint', 'FL_calf_joint',
        'RR_hip_joint', 'RR_thigh_joint', 'RR_calf_joint',
        'RL_hip_joint', 'RL_thigh_joint', 'RL_calf_joint',
    ]  # fmt: skip
    assert message.position == pytest.approx([0.1 * n for n in range(12)])
    assert (len(message.velocity), len(message.effort)) == (0, 0)
    assert message.header.stamp == STAMP


def test_the_battery_is_in_ros_units():
    message = to_battery_state(LOW.battery, LOW.voltage, header('base_link'))
    assert message.percentage == pytest.approx(0.55)
    assert message.current == pytest.approx(-2.481)
    assert message.voltage == pytest.approx(28.331045)
    assert message.temperature == 33.0
    assert message.power_supply_status == BatteryState.POWER_SUPPLY_STATUS_DISCHARGING
    assert message.power_supply_health == BatteryState.POWER_SUPPLY_HEALTH_GOOD
    assert message.present
    assert math.isnan(message.charge)
    assert len(message.cell_voltage) == 0


@pytest.mark.parametrize(
    ('charge', 'current', 'status'),
    [
        (0.5, -1.0, 'DISCHARGING'), (0.5, 2.0, 'CHARGING'), (1.0, 2.0, 'FULL'),
        (0.5, 0.0, 'NOT_CHARGING'), (1.0, -1.0, 'DISCHARGING'),
    ],
)  # fmt: skip
def test_the_status_of_the_battery_follows_its_current(charge, current, status):
    message = to_battery_state(battery(charge, current).battery, 28.0, header())
    assert message.power_supply_status == getattr(BatteryState, f'POWER_SUPPLY_STATUS_{status}')


def test_a_hot_battery_is_not_healthy():
    message = to_battery_state(battery(temperature=61.0).battery, 28.0, header())
    assert message.power_supply_health == BatteryState.POWER_SUPPLY_HEALTH_OVERHEAT


def test_foot_forces_are_the_raw_numbers_in_the_order_of_the_legs():
    message = to_foot_force(LOW.foot_force)
    assert list(message.data) == [97.0, 84.0, 81.0, 81.0]
    assert message.layout.dim[0].label == 'FR FL RR RL'


def sport_state(yaw=math.pi / 2):
    """The wire's form of a robot that has turned left by ``yaw``, w first."""
    data = {
        'stamp': {'sec': 1, 'nanosec': 0}, 'error_code': 100,
        'imu_state': {
            'quaternion': [math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)],
            'gyroscope': [0.1, 0.2, 0.3], 'accelerometer': [0.12, -0.08, 9.54],
            'rpy': [0, 0, yaw], 'temperature': 79,
        },
        'mode': 3, 'gait_type': 1, 'body_height': 0.32, 'position': [0, 0, 0],
        'velocity': [0.5, 0, 0], 'yaw_speed': 0.3, 'foot_force': [0] * 4,
        'range_obstacle': [0] * 4,
    }  # fmt: skip
    return decode_sport_mode_state(
        Message(MessageType.MESSAGE, Topic.SPORT_MODE_STATE.value, data)
    )


def test_the_imu_has_the_quaternion_in_ros_order_and_covariances():
    message = to_imu(sport_state().imu, header('imu_link'))
    q = message.orientation
    assert (q.x, q.y, q.z, q.w) == pytest.approx((0.0, 0.0, 0.70710678, 0.70710678))
    rate, acceleration = message.angular_velocity, message.linear_acceleration
    assert (rate.x, rate.y, rate.z) == (0.1, 0.2, 0.3)
    assert (acceleration.x, acceleration.y, acceleration.z) == (0.12, -0.08, 9.54)
    for covariance in (
        message.orientation_covariance, message.angular_velocity_covariance,
        message.linear_acceleration_covariance,
    ):  # fmt: skip
        diagonal = covariance.reshape(3, 3).diagonal()
        assert (diagonal > 0.0).all()
        assert covariance.sum() == pytest.approx(diagonal.sum())


def test_the_transform_is_the_pose():
    pose = RobotPose(0.0, (1.0, 2.0, 0.32), (0.0, 0.0, 0.6, 0.8))
    message = to_transform(pose, header('odom'), 'base_link')
    translation, rotation = message.transform.translation, message.transform.rotation
    assert (translation.x, translation.y, translation.z) == (1.0, 2.0, 0.32)
    assert (rotation.x, rotation.y, rotation.z, rotation.w) == (0.0, 0.0, 0.6, 0.8)
    assert (message.header.frame_id, message.child_frame_id) == ('odom', 'base_link')


class Picture:
    width, height = 64, 48

    def to_ndarray(self, *, format):
        assert format == 'bgr24'
        return np.full((48, 64, 3), (200, 100, 50), np.uint8)


def test_a_compressed_picture_is_a_jpeg_of_the_same_colours():
    message = to_compressed_image(Picture(), 90, header('camera'))
    assert message.format == 'bgr8; jpeg compressed bgr8'
    assert bytes(message.data[:2]) == b'\xff\xd8'
    decoded = cv2.imdecode(np.asarray(message.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded.astype(int) - (200, 100, 50)).max() <= 4


def test_stamps_never_go_backwards_but_follow_a_clock_that_was_set():
    clock = iter([5_000_000_000, 5_000_000_000, 4_900_000_000, 6_000_000_000, 1_000_000_000])
    stamps = Stamps(lambda: next(clock))
    times = [stamps.next('a') for _ in range(5)]
    assert [each.sec * 10**9 + each.nanosec for each in times] == [
        5_000_000_000, 5_000_000_001, 5_000_000_002, 6_000_000_000, 1_000_000_000,
    ]  # fmt: skip


AWAY = Status(
    at=0.0, connected=False, reason='robot X: expected ICE', away_for=2.5, owner_is_stuck=False,
    links=0, dropped=0, mode='',
)  # fmt: skip
HERE = replace(AWAY, connected=True, reason='', away_for=0.0, links=2, mode='mcf')


def told(status, diagnostics=None):
    """Return what diagnostics tell of a status, by the end of each name."""
    array = (diagnostics or Diagnostics('go2')).array(status, STAMP)
    return {status.name.rpartition(': ')[2]: status for status in array.status}


def values(status):
    return {pair.key: pair.value for pair in status.values}


def test_diagnostics_say_that_the_node_is_not_active_and_why_if_it_was_not_asked_to():
    diagnostics = Diagnostics('go2')
    diagnostics.hardware_id = 'B42'
    status = told(None, diagnostics)['connection']
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'not active')
    assert (status.name, status.hardware_id) == ('go2: connection', 'B42')
    diagnostics.loss = 'robot X: silent'
    status = told(None, diagnostics)['connection']
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == 'not active any more: robot X: silent'


def test_diagnostics_of_a_robot_that_is_away_are_an_error_with_the_reason():
    statuses = told(AWAY)
    assert statuses['connection'].level == DiagnosticStatus.ERROR
    assert statuses['connection'].message == 'robot X: expected ICE'
    assert values(statuses['connection'])['away for [s]'] == '2.5'
    assert 'robot' not in statuses


def test_diagnostics_of_a_connected_robot_tell_mode_temperatures_and_battery():
    statuses = told(replace(HERE, sport=sport_state(), low=LOW))
    assert statuses['connection'].level == DiagnosticStatus.OK
    assert values(statuses['connection'])['mode'] == 'mcf'
    robot = values(statuses['robot'])
    assert robot['error_code'] == '100'
    assert robot['motion'] == 'locomotion'
    assert robot['battery [percent]'] == '55'
    assert robot['RL_calf_joint [degree Celsius]'] == '41'
    assert statuses['robot'].message == 'no fault'


def test_a_fault_is_an_error_and_a_low_battery_a_warning():
    here = replace(HERE, low=battery(charge=0.19))
    status = told(here)['robot']
    assert (status.level, status.message) == (DiagnosticStatus.WARN, 'battery at 19%')
    status = told(replace(here, faults=frozenset({RobotFault(300, 16)})))['robot']
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == 'motor: winding overheating (300_10); battery at 19%'


def test_a_hot_motor_is_a_warning_with_the_name_of_its_joint():
    motors = list(LOW.motors)
    motors[4] = replace(motors[4], temperature=HOT_MOTOR + 1.0)
    status = told(replace(HERE, low=replace(LOW, motors=tuple(motors))))['robot']
    assert (status.level, status.message) == (DiagnosticStatus.WARN, f'hot: {JOINT_NAMES[4]}')


def test_pictures_that_do_not_come_are_a_warning():
    status = told(replace(HERE, pictures_overdue=3.2))['streams']
    assert status.level == DiagnosticStatus.WARN
    assert 'no picture for 3.2 s' in status.message


@pytest.mark.parametrize(
    ('trouble', 'text'),
    [
        ({'overdue': {'rt/b': 2.0, 'rt/a': 7.25}}, 'not received: rt/a for 7.2 s, rt/b for 2.0 s'),
        ({'unreadable': ('rt/x: expected a number',)}, 'decoded: rt/x: expected a number'),
    ],
)
def test_a_topic_that_does_not_come_or_cannot_be_decoded_is_a_warning(trouble, text):
    status = told(replace(HERE, **trouble))['streams']
    assert status.level == DiagnosticStatus.WARN
    assert status.message.endswith(text)


def test_a_robot_that_stands_although_it_is_told_to_walk_is_a_warning():
    status = told(replace(HERE, standstill='it has not moved'))['connection']
    assert (status.level, status.message) == (DiagnosticStatus.WARN, 'it has not moved')


def test_an_owner_that_is_stuck_and_a_robot_that_takes_no_velocities_are_errors():
    status = told(replace(HERE, owner_is_stuck=True))['connection']
    assert (status.level, status.message) == (DiagnosticStatus.ERROR, STUCK)
    status = told(replace(HERE, motion_trouble='rejected'))['connection']
    assert status.level == DiagnosticStatus.ERROR
    assert 'takes no velocities: rejected' in status.message


def test_a_session_that_tells_nothing_any_more_is_an_error():
    (status,) = Diagnostics('go2').standstill(4.0, STAMP).status
    assert status.level == DiagnosticStatus.ERROR
    assert 'stood still for 4.0 s' in status.message


def test_the_rate_and_the_age_of_each_source_are_told():
    status = told(replace(HERE, streams={'a': Stream(120, 20.0, 0.01)}))['streams']
    assert values(status) == {'a rate [Hz]': '20.0', 'a age [s]': '0.01'}


def test_a_raw_request_is_taken_as_it_is():
    request = parse_request(
        '{"topic": "rt/api/vui/request", "api_id": 1003, "parameter": {"v": 1}}'
    )
    assert (request.topic, request.api_id) == ('rt/api/vui/request', 1003)
    assert request.parameter == {'v': 1}


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('', 'expected JSON'), ('[]', 'expected an object'), ('{"api_id": 1}', 'topic: expected'),
        ('{"topic": "rt/lowcmd", "api_id": 1}', 'ends with /request'),
        ('{"topic": "rt/api/x/request"}', 'api_id: expected a whole number'),
        ('{"topic": "rt/api/x/request", "api_id": true}', 'api_id'),
        ('[' * 100_000, 'expected JSON'),
    ],
)  # fmt: skip
def test_a_bad_raw_request_is_refused(text, why):
    with pytest.raises(ConfigError, match=why):
        parse_request(text)


@pytest.mark.parametrize(
    ('topic', 'number'), [('rt/api/sport/request', 1008), ('rt/api/obstacles_avoid/request', 1003)]
)
def test_a_velocity_cannot_be_smuggled_past_its_limits(topic, number):
    with pytest.raises(InvalidCommand, match='cmd_vel'):
        parse_request(json.dumps({'topic': topic, 'api_id': number}))


@pytest.mark.parametrize('topic', ['rt/api/bashrunner/request', 'rt/api/motion_switcher/request'])
def test_a_request_to_the_robots_own_system_has_to_be_allowed(topic):
    text = json.dumps({'topic': topic, 'api_id': 1001})
    with pytest.raises(InvalidCommand, match='allow_system_requests'):
        parse_request(text)
    assert parse_request(text, allow_system=True).topic == topic


def test_the_bridge_to_the_nodes_log_leaves_no_trace():
    package = logging.getLogger('go2_webrtc_driver')
    package.setLevel(logging.NOTSET)
    before = package.level, package.propagate
    bridge = log_bridge.attach(rclpy.logging.get_logger('test'))
    assert not package.propagate
    log_bridge.detach(bridge)
    assert (package.level, package.propagate) == before


@pytest.mark.skipif(not publications.HAS_TF, reason='a ROS is sourced, without tf2_msgs')
def test_where_tf2_msgs_is_installed_the_pose_is_a_transform_too():
    pose = RobotPose(0.0, (1.0, 2.0, 0.32), (0.0, 0.0, 0.6, 0.8))
    context = publications.Context(DriverConfig(frame_prefix='dog/'), [])
    (transform,) = publications._transform(pose, STAMP, context).transforms
    assert transform.header.frame_id == 'dog/odom'
    assert transform.child_frame_id == 'dog/base_link'
    assert transform.header.stamp == STAMP
    silent = publications.Context(DriverConfig(publish_tf=False), [])
    assert publications._transform(pose, STAMP, silent) is None


@pytest.mark.parametrize('depth', [10, 900, 990, 5000])
def test_a_response_of_any_depth_ends_nothing(depth):
    sent = []
    services = Services.__new__(Services)
    services._responses = types.SimpleNamespace(publish=sent.append)
    data = []
    for _ in range(depth):
        data = [data]
    services.publish_response(Message(MessageType.RESPONSE, 'rt/x/response', {'data': data}))
    assert len(sent) == 1


@pytest.mark.parametrize(('sec', 'fresh'), [(-1, False), (-(2**31), False), (0, True), (5, True)])
def test_the_age_of_a_stamp_is_found_whatever_the_stamp(sec, fresh):
    assert (age(Time(sec=sec, nanosec=0), 5_400_000_000) <= 0.5) is fresh
