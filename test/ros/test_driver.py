"""The driver as a process over real DDS, against the simulated robot as another one."""

import dataclasses
import json
import re
import signal

import numpy as np
import pytest
from driver_process import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    SIM,
    context,
    driver,
    robot,
    robot_ip,
    set_parameter,
    told,
    user,
    walk,
)
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import Parameter as Dumped
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
)
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from remote import LOGIN, SERIAL, TURN_PASSWORD, cloud_arguments, coturn, needs_coturn
from sensor_msgs.msg import CameraInfo, Image
from support import free_address, interrupt, process, read_output, wait_for_output

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.protocol.topics import SportApi
from go2_webrtc_driver.sim.world import frame_mark

__all__ = ['context', 'coturn', 'robot', 'robot_ip', 'user']  # fixtures
RELIABLE = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=30, reliability=ReliabilityPolicy.BEST_EFFORT)


def test_pictures_and_odometry_come_out_and_a_twist_moves_the_robot(user, robot_ip):
    images, infos = [], []
    user.create_subscription(Image, 'camera/image_raw', images.append, qos_profile_sensor_data)
    user.create_subscription(CameraInfo, 'camera/camera_info', infos.append, RELIABLE)
    with driver(user, robot_ip) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.until(lambda: len(images) > 5 and len(infos) > 5)
        walk(user)
        user.until(lambda: user.x > 0.2)
        image = images[-1]
        assert (image.width, image.height, image.encoding) == (1280, 720, 'bgr8')
        assert image.header.frame_id == 'camera_optical_frame'
        assert frame_mark.read(np.array(image.data).reshape(720, 1280, 3)) is not None
        stamps = {(info.header.stamp.sec, info.header.stamp.nanosec) for info in infos}
        shown = {(each.header.stamp.sec, each.header.stamp.nanosec) for each in images[1:-1]}
        assert len(shown & stamps) > 3
        odometry = user.odometry[-1]
        assert (odometry.header.frame_id, odometry.child_frame_id) == ('odom', 'base_link')
        assert interrupt(started)[0] == 0


@pytest.mark.alone
def test_both_kinds_of_subscriber_get_every_frame(user, robot_ip):
    """99 of 100 frames of 1280x720 bgr8, between processes, best effort and reliable."""
    seen = {'best effort': [], 'reliable': []}

    def watch(numbers):
        def on_image(message):
            mark = frame_mark.read(np.asarray(message.data).reshape(720, 1280, 3))
            numbers.append(mark.frame_number)

        return on_image

    for qos, numbers in zip((BEST_EFFORT, RELIABLE), seen.values(), strict=True):
        user.create_subscription(Image, 'camera/image_raw', watch(numbers), qos)
    with driver(user, robot_ip):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.until(lambda: min(map(len, seen.values())) >= 300, timeout=60.0)
    first, last = max(map(min, seen.values())), min(map(max, seen.values()))
    published = {number for numbers in seen.values() for number in numbers}
    published = {number for number in published if first <= number <= last}
    for kind, numbers in seen.items():
        assert len(published & set(numbers)) >= 0.99 * len(published), kind


def test_deactivate_stops_the_robot_frees_its_slot_and_activate_reconnects(user, robot_ip):
    with driver(user, robot_ip):
        assert user.transition(CONFIGURE)
        for _ in range(3):
            user.odometry.clear()
            assert user.transition(ACTIVATE)
            walk(user)
            assert user.transition(DEACTIVATE)
            assert user.state() == State.PRIMARY_STATE_INACTIVE
        user.odometry.clear()
        assert user.transition(ACTIVATE)
        user.until(lambda: user.odometry)
        assert user.odometry[0].twist.twist.linear.x < 0.5
        assert user.transition(DEACTIVATE)
        assert user.transition(CLEANUP)
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)


def test_a_twist_expires_and_a_zero_twist_stops_at_once(user, robot_ip):
    with driver(user, robot_ip, 'command_timeout:=2.0'):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        user.drive(0.0)
        user.until(lambda: user.speed < 0.05, timeout=1.5)
        walk(user)
        user.until(lambda: user.speed < 0.05, timeout=5.0)


def test_a_twist_that_is_not_finite_is_dropped_with_one_warning(user, robot_ip):
    with driver(user, robot_ip) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        for _ in range(10):
            user.drive(float('nan'))
            user.drive(0.0, float('inf'))
        wait_for_output(started, 'expected finite speeds')
        walk(user)
        assert read_output(started).count('expected finite speeds') == 1
        assert user.state() == State.PRIMARY_STATE_ACTIVE


def test_a_speed_is_limited_and_the_limit_changes_live(user, robot_ip):
    with driver(user, robot_ip, 'max_linear_x:=0.3'):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user, speed=2.0, until=0.28)
        for _ in range(20):
            user.drive(2.0)
            user.spin(0.05)
        assert user.speed < 0.32
        assert set_parameter(user, 'max_linear_x', 0.6).successful
        walk(user, speed=2.0, until=0.55)


def test_a_twist_while_inactive_does_nothing(user, robot_ip):
    with driver(user, robot_ip):
        assert user.transition(CONFIGURE)
        for _ in range(10):
            user.drive(0.5)
            user.spin(0.02)
        assert user.transition(ACTIVATE)
        user.until(lambda: len(user.odometry) > 5)
        assert user.x == 0.0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('depth', range(3))
def test_a_signal_ends_every_state_cleanly(user, robot_ip, number, depth):
    with driver(user, robot_ip) as started:
        for transition in (CONFIGURE, ACTIVATE)[:depth]:
            assert user.transition(transition)
        if depth == 0:
            assert user.state() == State.PRIMARY_STATE_UNCONFIGURED
        status, seconds, output = interrupt(started, number)
        assert (status, 'Traceback' in output) == (0, False), output
        assert seconds < 5.0


STOP = [(SportApi.MOVE, '{"x": 0.0, "y": 0.0, "z": 0.0}'), (SportApi.STOP_MOVE, '')]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_walking_stops_the_robot_first(user, robot, number):
    with driver(user, robot.ip) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        assert interrupt(started, number)[0] == 0
    assert told(robot)[-2:] == STOP


def test_deactivate_while_walking_stops_the_robot_first(user, robot):
    with driver(user, robot.ip):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        assert user.transition(DEACTIVATE)
        assert told(robot)[-2:] == STOP
        user.until(lambda: robot.client is None)


def test_a_signal_interrupts_a_hanging_connect(user):
    with driver(user, '127.254.254.254', 'wait_for_robot:=false') as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        wait_for_output(started, 'next attempt in')
        status, seconds, output = interrupt(started)
        assert (status, 'Traceback' in output) == (0, False), output
        assert seconds < 5.0


def test_activate_on_a_dead_robot_fails_with_one_line_and_the_next_one_works(user):
    ip = free_address()
    with driver(user, ip, 'connect_timeout:=3.0') as started:
        assert user.transition(CONFIGURE)
        assert not user.transition(ACTIVATE)
        assert user.state() == State.PRIMARY_STATE_INACTIVE
        wait_for_output(started, 'activate failed')
        errors = [line for line in read_output(started).splitlines() if 'ERROR' in line]
        assert len(errors) == 1
        assert f'activate failed: robot {ip}: expected signaling on port 9991' in errors[0]
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)


def test_a_lost_robot_comes_back_by_itself(user):
    ip = free_address()
    with driver(user, ip, 'silence_timeout:=1.0') as started:
        assert user.transition(CONFIGURE)
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)
            walk(user)
        wait_for_output(started, 'next attempt in')
        assert user.state() == State.PRIMARY_STATE_ACTIVE
        user.odometry.clear()
        with process(SIM, '--ip', ip, ready='listens'):
            user.until(lambda: len(user.odometry) > 3, timeout=30.0)
            assert user.odometry[0].twist.twist.linear.x == 0.0


@pytest.mark.parametrize(
    ('parameter', 'complaint'),
    [
        ('max_linear_x:=99.0', 'max_linear_x: expected 0.0 to 2.5, got 99.0'),
        ('max_linear_x:=1', 'max_linear_x: expected a float, got 1'),
        ('image_encoding:=yuv', "image_encoding: expected one of bgr8, rgb8, mono8, got 'yuv'"),
        ('robot_ip:=dog', "robot_ip: expected an IP address, got 'dog'"),
        ("robot_ip:=''", "expected the robot's robot_ip or serial_number, both are empty"),
        ('connection_method:=remote', 'connection_method remote: expected serial_number'),
        ('credentials_file:=/none.yaml', 'credentials_file /none.yaml: cannot be read'),
        ('camera_info_file:=/none.yaml', 'camera_info_file /none.yaml: cannot be read'),
    ],
)
def test_a_bad_parameter_fails_configure_with_one_line_that_names_it(user, parameter, complaint):
    with driver(user, '127.0.0.1', parameter) as started:
        assert not user.transition(CONFIGURE)
        assert user.state() == State.PRIMARY_STATE_UNCONFIGURED
        wait_for_output(started, 'configure failed')
        errors = [line for line in read_output(started).splitlines() if 'ERROR' in line]
        assert len(errors) == 1
        assert complaint in errors[0]


@needs_coturn
def test_the_driver_reaches_a_robot_over_the_cloud_and_never_shows_a_secret(user, coturn):
    ip = free_address()
    with process(SIM, *cloud_arguments(ip, coturn), ready='cloud listens on') as robot:
        url = re.search(r'cloud listens on (\S+)', robot.text)[1]
        secrets = {'UNITREE_EMAIL': LOGIN.email, 'UNITREE_PASSWORD': LOGIN.password}
        with driver(
            user, '', 'connection_method:=remote', f'serial_number:={SERIAL}', f'cloud_url:={url}',
            "ice_servers:=''", env=secrets,
        ) as started:  # fmt: skip
            assert user.transition(CONFIGURE)
            assert user.transition(ACTIVATE)
            walk(user)
            assert user.transition(DEACTIVATE)
            told = read_output(started)
            names = user.call(ListParameters, 'list_parameters', ListParameters.Request())
            request = GetParameters.Request(names=names.result.names)
            told += str(user.call(GetParameters, 'get_parameters', request))
            assert not [each for each in (*secrets.values(), TURN_PASSWORD) if each in told]


def test_a_bad_parameter_is_mended_by_setting_it(user):
    with driver(user, '127.0.0.1', 'max_linear_x:=99.0'):
        assert not user.transition(CONFIGURE)
        assert not set_parameter(user, 'max_linear_x', 50.0).successful
        assert set_parameter(user, 'max_linear_x', 0.5).successful
        assert user.transition(CONFIGURE)
        refused = set_parameter(user, 'robot_ip', '127.0.0.9')
        assert not refused.successful
        assert 'clean up' in refused.reason


def test_parameters_are_described_with_unit_and_range(user):
    with driver(user, '127.0.0.1'):
        request = DescribeParameters.Request(names=['max_linear_x', 'image_encoding'])
        speed, encoding = user.call(DescribeParameters, 'describe_parameters', request).descriptors
        assert '[m/s]' in speed.description
        assert speed.floating_point_range[0].to_value == 2.5
        assert 'rgb8' in encoding.additional_constraints


def test_qos_overrides_work(user, robot_ip):
    name = f'qos_overrides./{user.space}/camera/image_raw.publisher.depth'
    with driver(user, robot_ip, f'{name}:=3'):
        assert user.transition(CONFIGURE)
        request = GetParameters.Request(names=[name])
        values = user.call(GetParameters, 'get_parameters', request).values
        assert values[0].integer_value == 3


@pytest.mark.parametrize(
    ('topic', 'policy', 'value', 'complaint'),
    [
        ('odom.publisher', 'reliability', 'relaible', 'expected one of system_default, reliable'),
        ('odom.publisher', 'reliability', '3', 'expected one of system_default, reliable'),
        ('odom.publisher', 'history', 'keep_lots', 'expected one of system_default, keep_last'),
        ('odom.publisher', 'depth', 'many', "expected a whole number to 10000, got 'many'"),
        ('odom.publisher', 'depth', '-1', 'expected a whole number to 10000, got -1'),
        ('cmd_vel.subscription', 'depth', '1.5', 'expected a whole number to 10000, got 1.5'),
    ],
)
def test_a_bad_qos_override_is_one_line_that_names_it(user, topic, policy, value, complaint):
    name = f'qos_overrides./{user.space}/{topic}.{policy}'
    with driver(user, '127.0.0.1', f'{name}:={value}') as started:
        assert not user.transition(CONFIGURE)
        assert user.state() == State.PRIMARY_STATE_UNCONFIGURED
        wait_for_output(started, f'configure failed: {name}: {complaint}')
        assert 'Traceback' not in read_output(started)


def test_a_misspelt_parameter_is_named_with_the_nearest_one(user):
    misspelt = f'qos_overrides./{user.space}/odom.publisher.dept'
    given = ('command_timout:=1.0', f'{misspelt}:=1', 'zzz:=1', 'use_sim_time:=false')
    with driver(user, '127.0.0.1', *given) as started:
        assert user.transition(CONFIGURE)
        wait_for_output(started, 'not parameters of this node, ignored: ')
        lines = [line for line in read_output(started).splitlines() if 'ignored' in line]
    assert len(lines) == 1
    assert lines[0].endswith(
        'command_timout (did you mean command_timeout?); '
        f'{misspelt} (did you mean {misspelt}h?); zzz'
    )


def test_parameters_that_do_not_change_are_taken_as_they_are(user):
    fields = [each.name for each in dataclasses.fields(DriverConfig)]
    with driver(user, '127.0.0.1'):
        assert user.transition(CONFIGURE)
        values = user.call(GetParameters, 'get_parameters', GetParameters.Request(names=fields))
        dump = [Dumped(name=n, value=v) for n, v in zip(fields, values.values, strict=True)]
        request = SetParameters.Request(parameters=dump)
        results = user.call(SetParameters, 'set_parameters', request).results
        assert [each.reason for each in results if not each.successful] == []
        assert not set_parameter(user, 'robot_ip', '127.0.0.2').successful


def test_a_transition_that_the_state_does_not_have_is_refused_and_harmless(user):
    with driver(user, '127.0.0.1') as started:
        assert not user.transition(ACTIVATE)
        assert not user.transition(DEACTIVATE)
        assert user.transition(CONFIGURE)
        assert 'Traceback' not in json.dumps(read_output(started))
