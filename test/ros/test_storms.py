"""Transitions in storms, answers meanwhile, and exits whatever hangs."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driver_process import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    User,
    context,
    driver,
    robot,
    robot_ip,
    set_parameter,
    told,
    user,
    walk,
)
from geometry_msgs.msg import Twist, TwistStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger
from support import in_own_network, interrupt, process, read_output, wait_for_output, wait_until
from test_under_fire import is_stopped_after_walking, mute_address

from go2_webrtc_driver.protocol.topics import SportApi
from go2_webrtc_driver.ros.node import Go2Driver

__all__ = ['context', 'robot', 'robot_ip', 'user']  # fixtures
HERE = Path(__file__).parent
LISTENER = """
import rclpy
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image, LaserScan, PointCloud2
rclpy.init()
node = rclpy.create_node('listener')
for kind, topic in (Image, 'camera/image_raw'), (LaserScan, 'scan'), (PointCloud2, 'points'), (Odometry, 'odom'):
    node.create_subscription(kind, '/{space}/' + topic, print, 10)
print('ready', flush=True)
rclpy.spin(node)
"""  # noqa: E501


@pytest.fixture
def listeners(user):
    """Other processes that subscribe to what the driver publishes."""
    script = LISTENER.format(space=user.space)
    started = [
        subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE) for _ in range(2)
    ]
    for each in started:
        assert b'ready' in each.stdout.readline()
    yield
    for each in started:
        each.kill()
        each.communicate()


def test_calm_configure_and_cleanup_do_not_end_the_process(user, listeners):
    """Entities that went while the main thread built its wait set did, once in 100 cycles."""
    with driver(user, '127.0.0.1') as started:
        for _ in range(int(os.environ.get('STORM_CYCLES', '60'))):
            assert user.transition(CONFIGURE)
            assert user.transition(CLEANUP)
        status, _, output = interrupt(started)
        assert (status, 'Traceback' in output) == (0, False), output


def test_random_transitions_from_two_clients_end_nothing(user, robot_ip, listeners):
    rng, seconds = random.Random(1), float(os.environ.get('STORM_SECONDS', '10'))
    numbers = (CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE)
    with driver(user, robot_ip, 'connect_timeout:=3.0') as started:
        clients = [user.create_client(ChangeState, 'go2_driver/change_state') for _ in range(2)]
        assert all(client.wait_for_service(20.0) for client in clients)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            futures = [
                client.call_async(
                    ChangeState.Request(transition=Transition(id=rng.choice(numbers)))
                )
                for client in clients
            ]
            user.until(lambda futures=futures: all(future.done() for future in futures))
            assert started.poll() is None, started.text
            read_output(started)
        status, _, output = interrupt(started)
        assert (status, 'Traceback' in output) == (0, False), output


def test_the_state_and_the_parameters_are_told_while_a_transition_waits_for_the_robot(user):
    with mute_address() as ip, driver(user, ip) as started:
        assert user.transition(CONFIGURE)
        client = user.create_client(ChangeState, 'go2_driver/change_state')
        activating = client.call_async(ChangeState.Request(transition=Transition(id=ACTIVATE)))
        wait_until(lambda: 'waiting for' in read_output(started), step=user.spin)
        assert user.state() == State.TRANSITION_STATE_ACTIVATING
        assert set_parameter(user, 'max_linear_x', 0.5).successful
        assert not activating.done()


def test_services_of_a_robot_that_does_not_answer_hold_nobody_up(user, robot):
    """Each waits for the robot, and a Twist, a stop and another service go through."""
    patient = ('silence_timeout:=60.0', 'blind_timeout:=60.0')
    with driver(user, robot.ip, *patient) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        robot.muted = True
        futures = []
        for name in ('hello', 'stretch', 'stop') * 4:
            client = user.create_client(Trigger, f'go2_driver/{name}')
            assert client.wait_for_service(20.0)
            futures.append(client.call_async(Trigger.Request()))
        wait_until(lambda: [api for api, _ in told(robot)].count(SportApi.STOP_MOVE) >= 4)
        user.until(lambda: (user.drive(0.5), robot.robot.walking)[1])
        assert not any(future.done() for future in futures)
        assert interrupt(started)[0] == 0


def test_a_callback_that_hangs_does_not_keep_the_process_from_ending(user, robot):
    arguments = ['-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{robot.ip}'"]
    paths = os.pathsep.join([str(HERE), os.environ.get('PYTHONPATH', '')])
    variables = {'BREAK': 'executor', 'PYTHONPATH': paths}
    with process('broken_driver', '--ros-args', *arguments, env=variables) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.until(lambda: (user.drive(0.5), robot.robot.walking)[1])
        wait_for_output(started, 'ROS callbacks have not run')
        status, _, output = interrupt(started)
        assert status == 1
        assert 'did not end within' in output
        assert is_stopped_after_walking(robot)


@in_own_network('10.0.0.1')
def test_a_name_that_is_never_looked_up_does_not_keep_the_process_from_ending():
    """The names of a STUN server and of the cloud, and a name server that does not answer."""
    user = User()
    secrets = {'UNITREE_EMAIL': 'me@example.com', 'UNITREE_PASSWORD': 'planted-password'}
    parameters = (
        'connection_method:=remote', 'serial_number:=B42D1000TEST0001', 'wait_for_robot:=false',
        'ice_servers:=stun:stun.example.com:3478',
    )  # fmt: skip
    with driver(user, '', *parameters, env=secrets) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        wait_for_output(started, 'waiting for')
        status, _, output = interrupt(started)
        assert (status, 'Traceback' in output, 'never retrieved' in output) == (0, False, False)
    user.destroy_node()


def is_there(user):
    """Whether this user's driver is there; that of the test before may still be seen."""
    there = user.get_publishers_info_by_topic('/diagnostics')
    return any(each.node_namespace == f'/{user.space}' for each in there)


@pytest.mark.parametrize('moment', [0.0, 0.05, 0.2, 0.5])
def test_a_signal_at_any_moment_of_a_start_ends_the_process_quietly(user, moment):
    with driver(user, '127.0.0.1') as started:
        timer = threading.Timer(moment, started.send_signal, [signal.SIGTERM])
        wait_until(lambda: is_there(user), step=user.spin)
        timer.start()
        wait_until(lambda: (read_output(started), started.poll() is not None)[1])
        assert (started.returncode, 'Traceback' in started.text) == (0, False), started.text


def test_a_shutdown_of_a_walking_robot_stops_it_first(user, robot):
    with driver(user, robot.ip):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        assert user.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert told(robot)[-1] == (SportApi.STOP_MOVE, '')
        assert is_stopped_after_walking(robot)


@pytest.mark.parametrize(
    ('listens_for', 'expected', 'sent'),
    [('twist_stamped', 'TwistStamped', Twist), ('twist', 'Twist', TwistStamped)],
)
def test_a_velocity_of_the_other_type_is_told_in_log_and_diagnostics(
    context, listens_for, expected, sent
):
    user, said = User(sent), []
    user.create_subscription(DiagnosticArray, '/diagnostics', said.append, 10)
    with driver(user, '127.0.0.1', f'cmd_vel_type:={listens_for}') as started:
        assert user.transition(CONFIGURE)
        told_once = f'expected {expected}, but {sent.__name__} is published there'
        wait_for = lambda where: user.until(  # noqa: E731
            lambda: (user.cmd_vel.publish(sent()), told_once in where())[1]
        )
        wait_for(lambda: read_output(started))
        wait_for(lambda: str(said[-1:]))
        user.spin(0.5)
        assert read_output(started).count(told_once) == 1
    user.destroy_node()


def test_a_velocity_waits_in_a_queue_of_one(context):
    node = Go2Driver(namespace='depth', parameter_overrides=[Parameter('robot_ip', value='::1')])
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        (cmd_vel,) = [each for each in node.subscriptions if each.topic.endswith('cmd_vel')]
        assert cmd_vel.qos_profile.depth == 1
    finally:
        node.destroy_node()


def test_the_quality_of_jpeg_changes_while_pictures_come(user, robot_ip):
    sizes = []
    user.create_subscription(
        CompressedImage, 'camera/image_raw/compressed', lambda m: sizes.append(len(m.data)), 10
    )
    with driver(user, robot_ip, 'jpeg_quality:=95'):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.until(lambda: len(sizes) > 3)
        fine = max(sizes)
        assert set_parameter(user, 'jpeg_quality', 5).successful
        user.until(lambda: sizes[-1] < 0.7 * fine)


def test_a_clock_that_never_comes_is_told_once(user, robot_ip):
    with driver(user, robot_ip, 'use_sim_time:=true') as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        told_once = 'use_sim_time is set, but nothing comes'
        wait_for_output(started, told_once)
        asked = len(user.odometry)
        user.until(lambda: len(user.odometry) > asked + 60)
        assert read_output(started).count(told_once) == 1
