"""
What a hostile robot, network or operator can do to the driver, at length.

    python benchmarks/attack.py mix [--seconds 1080]
    python benchmarks/attack.py storm [--seconds 300] [--cycles 1000]
    python benchmarks/attack.py outages [--times 10]

``mix``: a simulated robot that is patched to lie sends one kind of attack after the other, each
for a few seconds, to the real driver; between two the robot is commanded to walk and must do so,
and to stop. Memory, threads and file descriptors of the driver are noted all the while.
``storm``: transitions at random from two clients, and calm ones in a row, with many subscribers.
``outages``: an operator in a network namespace of his own, whose cable is pulled. The last two
are the suite's own tests in their long form. Prints tables, and fails if a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEST = ROOT / 'test'
sys.path[:0] = [str(each) for each in (Path(__file__).parent, TEST, TEST / 'ros', TEST / 'faults')]

import connect
import rclpy
from aiortc.rtcsctptransport import DataChunk
from aiortc.rtp import RtpPacket
from connect import Goal
from driver_process import ACTIVATE, CONFIGURE, User, robot_in_this_process
from soak import DRIVER, counts, environment, size
from support import process, read_output, wait_until

from go2_webrtc_driver.protocol.messages import build_message
from go2_webrtc_driver.protocol.topics import MessageType, Topic

BURST = 3.0  # s, of each attack
PERIOD = 0.02  # s, between two strokes of one
SPEED = 0.4  # m/s
MOST_GROWTH = 1.05  # of memory over the last ten minutes
LEVEL = 600.0  # s
FIRST_FRAGMENT = 2
dice = random.Random(1)


def send(go2, text):
    """Send on the robot's data channel, if it has a client that reads."""
    if go2.client is not None:
        go2.client.send(text)


def garbage(go2):
    """Bytes and text that are no message."""
    send(go2, dice.randbytes(dice.randrange(1, 2000)))
    send(go2, dice.randbytes(100).decode('latin-1'))


def long_json(go2):
    """JSON just below and far above what is read."""
    send(go2, build_message(MessageType.MESSAGE, Topic.LOW_STATE.value, [{}] * 60_000))
    send(go2, build_message(MessageType.MESSAGE, Topic.LOW_STATE.value, [{}] * 300_000))


def deep_json(go2):
    """JSON as deep as it is long."""
    send(go2, '{"type":"msg","topic":"rt/x","data":' + '[' * 50_000 + ']' * 50_000 + '}')


def fresh_faults(go2):
    """Faults that were never there before."""
    for _ in range(10):
        fault = [1, dice.randrange(1 << 30), dice.randrange(1 << 30)]
        send(go2, build_message(MessageType.FAULT_ADDED, data=fault))
    send(go2, build_message(MessageType.FAULTS, data=[]))


def odd_topics(go2):
    """Topics that move a terminal's cursor, or cannot be encoded."""
    for topic in ('\ud800', '\n[FATAL] fire', '\x1b[2J', 'x' * 5000, str(dice.random())):
        send(go2, build_message(MessageType.RESPONSE, topic, {'header': {}}))
        send(go2, build_message(MessageType.MESSAGE, topic, dice.random()))


def states_with_holes(go2):
    """States of which a part is missing or is no number."""
    for topic in (Topic.SPORT_MODE_STATE, Topic.LOW_STATE, Topic.ROBOT_POSE):
        send(go2, build_message(MessageType.MESSAGE, topic.value, {'velocity': [0, 0, None]}))


def probes(go2):
    """Probes and heartbeats that want to be answered."""
    info = {'req_type': 'rtt_probe_send_from_mechine', 'pad': 'x' * dice.randrange(6000)}
    for _ in range(20):
        send(go2, build_message(MessageType.INNER_REQUEST, info=info))
        send(go2, build_message(MessageType.HEARTBEAT))


def new_sources(go2):
    """RTP of ever new sources."""
    if go2.client is None:
        return
    transport = go2.client._connection.getSenders()[0].transport
    for _ in range(50):
        packet = RtpPacket(
            payload_type=99, sequence_number=dice.randrange(1 << 16), ssrc=dice.randrange(1 << 32)
        )
        packet.payload = dice.randbytes(50)
        task = asyncio.ensure_future(transport._send_rtp(packet.serialize()))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


def beginnings(go2):
    """Messages that begin and never end, over many streams."""
    if go2.client is None:
        return
    association = go2.client._connection.sctp
    for _ in range(20):
        chunk = DataChunk(flags=FIRST_FRAGMENT)
        chunk.tsn = association._local_tsn
        chunk.stream_id, chunk.stream_seq = dice.randrange(2, 1000), 0
        chunk.protocol, chunk.user_data = 51, bytes(200)
        association._local_tsn = (association._local_tsn + 1) % (1 << 32)
        task = asyncio.ensure_future(association._send_chunk(chunk))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


def validation_again(go2):
    """The key again, and doubts about the answer."""
    send(go2, build_message(MessageType.VALIDATION, data=str(dice.random())))


ATTACKS = (
    garbage, long_json, deep_json, fresh_faults, odd_topics, states_with_holes, probes,
    new_sources, beginnings, validation_again,
)  # fmt: skip


def mix(options):
    """Let one attack follow the other; return the goals."""
    outcomes, held, begun = [], [], time.monotonic()
    with robot_in_this_process() as (go2, loop):
        user = User()
        arguments = ['-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{go2.ip}'"]
        with process(DRIVER, '--ros-args', *arguments, env=environment()) as started:
            assert user.transition(CONFIGURE)
            assert user.transition(ACTIVATE)
            while time.monotonic() - begun < options.seconds:
                attack = ATTACKS[len(outcomes) % len(ATTACKS)]
                outcomes.append((attack.__name__, play(attack, go2, loop, user, started)))
                held.append((time.monotonic() - begun, counts(started, user.spin)))
                connect.progress(f'{attack.__name__}: {outcomes[-1][1]}, {held[-1][1]["memory"]}')
    return mix_goals(outcomes, held)


def play(attack, go2, loop, user, started):
    """Attack for a while, then have the robot walk and stand; return whether it did."""
    end = time.monotonic() + BURST
    while time.monotonic() < end:
        loop.post(attack, go2)
        read_output(started)
        user.drive(SPEED)
        user.spin(PERIOD)
    try:
        wait_until(lambda: go2.speed > 0.2, 30.0, lambda: command(user, started, SPEED))
        wait_until(lambda: go2.speed < 0.05, 5.0, lambda: command(user, started, 0.0))
    except AssertionError:
        return False
    return started.poll() is None


def command(user, started, speed):
    """Command a speed, and read what the driver says."""
    read_output(started)
    user.drive(speed)
    user.spin(0.02)


def mix_goals(outcomes, held):
    """Print what came of each attack and of the memory, and return the goals."""
    connect.print_row('attack', 'bursts', 'walked and stood afterwards')
    connect.print_row('---', '---', '---')
    for attack in ATTACKS:
        found = [good for name, good in outcomes if name == attack.__name__]
        connect.print_row(attack.__doc__.rstrip('.'), len(found), sum(found))
    end = held[-1][0]
    late = [each for at, each in held if at > end - LEVEL]
    first, last = late[0]['memory'], late[-1]['memory']
    return [
        Goal('walks and stands after each burst', f'{sum(g for _, g in outcomes)}/{len(outcomes)}',
             all(good for _, good in outcomes)),
        Goal(f'memory level over the last {min(LEVEL, end):.0f} s',
             f'{first / 1e6:.1f} -> {last / 1e6:.1f} MB ({last / first - 1:+.1%})',
             last <= first * MOST_GROWTH),
        *(
            Goal(f'{name} at the end as after the first burst',
                 f'{size(held[0][1][name])} -> {size(held[-1][1][name])}',
                 size(held[-1][1][name]) <= size(held[0][1][name]) + 4)
            for name in ('threads', 'tasks', 'file descriptors')
        ),
    ]  # fmt: skip


def storm(options):
    """Run the suite's storms at length; return the goals."""
    variables = {'STORM_SECONDS': str(options.seconds), 'STORM_CYCLES': str(options.cycles)}
    good = passes('test/ros/test_storms.py', 'random or calm', variables)
    text = f'{options.seconds:g} s of random transitions, {options.cycles} calm cycles'
    return [Goal(text, 'passed' if good else 'failed', good)]


def outages(options):
    """Pull the operator's cable again and again; return the goals."""
    good = sum(passes('test/faults/test_network_outage.py', '') for _ in range(options.times))
    shown = f'{good} of {options.times}'
    return [Goal('nothing old walks the robot after an outage', shown, good == options.times)]


def passes(file, selected, variables=None):
    """Return whether tests of the suite pass."""
    command = [sys.executable, '-m', 'pytest', '-q', file, '-k', selected]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **(variables or {})})
    return done.returncode == 0


SUBCOMMANDS = {'mix': (mix, 1080.0), 'storm': (storm, 300.0), 'outages': (outages, 0.0)}


def main():
    """Run what was asked for, print the goals, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    parser.add_argument('what', choices=SUBCOMMANDS)
    parser.add_argument('--seconds', type=float, default=None, help='of mix or storm')
    parser.add_argument('--cycles', type=int, default=1000, help='of storm')
    parser.add_argument('--times', type=int, default=10, help='of outages')
    options = parser.parse_args()
    run, seconds = SUBCOMMANDS[options.what]
    options.seconds = seconds if options.seconds is None else options.seconds
    connect.print_machine()
    rclpy.init()
    return connect.print_goals(run(options))


if __name__ == '__main__':
    sys.exit(main())
