"""
Whether the driver stays alive, safe and small, however often something goes wrong.

    python benchmarks/soak.py recover [--cycles 100]
    python benchmarks/soak.py faults [--seconds 1800] [--period 20] [--seed 1]
    python benchmarks/soak.py exits [--times 3]

``recover``: the simulated robot, a process of its own, is killed in mid-stream while it is
commanded, and started again after 0 to 3 s more than the driver needs to notice; now and
then the driver is deactivated and activated for comparison, a fresh connect. ``faults``: the
faults of ``test/faults``, one every ``period``, in random order, each while the robot is
commanded. ``exits``: every orderly way out, from the signal or request to the StopMove that the
walking robot hears. A real driver over real DDS, in a process that counts what it holds when asked
(``counted_driver.py``). Prints tables, and fails if a goal is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
TEST = HERE.parent / 'test'
sys.path[:0] = [str(TEST), str(TEST / 'ros'), str(TEST / 'faults')]

os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))

import connect
import counted_driver
import rclpy
from connect import Goal
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driver_process import (
    ACTIVATE,
    CONFIGURE,
    DEACTIVATE,
    SIM,
    User,
    driver,
    robot_in_this_process,
    walk,
)
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import Image
from stage import FAULTS, PARAMETERS, SPEED, play, stage
from support import free_address, process, read_output, wait_until

from go2_webrtc_driver.protocol.topics import SportApi

DRIVER = 'counted_driver'
SILENCE_TIMEOUT = 3.0  # s, the default
NOTICE_SLACK = 1.0  # s
LONGEST_ABSENCE = 3.0  # s, of the robot, beyond what the driver needs to notice
FRESH_EVERY = 5  # cycles
WARM_UP = 10  # cycles, or faults, before memory is compared
MOST_GROWTH = 1.05
RATIO = 1.5  # of a recovery to a fresh connect
STOP_LIMIT = 0.2  # s, from a signal or request until the robot is told
LOOK_PERIOD = 0.2  # s, before each look
LOOKS = 5
QUIET = 3.0  # s, for what is over to be gone before it is counted
COUNTED = ('threads', 'tasks', 'file descriptors')


def environment():
    """Return what lets the driver's process find ``counted_driver``."""
    return {'PYTHONPATH': os.pathsep.join([str(HERE), os.environ.get('PYTHONPATH', '')])}


def counts(driver, wait=lambda seconds: time.sleep(seconds)):
    """Ask the driver what it holds, after a quiet time; some tasks last for a moment only."""
    wait(QUIET)
    return min((_counts(driver, wait) for _ in range(LOOKS)), key=lambda held: size(held['tasks']))


def _counts(driver, wait):
    wait(LOOK_PERIOD)
    seen = read_output(driver).count(counted_driver.MARK)
    driver.send_signal(signal.SIGUSR1)
    wait_until(lambda: read_output(driver).count(counted_driver.MARK) > seen)
    wait_until(lambda: read_output(driver).rpartition(counted_driver.MARK)[2].count('\n') > 0)
    line = read_output(driver).rpartition(counted_driver.MARK)[2].partition('\n')[0]
    return json.loads(line)


def growth_goals(first, warm, last):
    """Return the goals about what the driver holds: at the start, warmed up, and at the end."""
    goals = [
        Goal(f'{name} not more than at the start', f'{size(first[name])} -> {size(last[name])}',
             size(last[name]) <= size(first[name]))
        for name in COUNTED
    ]  # fmt: skip
    memory = last['memory'] / warm['memory']
    text = f'memory within {MOST_GROWTH - 1:.0%} after the first {WARM_UP}'
    shown = f'{warm["memory"] / 1e6:.1f} -> {last["memory"] / 1e6:.1f} MB ({memory - 1:+.1%})'
    return [*goals, Goal(text, shown, memory <= MOST_GROWTH)]


def size(counted):
    """Return a number of things that may be a list of their names."""
    return len(counted) if isinstance(counted, list) else counted


class Watch:
    """What a user sees of the driver: pictures, and what diagnostics say."""

    def __init__(self, user):
        self.user = user
        self.driver = None
        self.picture_at = self.lost_at = 0.0
        user.create_subscription(Image, 'camera/image_raw', self._on_picture, 10)
        user.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def _on_picture(self, image):
        self.picture_at = time.monotonic()

    def _on_diagnostics(self, array):
        for status in array.status:
            is_error = status.level == DiagnosticStatus.ERROR
            if status.name.endswith(': connection') and is_error:
                self.lost_at = time.monotonic()

    def picture_after(self, since):
        """Return how long after ``since`` [s, monotonic] the next picture came [s]."""
        self.until(lambda: self.picture_at > since)
        return self.picture_at - since

    def loss_after(self, since):
        """Return how long after ``since`` diagnostics told of a loss [s]."""
        self.until(lambda: self.lost_at > since)
        return self.lost_at - since

    def until(self, condition):
        """Command the robot until something holds."""
        wait_until(condition, 60.0, self._command)

    def spend(self, seconds):
        """Command the robot for a time."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def _command(self):
        if self.driver is not None:
            read_output(self.driver)  # a pipe that is full would stop its log
        self.user.drive(SPEED)
        self.user.spin(0.01)


def fresh_connect(watch):
    """Deactivate, activate, and return how long the first picture took [s]."""
    assert watch.user.transition(DEACTIVATE)
    watch.spend(0.5)
    since = time.monotonic()
    assert watch.user.transition(ACTIVATE)
    return watch.picture_after(since)


def recover(options):
    """Kill the robot again and again; return the goals."""
    user, ip, dice = User(), free_address(), random.Random(options.seed)
    watch = Watch(user)
    fresh, noticed, back, held = [], [], [], []
    arguments = ['--ros-args', '-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{ip}'"]
    with process(DRIVER, *arguments, env=environment()) as ours, contextlib.ExitStack() as robot:
        watch.driver = ours
        running = robot.enter_context(process(SIM, '--ip', ip, ready='listens'))
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        watch.picture_after(time.monotonic())
        held.append(counts(ours, watch.spend))
        for cycle in range(options.cycles):
            if cycle % FRESH_EVERY == 0:
                fresh.append(fresh_connect(watch))
            watch.spend(dice.uniform(0.5, 1.0))
            running.kill()
            noticed.append(watch.loss_after(time.monotonic()))
            watch.spend(dice.uniform(0.0, LONGEST_ABSENCE))
            running = robot.enter_context(process(SIM, '--ip', ip))
            watch.until(lambda running=running: 'listens' in read_output(running))
            back.append(watch.picture_after(time.monotonic()))
            connect.progress(f'{cycle + 1}: noticed {noticed[-1]:.2f} s, back {back[-1]:.2f} s')
            if cycle + 1 == WARM_UP:
                held.append(counts(ours, watch.spend))
        held.append(counts(ours, watch.spend))
    return recover_goals(options, fresh, noticed, back) + growth_goals(*held)


def recover_goals(options, fresh, noticed, back):
    """Print what was measured and return the goals."""
    connect.print_row('', 'n', 'median [s]', 'largest [s]')
    connect.print_row(*['---'] * 4)
    for name, times in (
        ('fresh connect to first picture', fresh),
        ('robot killed to loss noticed', noticed),
        ('robot back to first picture', back),
    ):
        connect.print_row(name, len(times), f'{statistics.median(times):.3f}', f'{max(times):.3f}')
    ratio = statistics.median(back) / statistics.median(fresh)
    limit = SILENCE_TIMEOUT + NOTICE_SLACK
    in_time = sum(each <= limit for each in noticed)
    return [
        Goal(f'{options.cycles} recoveries', str(len(back)), len(back) == options.cycles),
        Goal(f'robot back to first picture <= {RATIO} x a fresh connect', f'{ratio:.2f}',
             ratio <= RATIO),
        Goal(f'loss noticed within {limit:g} s', f'{in_time} of {options.cycles}',
             in_time == options.cycles),
    ]  # fmt: skip


def faults(options):
    """Let one fault after the other happen; return the goals."""
    dice, outcomes, held = random.Random(options.seed), [], []
    end = time.monotonic() + options.seconds
    with stage(User(), DRIVER, PARAMETERS, environment()) as made:
        made.walk()
        held.append(counts(made.driver, made.drive_for))
        while time.monotonic() < end:
            due = time.monotonic() + options.period
            fault = dice.choice(FAULTS)
            outcome = play(made, fault)
            outcomes.append((fault, outcome))
            connect.progress(f'{fault.name}: {outcome}')
            if len(outcomes) == WARM_UP:
                held.append(counts(made.driver, made.drive_for))
            made.drive_until(lambda due=due: time.monotonic() > due)
        held.append(counts(made.driver, made.drive_for))
        print_log(made.driver)
    if len(held) == 2:
        held.insert(1, held[-1])  # too short for memory to be compared
    return fault_goals(outcomes) + growth_goals(*held)


def exits(options):
    """Leave in every way while the robot walks; return the goals."""
    leave = {
        **{name: signaling(getattr(signal, name)) for name in ('SIGINT', 'SIGTERM', 'SIGHUP')},
        'deactivate': requesting(DEACTIVATE),
        'shutdown': requesting(Transition.TRANSITION_ACTIVE_SHUTDOWN),
    }
    goals = []
    for name, act in leave.items():
        times = [time_to_stop(act) for _ in range(options.times)]
        goals.append(Goal(f'{name}: stop within {STOP_LIMIT:g} s', f'{max(times):.3f} s at most',
                          max(times) <= STOP_LIMIT))  # fmt: skip
    return goals


def signaling(number):
    return lambda user, driver: driver.send_signal(number)


def requesting(number):
    return lambda user, driver: user.transition(number)


def time_to_stop(act):
    """Return how long after ``act`` a walking robot is told to stop [s]."""
    user = User()
    with robot_in_this_process() as (robot, _), driver(user, robot.ip) as started:
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        walk(user)
        since = time.monotonic()
        act(user, started)
        wait_until(lambda: stops_after(robot, since))
    user.destroy_node()
    return stops_after(robot, since)[0] - since


def stops_after(robot, since):
    """Return when the robot was told to stop, after ``since`` [s, monotonic]."""
    return [at for at, api, _, _ in robot.requests if at > since and api == SportApi.STOP_MOVE]


def print_log(driver):
    """Show how calm the driver was."""
    lines = [line for line in read_output(driver).splitlines() if counted_driver.MARK not in line]
    errors = sum('[ERROR]' in line for line in lines)
    print(f'the driver logged {len(lines)} lines, {errors} of them errors\n')


def fault_goals(outcomes):
    """Print what came of each kind of fault and return the goals."""
    connect.print_row('fault', 'n', 'stood after, at most [s]', 'bound [s]', 'back, median [s]')
    connect.print_row(*['---'] * 5)
    for fault in FAULTS:
        found = [outcome for each, outcome in outcomes if each is fault]
        if found:
            connect.print_row(
                fault.name, len(found), f'{max(each.stopped for each in found):.2f}',
                f'{found[0].bound:.2f}',
                f'{statistics.median(each.recovery for each in found):.2f}',
            )  # fmt: skip
    in_time = sum(outcome.stopped <= outcome.bound for _, outcome in outcomes)
    return [Goal('robot stands within its bound, and comes back', f'{in_time} of {len(outcomes)}',
                 in_time == len(outcomes) > 0)]  # fmt: skip


SUBCOMMANDS = {'recover': recover, 'faults': faults, 'exits': exits}


def main():
    """Run what was asked for, print the goals, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    parser.add_argument('what', choices=SUBCOMMANDS)
    parser.add_argument('--times', type=int, default=3, help='of each of the exits')
    parser.add_argument('--cycles', type=int, default=100, help='of recover')
    parser.add_argument('--seconds', type=float, default=1800.0, help='of faults [s]')
    parser.add_argument('--period', type=float, default=20.0, help='of faults [s]')
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    connect.print_machine()
    rclpy.init()
    return connect.print_goals(SUBCOMMANDS[options.what](options))


if __name__ == '__main__':
    sys.exit(main())
