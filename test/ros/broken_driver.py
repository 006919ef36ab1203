"""The driver with one thing broken on purpose, named by ``BREAK``; run as a process by tests."""

import functools
import os
import sys
import threading

from rclpy.executors import SingleThreadedExecutor

from go2_webrtc_driver.link.link import Link
from go2_webrtc_driver.ros import main as program
from go2_webrtc_driver.ros.node import Go2Driver
from go2_webrtc_driver.ros.setup import Setup
from go2_webrtc_driver.session.session import RobotSession

has_moved = threading.Event()
fail_now = threading.Event()


def notice(move):
    """Break nothing before the robot has been told to move, and has had time to."""

    def noticing(self, velocity):
        if velocity.x and not has_moved.is_set():
            has_moved.set()
            threading.Timer(1.0, fail_now.set).start()
        move(self, velocity)

    return noticing


def failing(work):
    @functools.wraps(work)  # rclpy looks at the parameters of a callback
    def fail(self, *arguments):
        if fail_now.is_set():
            raise RuntimeError('broken on purpose')
        return work(self, *arguments)

    return fail


def stuck(spin_once):
    def get_stuck(self, *arguments, **options):
        if fail_now.is_set():
            threading.Event().wait()
        return spin_once(self, *arguments, **options)

    return get_stuck


BREAKS = {
    'executor': (SingleThreadedExecutor, 'spin_once', stuck),
    'subscription': (Setup, '_on_cmd_vel', failing),
    'timer': (Go2Driver, '_look_for_subscribers', failing),
    'conversion': (Setup, 'on_sample', failing),
    'posted': (RobotSession, 'want', failing),
    'task': (RobotSession, '_tell', failing),
}


if __name__ == '__main__':
    Link.move = notice(Link.move)
    owner, name, broken = BREAKS[os.environ['BREAK']]
    setattr(owner, name, broken(getattr(owner, name)))
    sys.exit(program.main())
