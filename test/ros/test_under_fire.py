"""Transitions, signals and bugs at the worst moment: the robot is stopped, nothing hangs."""

import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driver_process import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    SIM,
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
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from support import free_address, interrupt, process, read_output, wait_for_output, wait_until

from go2_webrtc_driver.protocol.topics import SportApi

__all__ = ['context', 'robot', 'robot_ip', 'user']  # fixtures
STOP = [(SportApi.MOVE, '{"x": 0.0, "y": 0.0, "z": 0.0}'), (SportApi.STOP_MOVE, '')]
HERE = Path(__file__).parent


def was_told_to_walk(robot):
    """Whether a velocity has come that was not zero; whatever came after it."""
    return any(each[0] == SportApi.MOVE and each != STOP[0] for each in told(robot))


def is_stopped_after_walking(robot):
    """Whether the robot was told to stop after the last velocity that was not zero."""
    sent = told(robot)
    last = max(n for n, each in enumerate(sent) if each[0] == SportApi.MOVE and each != STOP[0])
    return sent[last + 1 : last + 3] == STOP


@contextlib.contextmanager
def mute_address():
    """An address that accepts connections on the robot's port and never says anything."""
    ip = free_address()
    with socket.create_server((ip, 9991)):
        yield ip


def ask_at_once(user, *numbers):
    """Ask for transitions, all before the first answer; return which succeeded."""
    clients = [user.create_client(ChangeState, 'go2_driver/change_state') for _ in numbers]
    assert all(client.wait_for_service(20.0) for client in clients)
    futures = [
        client.call_async(ChangeState.Request(transition=Transition(id=number)))
        for client, number in zip(clients, numbers, strict=True)
    ]
    user.until(lambda: all(future.done() for future in futures))
    for client in clients:
        user.destroy_client(client)
    return [future.result().success for future in futures]


def test_transitions_from_two_clients_at_once_take_their_turn(user, robot_ip):
    with driver(user, robot_ip):
        assert sorted(ask_at_once(user, CONFIGURE, CONFIGURE)) == [False, True]
        assert sorted(ask_at_once(user, ACTIVATE, ACTIVATE)) == [False, True]
        assert ask_at_once(user, DEACTIVATE, DEACTIVATE).count(True) == 1
        assert user.transition(ACTIVATE)
        walk(user)


def test_transitions_while_the_robot_is_away_and_reboots(user):
    ip = free_address()
    with driver(user, ip, 'silence_timeout:=1.0', 'connect_timeout:=5.0') as started:
        assert user.transition(CONFIGURE)
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)
        wait_for_output(started, 'next attempt in')
        assert set_parameter(user, 'max_linear_x', 0.4).successful
        assert not set_parameter(user, 'robot_ip', '127.0.0.9').successful
        assert not user.transition(ACTIVATE)  # it is active
        assert user.transition(DEACTIVATE)
        assert not user.transition(ACTIVATE)  # nobody is there
        assert user.transition(CLEANUP)
        assert set_parameter(user, 'max_linear_y', 0.4).successful
        assert user.transition(CONFIGURE)
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)
            walk(user, until=0.35)
        assert 'Traceback' not in read_output(started)


@pytest.mark.parametrize('wait', ['true', 'false'])
def test_a_signal_during_a_hanging_connect_ends_the_process_in_time(user, wait):
    with mute_address() as ip, driver(user, ip, f'wait_for_robot:={wait}') as started:
        assert user.transition(CONFIGURE)
        client = user.create_client(ChangeState, 'go2_driver/change_state')
        client.wait_for_service(20.0)
        client.call_async(ChangeState.Request(transition=Transition(id=ACTIVATE)))
        wait_until(lambda: 'waiting for' in read_output(started), step=user.spin)
        status, seconds, output = interrupt(started)
        assert (status, 'Traceback' in output) == (0, False), output
        assert seconds < 5.0


def test_a_request_during_a_hanging_connect_waits_for_it_and_is_answered(user):
    with mute_address() as ip, driver(user, ip, 'connect_timeout:=2.0') as started:
        assert user.transition(CONFIGURE)
        assert ask_at_once(user, ACTIVATE, DEACTIVATE, CLEANUP)[0] is False
        assert user.state() in (
            State.PRIMARY_STATE_INACTIVE,
            State.PRIMARY_STATE_UNCONFIGURED,
        )
        wait_for_output(started, 'activate failed')


def test_a_driver_that_was_killed_leaves_a_robot_that_stops_and_its_successor_connects(
    user, robot
):
    """What software cannot do: after SIGKILL only the robot's own expiry of a Move counts."""
    ip = robot.ip
    with driver(user, ip) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        started.kill()
        started.wait()
    assert STOP[1] not in told(robot)[-1:]
    wait_until(lambda: (robot.advance(), not robot.robot.walking)[1], timeout=2.0)
    with driver(user, ip, 'wait_for_robot:=false'):
        wait_until(lambda: answers(user))
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.odometry.clear()
        user.until(lambda: user.odometry, timeout=30.0)
        walk(user)


def answers(user):
    """Whether the driver answers; DDS takes a killed one for alive for a while."""
    try:
        return user.call(GetState, 'get_state', GetState.Request(), timeout=1.0) is not None
    except AssertionError:
        return False


@pytest.mark.parametrize(
    'what', ['subscription', 'timer', 'conversion', 'posted', 'task', 'executor']
)
def test_whatever_breaks_the_robot_is_stopped(user, robot, what):
    arguments = ['-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{robot.ip}'"]
    arguments += ['-p', 'command_timeout:=2.0']
    paths = os.pathsep.join([str(HERE), os.environ.get('PYTHONPATH', '')])
    variables = {'BREAK': what, 'PYTHONPATH': paths}
    with process('broken_driver', '--ros-args', *arguments, env=variables) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        user.until(lambda: (user.drive(0.5), was_told_to_walk(robot))[1])
        if what == 'executor':
            wait_for_output(started, 'ROS callbacks have not run')
            wait_until(lambda: is_stopped_after_walking(robot))
            return
        wait_until(lambda: (user.drive(0.5), user.spin(), started.poll() is not None)[2])
        assert started.returncode == 1
        assert 'broken on purpose' in read_output(started)
    assert is_stopped_after_walking(robot)
    wait_until(lambda: robot.client is None)  # its only slot is free


def test_a_terminal_that_is_closed_stops_the_robot(user, robot):
    with driver(user, robot.ip) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        assert interrupt(started, signal.SIGHUP)[0] == 0
    assert told(robot)[-2:] == STOP


def connection(arrays):
    """Return (level, message) of the newest diagnostics of the connection."""
    for array in reversed(arrays):
        for status in array.status:
            if status.name.endswith(': connection'):
                return status.level, status.message
    return None, ''


@pytest.fixture
def diagnostics(user):
    arrays = []
    user.create_subscription(DiagnosticArray, '/diagnostics', arrays.append, 10)
    return arrays


def test_on_link_lost_deactivate_ends_in_inactive_and_says_why(user, diagnostics):
    ip = free_address()
    with driver(user, ip, 'silence_timeout:=1.0', 'on_link_lost:=deactivate'):
        assert user.transition(CONFIGURE)
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)
        user.until(lambda: user.state() == State.PRIMARY_STATE_INACTIVE)
        user.until(lambda: 'not active any more' in connection(diagnostics)[1])
        assert connection(diagnostics)[0] == DiagnosticStatus.ERROR
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)
            user.until(lambda: connection(diagnostics)[1] == 'connected')


def test_on_link_lost_shutdown_ends_the_process_with_status_1(user):
    ip = free_address()
    with driver(user, ip, 'silence_timeout:=1.0', 'on_link_lost:=shutdown') as started:
        assert user.transition(CONFIGURE)
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)
        wait_until(lambda: (read_output(started), started.poll() is not None)[1])
        assert started.returncode == 1
        assert 'Traceback' not in started.text
        assert 'on_link_lost: shutdown' in started.text


def test_while_the_robot_is_away_diagnostics_tell_the_reason_and_nothing_old_is_published(
    user, diagnostics
):
    ip = free_address()
    with driver(user, ip, 'silence_timeout:=1.0') as started:
        assert user.transition(CONFIGURE)
        with process(SIM, '--ip', ip, ready='listens'):
            assert user.transition(ACTIVATE)
            user.until(lambda: user.odometry)
        user.until(lambda: connection(diagnostics)[0] == DiagnosticStatus.ERROR)
        user.odometry.clear()
        user.until(lambda: 'signaling on port' in connection(diagnostics)[1])
        status = next(s for s in diagnostics[-1].status if s.name.endswith(': connection'))
        assert float({v.key: v.value for v in status.values}['away for [s]']) > 0.0
        for _ in range(10):
            user.drive(0.5)
            user.spin()
        assert read_output(started).count('velocities are dropped') == 1
        assert not user.odometry


def test_two_drivers_of_one_name_do_not_end_each_other(user, robot_ip):
    """The second one finds the robot busy, in one line, and goes on when the first one leaves."""
    with driver(user, robot_ip) as first:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        other = User()
        with driver(other, robot_ip) as second:
            assert other.transition(CONFIGURE)
            assert not other.transition(ACTIVATE)
            wait_for_output(second, 'close the app')
            assert interrupt(first)[0] == 0
            assert other.transition(ACTIVATE)
        other.destroy_node()
