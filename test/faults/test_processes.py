"""Processes that die, freeze or cannot keep up, clocks that jump, and a disk that is full."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from driver_process import (
    ACTIVATE,
    CONFIGURE,
    DRIVER,
    SIM,
    context,
    driver,
    robot,
    robot_in_this_process,
    robot_ip,
    told,
    user,
    walk,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from support import PATIENCE, free_address, interrupt, process, read_output, wait_until

from go2_webrtc_driver.protocol.topics import SportApi

__all__ = ['context', 'robot', 'robot_ip', 'user']  # fixtures
ZERO = (SportApi.MOVE, '{"x": 0.0, "y": 0.0, "z": 0.0}')
SLOW_SUBSCRIBER = """
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('slow')
node.create_subscription(Image, '/{space}/camera/image_raw', lambda image: print('seen'), 10)
rclpy.spin(node)
"""


@pytest.fixture
def pictures(user):
    seen = []
    user.create_subscription(CameraInfo, 'camera/camera_info', seen.append, 10)
    return seen


def activate(user):
    assert user.transition(CONFIGURE)
    assert user.transition(ACTIVATE)


def pass_time(user, seconds):
    """Let time pass, with Twists."""
    end = time.monotonic() + seconds
    user.until(lambda: (user.drive(0.5), time.monotonic() > end)[1])


def test_a_robot_that_is_killed_and_started_again_and_again_comes_back_each_time(user, pictures):
    ip = free_address()
    with driver(user, ip, 'silence_timeout:=1.0', 'wait_for_robot:=false') as started:
        activate(user)
        for _ in range(3):
            with process(SIM, '--ip', ip, ready='listens'):
                pictures.clear()
                walk(user)
                user.until(lambda: pictures)
                user.odometry.clear()
        assert 'Traceback' not in read_output(started)


def test_a_robot_that_freezes_is_lost_and_is_there_again_when_it_thaws(user, pictures):
    ip = free_address()
    with (
        process(SIM, '--ip', ip, ready='listens') as frozen,
        driver(user, ip, 'silence_timeout:=1.0') as started,
    ):
        activate(user)
        walk(user)
        frozen.send_signal(signal.SIGSTOP)
        user.until(lambda: 'next attempt in' in read_output(started))
        user.odometry.clear()
        pictures.clear()
        frozen.send_signal(signal.SIGCONT)
        user.until(lambda: user.odometry and pictures, timeout=40.0)
        assert user.odometry[0].twist.twist.linear.x < 0.05
        walk(user)


def test_a_driver_that_was_frozen_stops_the_robot_before_anything_else(user, robot):
    """What was commanded meanwhile waits in its queues, and is never carried out."""
    with driver(user, robot.ip, 'silence_timeout:=9.0') as started:
        activate(user)
        walk(user)
        started.send_signal(signal.SIGSTOP)
        pass_time(user, 2.0)
        assert robot.speed == 0.0  # by its own expiry
        before = len(robot.requests)
        started.send_signal(signal.SIGCONT)
        wait_until(lambda: len(robot.requests) > before)
        assert told(robot)[before] == ZERO
        walk(user)


def test_what_was_commanded_while_the_driver_was_frozen_is_not_carried_out_later(user, robot):
    """The operator has let go meanwhile; 4 of 6 walked, up to 2.9 s after it went on."""
    with driver(user, robot.ip, 'silence_timeout:=9.0', 'command_timeout:=2.0') as started:
        activate(user)
        walk(user)
        started.send_signal(signal.SIGSTOP)
        pass_time(user, 2.0)
        assert robot.speed == 0.0  # by its own expiry
        time.sleep(1.0)  # he has let go
        before = len(robot.requests)
        started.send_signal(signal.SIGCONT)
        wait_until(lambda: len(robot.requests) > before)
        end = time.monotonic() + 2.0
        user.until(lambda: time.monotonic() > end)
        moves = [each for each in told(robot)[before:] if each[0] == SportApi.MOVE]
        assert set(moves) == {ZERO}
        walk(user)


def clock(user):
    """Publish a simulation's clock; returns what sets it [s]."""
    publisher = user.create_publisher(Clock, '/clock', 10)

    def tell(seconds):
        message = Clock()
        message.clock.sec = int(seconds)
        message.clock.nanosec = int(seconds % 1 * 1e9)
        publisher.publish(message)

    return tell


def test_a_clock_that_jumps_or_stands_still_neither_drives_nor_silences_the_robot(user, robot):
    tell = clock(user)
    with driver(user, robot.ip, 'use_sim_time:=true'):
        user.until(lambda: (tell(1000.0), user.state() is not None)[1])
        activate(user)
        for now in (1000.0, 5000.0, 4000.0, 0.0):
            user.odometry.clear()
            tell(now)
            walk(user)
            user.until(
                lambda now=now: abs(user.odometry[-1].header.stamp.sec - now) < 2.0,
                timeout=5.0,
            )
        # No more clock and no more Twist: the command expires all the same.
        wait_until(lambda: robot.speed < 0.02, timeout=3.0, step=user.spin)


def memory_of(started):
    with open(f'/proc/{started.pid}/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def test_a_subscriber_that_hangs_holds_up_nobody_else(user, robot, pictures):
    script = SLOW_SUBSCRIBER.format(space=user.space)
    with driver(user, robot.ip) as started:
        activate(user)
        slow = subprocess.Popen([sys.executable, '-u', '-c', script], stdout=subprocess.PIPE)
        try:
            assert b'seen\n' in slow.stdout  # after what Fast DDS says of segments
            slow.send_signal(signal.SIGSTOP)
            before = memory_of(started)
            pass_time(user, 4.0)
            assert robot.speed > 0.4
            seen = len(pictures)
            user.until(lambda: len(pictures) > seen + 30, timeout=5.0)
            assert memory_of(started) - before < 100e6
        finally:
            slow.kill()
            slow.wait()
            slow.stdout.close()


def test_a_driver_whose_output_nobody_reads_drives_on(user):
    """As in a terminal that was paused: its log waits, and nothing else does."""
    with (
        robot_in_this_process() as (robot, loop),
        driver(user, robot.ip) as started,
    ):
        fcntl.fcntl(started.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        activate(user)
        walk(user)
        for code in range(200):
            loop.post(robot.add_fault, 300, code)
        pass_time(user, 3.0)
        assert robot.speed > 0.4
        wait_until(lambda: 'reports a fault' in read_output(started))
        assert interrupt(started)[0] == 0


@contextlib.contextmanager
def driver_on_a_full_disk(user, ip, folder):
    """Run a driver whose log and whose standard output are on a full disk."""
    command = ['unshare', '--mount'] + (['--map-root-user'] if os.geteuid() else [])
    if not shutil.which('unshare') or subprocess.run([*command, 'true']).returncode:
        pytest.skip('this machine does not let us mount anything')
    steps = f'mount -t tmpfs -o size=4k none {folder} && head -c 8k /dev/zero >{folder}/x'
    arguments = ['--ros-args', '-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{ip}'"]
    run = [*command, 'sh', '-c', f'{steps}; exec "$@" >/dev/full', 'sh', sys.executable, '-u']
    started = subprocess.Popen(
        [*run, '-m', DRIVER, *arguments],
        env={**os.environ, 'ROS_LOG_DIR': str(folder)},
        stderr=subprocess.PIPE,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def test_a_full_disk_does_not_keep_anybody_from_driving_and_stopping(user, robot, tmp_path):
    with driver_on_a_full_disk(user, robot.ip, tmp_path) as started:
        activate(user)
        walk(user)
        user.drive(float('nan'))
        started.terminate()
        assert started.wait(PATIENCE) == 0
    assert told(robot)[-2:] == [ZERO, (SportApi.STOP_MOVE, '')]
