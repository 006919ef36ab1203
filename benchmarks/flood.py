"""
Whether a flood of messages from the robot delays the velocities on their way to it.

    python benchmarks/flood.py [--seconds 4] [--rounds 3] [FLOOD ...]

Three processes: a simulated robot that floods when told to, the driver as it is shipped, and
this one, the user, who publishes a Twist ``RATE`` times a second, each with a speed of its own.
A delay is the time from just before ``publish()`` until aiortc's ``RTCDtlsTransport._send_data``
first returns for the packet that holds this speed: it is then encrypted, and the kernel has it.
That function, ``Link.open`` and ``Link._on_message`` are wrapped in the driver's process to note
a time and to count; nothing else differs from the shipped driver. A Twist that never leaves
counts as an endless delay.

Phases without a flood come before and after each one, and a flood is compared with those two.
The first second of a flood counts too, in which the driver takes more of it than later. Each
phase ends with a zero Twist, upon which the robot has to hear a zero Move and stand still.

Three processes on two cores, one of which floods with all its might, need a machine without
other work. How many cores that took stands in the column ``others``; of a flood's rounds the one
counts that others disturbed least. What a busy robot takes from the driver without sending more,
which a real one cannot, shows in the phases ``busy``. Fails if a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # this checkout, not what is installed

ROBOT_IP = '127.0.0.78'
RATE = 13.0  # Hz; in step with neither the driver's repeating nor the robot's streams
WORST_RATIO = 2.0  # of a flood's median delay to that without one
STOP_LIMIT = 1.0  # s, until the robot hears that it shall stop
STILL_LIMIT = 2.0  # s, until it stands
REST = 0.5  # s, after a flood, for what is still on its way
SMALL = 650  # bytes, as a state; less overruns the driver's socket, and aiortc's robot stalls
PATIENCE = 20.0  # s; a bound that only a broken program reaches
MOVE = re.compile(rb'"api_id": 1008\b.*?\\"x\\": ([-0-9.e]+)')
FLOODS = ('small', 'large', 'garbage', 'probes', 'mix')
BUSY = 'busy'  # no flood: the robot computes as much as it can, and sends what it always does


class Phase(NamedTuple):
    """
    One phase.

    Attributes:
        delays: of its Twists [ms], endless for those that never left.
        received: messages that the driver got in a second.
        links: that the driver had to open.
        cpu: share of a core that the driver took.
        others: cores that all other processes of the machine took.
        stop: from the zero Twist until the robot heard a zero Move [ms].
        stands: whether the robot stood in time.
    """

    delays: list[float]
    received: float
    links: int
    cpu: float
    others: float
    stop: float
    stands: bool


class Trial(NamedTuple):
    """A phase with a flood, and those without one before and after it."""

    flood: Phase
    before: Phase
    after: Phase

    @property
    def quiet(self):
        """The median delay without the flood [ms]."""
        return statistics.median(self.before.delays + self.after.delays)

    @property
    def ratio(self):
        """Of the median delays; endless if either is."""
        median = statistics.median(self.flood.delays)
        return median / self.quiet if self.quiet < math.inf else math.inf

    def __str__(self):
        median = statistics.median(self.flood.delays)
        return f'{median:.1f} ms / {self.quiet:.1f} ms = {self.ratio:.2f}'


class Child:
    """A process of this script that answers lines with lines of JSON."""

    def __init__(self, role, *arguments):
        self._process = subprocess.Popen(
            [sys.executable, __file__, role, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, line):
        """Return the answer to a line; a child that has ended is an error."""
        self._process.stdin.write(line + '\n')
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self):
        """End the process."""
        self._process.terminate()
        self._process.wait(PATIENCE)


def answer(acts, output):
    """Answer lines on standard input until it ends."""
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(acts[name](*arguments)), file=output, flush=True)


def take_stdout():
    """Return a file that writes to our standard output; what others print there is diverted."""
    output = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    return output


# The robot.


def be_robot():
    """Run the simulated robot until its standard input ends."""
    from go2_webrtc_driver.ros.event_loop_thread import EventLoopThread
    from go2_webrtc_driver.sim.options import Options
    from go2_webrtc_driver.sim.wire.peer import SimulatedGo2

    output, loop, go2 = take_stdout(), EventLoopThread('robot'), SimulatedGo2(Options(ROBOT_IP))
    loop.run(go2.start(), PATIENCE)
    messages, running = flood_messages(go2), []

    async def change(*names):
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        work = [compute() if name == BUSY else go2.flood(messages[name]) for name in names]
        running[:] = map(asyncio.ensure_future, work)

    async def tell():
        return {'speed': go2.speed, 'moves': moves_of(go2), 'cpu': time.process_time()}

    answer({'flood': lambda *names: loop.run(change(*names), PATIENCE),
            'tell': lambda: loop.run(tell(), PATIENCE)}, output)  # fmt: skip


async def compute():
    """Take a core, in turns with all else."""
    while True:
        sum(range(20_000))
        await asyncio.sleep(0)


def moves_of(go2):
    """Return when [s, monotonic] the robot heard which speed, of its last Moves."""
    heard = [(when, json.loads(text)['x']) for when, api, text, _ in go2.requests if api == 1008]
    return heard[-100:]


def flood_messages(go2):
    """Return what is sent again and again: valid and cheap, valid and dear, invalid, echoed."""
    import numpy as np

    from go2_webrtc_driver.protocol import voxel_map
    from go2_webrtc_driver.protocol.messages import build_frame, build_message
    from go2_webrtc_driver.protocol.topics import MessageType, Topic
    from go2_webrtc_driver.sim.wire import streams

    state = streams.texts(go2.robot, go2.services, 1.0)[Topic.SPORT_MODE_STATE.value].make()
    voxels = np.zeros((38, 128, 128), np.bool_)
    voxels[:29] = np.random.default_rng(0).random((29, 128, 128)) < 0.3
    header, payload = voxel_map.encode_voxels(voxels, (0.0, 0.0, 0.0), 0.05, time.time())
    probe = {'req_type': 'rtt_probe_send_from_mechine', 'time': 0, 'pad': 'x' * SMALL}
    return {
        'small': state,
        'large': build_frame(Topic.VOXEL_MAP.value, header, payload),
        'garbage': np.random.default_rng(0).bytes(SMALL),
        'probes': build_message(MessageType.INNER_REQUEST, info=probe),
    }


# The driver.


def be_driver(arguments):
    """Run the shipped driver, and tell on request what it has sent and received."""
    from aiortc import RTCDtlsTransport

    from go2_webrtc_driver.link.link import Link
    from go2_webrtc_driver.ros.main import main as run_driver

    output, left_at, counts = take_stdout(), {}, {'received': 0, 'links': 0}
    RTCDtlsTransport._send_data = noting_moves(RTCDtlsTransport._send_data, left_at)
    Link._on_message = counting('received', Link._on_message, counts)
    Link.open = counting('links', Link.open, counts)

    def tell():
        moves = list(left_at.items())
        left_at.clear()
        return {'moves': moves, 'cpu': time.process_time(), **counts}

    threading.Thread(target=answer, args=({'tell': tell}, output), daemon=True).start()
    return run_driver(arguments)


def noting_moves(send_data, left_at):
    """Return ``send_data`` that notes when [ns, monotonic] a speed was first sent."""

    async def noting(self, data):
        await send_data(self, data)
        if found := MOVE.search(data):
            left_at.setdefault(float(found[1]), time.monotonic_ns())

    return noting


def counting(name, method, counts):
    """Return ``method`` that counts its calls."""

    def counted(self, *arguments):
        counts[name] += 1
        return method(self, *arguments)

    return counted


# The user.


class User:
    """Drives the robot, and measures how long that takes."""

    def __init__(self, robot, driver):
        import rclpy
        from geometry_msgs.msg import Twist

        self._robot, self._driver = robot, driver
        self._node = rclpy.create_node('benchmark')
        self._twist = Twist
        self._publisher = self._node.create_publisher(Twist, 'cmd_vel', 10)
        self._count = 0

    def activate(self):
        """Configure and activate the driver, and wait until it has found us."""
        for number in (1, 3):
            self._transition(number)
        while not self._publisher.get_subscription_count():
            time.sleep(0.01)

    def _transition(self, number):
        import rclpy
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        client = self._node.create_client(ChangeState, 'go2_driver/change_state')
        assert client.wait_for_service(PATIENCE)
        future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
        rclpy.spin_until_future_complete(self._node, future, timeout_sec=PATIENCE)
        assert future.result().success

    def phase(self, floods, seconds):
        """Drive for some seconds while the robot sends ``floods``."""
        self._robot.ask(' '.join(['flood', *floods]))
        before = self._measure()
        published_at = self._drive(before['time'] + seconds)
        after = self._measure()
        stop, stands = self._stop()
        self._robot.ask('flood')
        time.sleep(REST)
        left_at = dict(after['moves'] + self._driver.ask('tell')['moves'])
        rose = {name: after[name] - before[name] for name in before if name != 'moves'}
        return Phase(
            [(left_at.get(x, math.inf) - at) * 1e-6 for x, at in published_at.items()],
            rose['received'] / rose['time'],
            rose['links'],
            rose['cpu'] / rose['time'],
            (rose['busy'] - rose['ours']) / rose['time'],
            stop,
            stands,
        )

    def _measure(self):
        """Return what the driver tells, the time [s, monotonic], and CPU times [s]."""
        driver, robot = self._driver.ask('tell'), self._robot.ask('tell')
        ours = driver['cpu'] + robot['cpu'] + time.process_time()
        return {**driver, 'time': time.monotonic(), 'busy': busy_time(), 'ours': ours}

    def _drive(self, until):
        """Publish until then; return when [ns, monotonic] each speed was."""
        published_at, due = {}, time.monotonic()
        while due < until:
            self._count += 1
            speed = 0.1 + 0.1 * (self._count % 2) + 1e-5 * self._count
            published_at[speed] = time.monotonic_ns()
            self._publish(speed)
            due += 1.0 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
        return published_at

    def _publish(self, speed):
        twist = self._twist()
        twist.linear.x = speed
        self._publisher.publish(twist)

    def _stop(self):
        """Stop; return how long [ms] the robot did not hear of it, and whether it stands."""
        begun, heard_at, stands = time.monotonic(), math.inf, False
        self._publish(0.0)
        while not stands and time.monotonic() < begun + STILL_LIMIT:
            told = self._robot.ask('tell')
            zeros = [when for when, x in told['moves'] if when > begun and x == 0.0]
            heard_at = min([heard_at, *zeros])
            stands = told['speed'] < 0.05 and heard_at < math.inf
            time.sleep(0.02)
        return (heard_at - begun) * 1e3, stands


def busy_time():
    """Return how long all cores together have worked so far [s]."""
    with open('/proc/stat') as file:
        user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf('SC_CLK_TCK')


def measure(user, options):
    """Return the trials of each flood."""
    user.phase((), 2.0)  # what is first done is slow
    print_row('flood', 'n', 'never left', 'median', 'p99', 'max', 'stop', 'messages/s',
              'new links', 'CPU', 'others')  # fmt: skip
    print_row(*['---'] * 11)
    trials, after = {}, print_phase('none', user.phase((), options.seconds))
    for name in options.floods * options.rounds:
        floods, before = FLOODS[:-1] if name == 'mix' else (name,), after
        flood = print_phase(name, user.phase(floods, options.seconds))
        after = print_phase('none', user.phase((), options.seconds))
        trials.setdefault(name, []).append(Trial(flood, before, after))
    return trials


def print_phase(name, phase):
    """Print a row about a phase, and return it."""
    delays, lost = sorted(phase.delays), phase.delays.count(math.inf)
    shown = statistics.median(delays), delays[int(len(delays) * 0.99)], delays[-1]
    print_row(name, len(delays), lost, *(f'{each:.1f}' for each in shown), f'{phase.stop:.0f}',
              f'{phase.received:.0f}', phase.links, f'{phase.cpu:.0%}',
              f'{phase.others:.1f}')  # fmt: skip
    return phase


def print_row(*cells):
    print(f'| {" | ".join(map(str, cells))} |', flush=True)


def goals(trials):
    """Return (text, what was measured, whether that is good) for each goal."""
    trials = {name: each for name, each in trials.items() if name != BUSY}
    for name, each in trials.items():
        best = least_disturbed(each)
        yield (f'{name}: median delay <= {WORST_RATIO:g} x that without a flood', str(best),
               best.ratio <= WORST_RATIO)  # fmt: skip
    floods = [trial.flood for each in trials.values() for trial in each]
    slowest = max((flood.stop for flood in floods), default=0.0)
    yield (f'the robot hears a stop within {STOP_LIMIT:g} s', f'{slowest:.0f} ms at most',
           slowest <= STOP_LIMIT * 1e3)  # fmt: skip
    stood = sum(flood.stands for flood in floods)
    yield (f'the robot stands within {STILL_LIMIT:g} s', f'{stood} of {len(floods)}',
           stood == len(floods))  # fmt: skip


def least_disturbed(trials):
    return min(trials, key=lambda trial: sum(phase.others for phase in trial))


def report(trials):
    """Print what was to be reached and what was; return the exit status."""
    if BUSY in trials:
        print(f'\nThe robot busy, but no flood: {least_disturbed(trials[BUSY])}')
    print()
    print_row('goal', 'measured', 'met')
    print_row(*['---'] * 3)
    rows = [*goals(trials)]
    for text, measured, is_met in rows:
        print_row(text, measured, 'yes' if is_met else 'NO')
    return 0 if all(is_met for *_, is_met in rows) else 1


def main():
    """Run the robot and the driver, measure, and return the exit status."""
    import rclpy

    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    parser.add_argument('floods', nargs='*', metavar='FLOOD', help=', '.join(FLOODS))
    parser.add_argument('--seconds', type=float, default=4.0, help='of each phase')
    parser.add_argument('--rounds', type=int, default=3, help='of all floods')
    options = parser.parse_args()
    options.floods = options.floods or [*FLOODS, BUSY]
    if unknown := set(options.floods) - {*FLOODS, BUSY}:
        parser.error(f'expected {", ".join(FLOODS)}, got {", ".join(unknown)}')
    load = ' '.join(f'{each:.2f}' for each in os.getloadavg())
    print(f'{os.cpu_count()} cores, load {load}; delays and stop in ms\n')
    rclpy.init()
    robot = Child('robot')
    robot.ask('flood')  # it answers as soon as it listens
    driver = Child('driver', '--ros-args', '-p', f'robot_ip:={ROBOT_IP}',
                   '-p', 'max_linear_acceleration:=50.0', '--log-level', 'error')  # fmt: skip
    try:
        user = User(robot, driver)
        user.activate()
        return report(measure(user, options))
    finally:
        driver.end()
        robot.end()


if __name__ == '__main__':
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', '94')
    if sys.argv[1:2] == ['robot']:
        sys.exit(be_robot())
    sys.exit(be_driver(sys.argv[2:]) if sys.argv[1:2] == ['driver'] else main())
