"""A teleop on another machine, and a network between that goes and comes back."""

import contextlib
import os
import subprocess
import sys
import time

import pytest
import rclpy
from driver_process import ACTIVATE, CONFIGURE, User, driver, robot_in_this_process, told
from support import INSIDE, in_own_network, wait_until

from go2_webrtc_driver.protocol.topics import SportApi

HERE, THERE = '10.77.0.1', '10.77.0.2'
TELEOP = """
import sys, threading, time
sys.stdin.readline()  # the network is there
import rclpy
from geometry_msgs.msg import Twist
rclpy.init()
node = rclpy.create_node('teleop')
publisher = node.create_publisher(Twist, '/{space}/cmd_vel', 1)
speeds = [None]
def read():
    for line in sys.stdin:
        speeds[0] = float(line) if line.strip() else None
threading.Thread(target=read, daemon=True).start()
print('ready', flush=True)
while True:
    if speeds[0] is not None:
        twist = Twist()
        twist.linear.x = speeds[0]
        publisher.publish(twist)
    time.sleep(0.05)
"""


class Teleop:
    """An operator on a machine of his own, and the cable to it."""

    def __init__(self, space):
        script = TELEOP.format(space=space)
        command = ['unshare', '--net', sys.executable, '-u', '-c', script]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        pid = str(self.process.pid)
        ours = os.readlink('/proc/self/ns/net')
        wait_until(lambda: os.readlink(f'/proc/{pid}/ns/net') != ours)
        run('ip', 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', pid)
        run('ip', 'address', 'add', f'{HERE}/24', 'dev', 'cable')
        run('ip', 'link', 'set', 'cable', 'up')
        run('ip', 'route', 'replace', '224.0.0.0/4', 'dev', 'cable')
        for step in (
            'link set lo up', f'address add {THERE}/24 dev cable', 'link set cable up',
            'route add 224.0.0.0/4 dev cable',
        ):  # fmt: skip
            run('nsenter', '--target', pid, '--net', 'ip', *step.split())

    def say(self, speed):
        """Hold the stick at a speed [m/s]; None: let go, without a last word."""
        self.process.stdin.write('\n' if speed is None else f'{speed}\n')
        self.process.stdin.flush()

    def start(self):
        self.say(0.0)
        assert self.process.stdout.readline() == 'ready\n'

    def plug(self, state):
        run('ip', 'link', 'set', 'cable', state)

    def stop(self):
        self.process.kill()
        self.process.communicate()


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def ros_beyond_this_machine():
    """ROS that talks to the neighbours: only in a network of our own."""
    assert INSIDE in os.environ
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SUBNET'
    rclpy.init()
    yield
    rclpy.shutdown()


def speeds_since(robot, number):
    """Return the speeds the robot was told from its request ``number`` on."""
    moves = [text for api, text in told(robot)[number:] if api == SportApi.MOVE]
    return [text for text in moves if '"x": 0.0' not in text]


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may lay a cable')
@in_own_network('10.0.0.1')
def test_what_an_operator_said_before_the_network_went_does_not_walk_the_robot_afterwards():
    """DDS sends his last Twist again, seconds later; 6 of 6 walked without a look at its age."""
    with ros_beyond_this_machine(), robot_in_this_process() as (robot, _):
        user = User()
        teleop = Teleop(user.space)
        try:
            teleop.start()
            with driver(user, robot.ip):
                assert user.transition(CONFIGURE)
                assert user.transition(ACTIVATE)
                teleop.say(0.4)
                wait_until(lambda: robot.robot.walking, step=user.spin)
                outage(teleop, robot)
                teleop.say(0.4)  # he drives on
                wait_until(lambda: robot.robot.walking, step=user.spin)
                teleop.say(0.0)
                wait_until(lambda: robot.speed < 0.05, step=user.spin)
        finally:
            teleop.stop()
            user.destroy_node()


def outage(teleop, robot):
    teleop.plug('down')
    time.sleep(0.3)  # his last words go into the network that is gone
    teleop.say(None)
    wait_until(lambda: robot.speed < 0.05)
    time.sleep(2.0)  # the outage
    before = len(robot.requests)
    teleop.plug('up')
    time.sleep(3.0)  # DDS finds its readers again, and sends what they have not had
    assert speeds_since(robot, before) == []
