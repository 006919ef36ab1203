"""
How fast and how surely a link comes up: ours against the library, as it is and repaired.

    python benchmarks/connect.py [--attempts 30] [--rtt 0.1] [remote|silent|lan|cycles|all]

All variants meet the same simulated robot in one call, so that the ratios hold on any
machine; prints markdown tables, and fails if a goal is missed. Needs coturn, no network.

Robot and cloud, coturn, and every client are processes of their own; the UDP relay that
delays what goes to coturn is in this one, and so is the robot of ``silent``, which tells it
when to fall silent. Variants take turns in batches of a few attempts:

- ``unpatched``: unitree_webrtc_connect as it is; our package is not imported;
- ``component 1``, ``component 2``, ``components 1 + 2``: the library with the repairs of the
  field report. Component 2 wraps ``RTCPeerConnection.setRemoteDescription``, which is where
  the report puts its waits;
- ``ours``: ``connection.link.open_link``.

Every client gathers on 127.0.0.1 alone, which aioice by itself leaves out, and none asks a
public STUN server: the library's is switched off. Each attempt logs in to the cloud anew.
Its clock starts before that and stops when ``recv()`` of the video track first returns: the
library throws this frame away, and has no place to register a callback before it connects,
but that is no matter of connecting. Video is requested as soon as the application is told
that the data channel is valid; the library looks for that every 0.1 s. Errors are those of
tasks that nobody looks at.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import functools
import gc
import importlib.metadata
import json
import os
import platform
import random
import statistics
import sys
import time
from typing import NamedTuple

SERIAL = 'B42D1000BENCH001'
EMAIL, PASSWORD = 'bench@example.com', 'bench-password'
TURN_USER, TURN_PASSWORD = 'turn-user', 'turn-password'
TURN_IP, ROBOT_IP, LOCKED_IP, MUTE_IP = (f'127.0.0.{number}' for number in (81, 82, 83, 84))
VARIANTS = ('unpatched', 'component 1', 'component 2', 'components 1 + 2', 'ours')
BATCH = 5  # attempts of one variant before it is the next one's turn
PAUSE = 0.3  # s, between two attempts, for the robot to clean up
LIMIT = 10.0  # s, for the first frame
CONNECT_TIMEOUT = 10.0  # s, of ours
MARGIN = 0.5  # s, by which a bound may be overrun on a busy machine
CLOSE_LIMIT = 20.0  # s
SILENT_LIMIT = 20.0  # s, after which the unpatched library is given up
SILENT_ATTEMPTS = 5
NO_ANSWER_TIMEOUT = 0.5  # s
LATEST_CANCEL = {'lan': 0.12, 'remote': 0.6}  # s, just after a link is up
REST = 3.0  # s, for what is closed to be gone before it is counted
KINDS = ('media', 'codecs')  # of the two errors in the report
SIGNALING_PORT = 9991
BUSY = ('RobotBusyError', 'LinkBusy')
TOO_LATE = 'too late'
WORKER_TIMEOUT = 900.0  # s


class Goal(NamedTuple):
    """What was to be reached, and what was."""

    text: str
    measured: str
    is_met: bool


# The clients, each in a worker process.


class LibraryClient:
    """One connection of unitree_webrtc_connect."""

    def __init__(self, spec):
        self._spec = spec
        self._connection = None

    async def connect(self):
        """Connect as an application does; blocks the loop where the library does."""
        from unitree_webrtc_connect import UnitreeWebRTCConnection, WebRTCConnectionMethod

        if self._spec['way'] == 'lan':
            made = UnitreeWebRTCConnection(WebRTCConnectionMethod.LocalSTA, ip=self._spec['ip'])
        else:
            made = UnitreeWebRTCConnection(
                WebRTCConnectionMethod.Remote, SERIAL, username=EMAIL, password=PASSWORD
            )
        configure = made.create_webrtc_configuration
        made.create_webrtc_configuration = functools.partial(configure, stunEnable=False)
        self._connection = made
        await made.connect()

    def request_video(self):
        """Ask for pictures."""
        self._connection.datachannel.switchVideoChannel(True)

    async def close(self):
        """Disconnect, also after a failure."""
        if self._connection is not None:
            await self._connection.disconnect()


class OurClient:
    """One link of ours."""

    def __init__(self, spec):
        self._spec = spec
        self._link = None

    async def connect(self):
        """Open the link; one that fails closes itself."""
        self._opening = our_link(self._spec, CONNECT_TIMEOUT)
        self._link = await self._opening.__aenter__()

    def request_video(self):
        """Ask for pictures."""
        self._link.switch_video(True)

    async def close(self):
        """Close the link if there is one."""
        if self._link is not None:
            await self._opening.__aexit__(None, None, None)


def our_link(spec, timeout, device_key=None):
    """Return our link to the robot of ``spec``."""
    from go2_webrtc_driver.link.link import open_link
    from go2_webrtc_driver.signaling.account import Cloud
    from go2_webrtc_driver.signaling.credentials import Credentials
    from go2_webrtc_driver.signaling.lan import STA_OFFER, LanSignaling
    from go2_webrtc_driver.signaling.remote import RemoteSignaling

    if spec['way'] == 'lan':
        return open_link(LanSignaling(spec['ip'], '', device_key, STA_OFFER), timeout)
    account = Cloud(spec['url'], SERIAL, Credentials(email=EMAIL, password=PASSWORD))
    return open_link(RemoteSignaling(account, SERIAL, ()), timeout)


class Probe:
    """Sees the first frame, how long closing takes, and errors that nobody retrieves."""

    def __init__(self):
        self.errors = []
        self.reset()

    def reset(self):
        """Begin with an attempt."""
        self.first_frame = asyncio.get_running_loop().create_future()
        self.closes = []

    def watch_frames(self, recv):
        """Return ``recv`` of a track that tells when the first picture comes."""

        @functools.wraps(recv)
        async def watched(track):
            frame = await recv(track)
            if track.kind == 'video' and not self.first_frame.done():
                self.first_frame.set_result(time.monotonic())
            return frame

        return watched

    def watch_close(self, close):
        """Return ``close`` of a client that tells how long it took."""

        @functools.wraps(close)
        async def watched(client):
            begun = time.monotonic()
            await close(client)
            self.closes.append(time.monotonic() - begun)

        return watched

    def on_error(self, loop, context):
        """Take what asyncio reports to nobody."""
        self.errors.append(repr(context.get('exception') or context['message']))

    def take_errors(self):
        """Return the number of errors of each kind since last time, and texts of the others."""
        gc.collect()  # a task reports its error when it goes
        kinds = {kind: f"'NoneType' object has no attribute '{kind}'" for kind in KINDS}
        errors, self.errors = self.errors, []
        counts = {kind: sum(text in error for error in errors) for kind, text in kinds.items()}
        others = [error for error in errors if not any(map(error.count, kinds.values()))]
        return {**counts, 'others': others}


def prepare(variant, spec):
    """Import what the variant needs, patch it as the variant says, and watch it."""
    from unitree_webrtc_connect import UnitreeWebRTCConnection
    from unitree_webrtc_connect.unitree_cloud import BASE_URLS

    # isort: split
    import aioice.ice
    from aiortc import RTCPeerConnection, rtcrtpreceiver

    probe = Probe()
    asyncio.get_running_loop().set_exception_handler(probe.on_error)
    BASE_URLS.clear()  # nothing may ever reach the real ones
    BASE_URLS['global'] = spec.get('url', 'http://127.0.0.1:9/')
    aioice.ice.get_host_addresses = lambda *_, **__: ['127.0.0.1']
    if variant in ('component 1', 'components 1 + 2'):
        name = '_RTCPeerConnection__remoteRtp'
        setattr(RTCPeerConnection, name, checked(getattr(RTCPeerConnection, name)))
    if variant in ('component 2', 'components 1 + 2'):
        RTCPeerConnection.setRemoteDescription = synchronized(
            RTCPeerConnection.setRemoteDescription
        )
    closer, name = UnitreeWebRTCConnection, 'disconnect'
    if variant == 'ours':
        from go2_webrtc_driver.link.link import Link

        closer, name = Link, 'close'
    setattr(closer, name, probe.watch_close(getattr(closer, name)))
    track = rtcrtpreceiver.RemoteStreamTrack
    track.recv = probe.watch_frames(track.recv)
    return probe


def checked(remote_rtp):
    """Return component 1 of the report, word for word."""

    def checked_rtp(self, transceiver):
        try:
            remote_desc = self._RTCPeerConnection__remoteDescription()
            if remote_desc is None:
                return None
            return remote_rtp(self, transceiver)
        except AttributeError:
            return None

    return checked_rtp


def synchronized(set_remote_description):
    """Return component 2 of the report; what it logs is left out."""

    async def synchronized_set(self, remote_sdp):
        max_wait, wait_interval, elapsed = 5.0, 0.1, 0.0
        while self.signalingState not in ['stable', 'have-remote-offer'] and elapsed < max_wait:
            await asyncio.sleep(wait_interval)
            elapsed += wait_interval
        await set_remote_description(self, remote_sdp)
        elapsed = 0.0
        while self.remoteDescription is None and elapsed < max_wait:
            await asyncio.sleep(wait_interval)
            elapsed += wait_interval
        if self.remoteDescription is None:
            raise RuntimeError('Failed to set remote description: remoteDescription is None.')
        await asyncio.sleep(0.5)

    return synchronized_set


async def attempts(variant, spec):
    """Connect some times; return what each attempt gave."""
    probe = prepare(variant, spec)
    make = OurClient if variant == 'ours' else LibraryClient
    results = []
    for _ in range(spec['count']):
        result = await attempt(make(spec), spec['limit'], probe)
        while result['failure'].startswith(BUSY):
            await asyncio.sleep(PAUSE)
            probe.take_errors()
            result = await attempt(make(spec), spec['limit'], probe)
        await asyncio.sleep(PAUSE)
        results.append({**result, 'errors': probe.take_errors()})
    assert variant == 'ours' or 'go2_webrtc_driver' not in sys.modules
    return results


async def attempt(client, limit, probe):
    """Connect, wait for a frame, close; all times in seconds from the start."""
    probe.reset()
    begun = time.monotonic()
    failure = await outcome(client.connect(), limit)
    connected, first_frame = time.monotonic() - begun - sum(probe.closes), None
    if not failure:
        client.request_video()
        left = begun + limit - time.monotonic()
        failure = await outcome(asyncio.shield(probe.first_frame), left)
        first_frame = None if failure else probe.first_frame.result() - begun
    unclosed = await outcome(client.close(), CLOSE_LIMIT)
    close = CLOSE_LIMIT if unclosed else next(iter(probe.closes), None)
    return {'connect': connected, 'first_frame': first_frame, 'failure': failure, 'close': close}


async def outcome(work, timeout):
    """Await ``work`` for a bounded time; return what went wrong, or ''."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=timeout)
    if not task.done():
        task.cancel()
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.wait({task}, timeout=1.0)
        return TOO_LATE
    error = task.exception()
    return f'{type(error).__name__}: {error}' if error else ''


# A hundred cycles in one worker process.


async def cycles(spec):
    """Run cycles of every kind; return how they ended, and what is left of them."""
    probe = prepare('ours', spec)
    dice = random.Random(spec['seed'])
    ways = [{'way': 'lan', 'ip': ROBOT_IP}, {'way': 'remote', 'url': spec['url']}]
    warm_up = [(kind, way) for kind in CYCLES for way in ways]
    failing = [kind for kind in CYCLES if kind != 'connected']
    ends = {kind: [] for kind in CYCLES}
    await run_cycles(warm_up, dice, ends)
    before = await left_open()
    failures = spec['cycles'] // 4 - sum(kind in failing for kind, _ in warm_up)
    plan = [failing[i % len(failing)] for i in range(failures)]
    plan += ['connected'] * (spec['cycles'] - len(warm_up) - len(plan))
    dice.shuffle(plan)
    await run_cycles([(kind, dice.choice(ways)) for kind in plan], dice, ends)
    after = await left_open()
    return {'ends': ends, 'before': before, 'after': after, 'errors': probe.take_errors()}


async def run_cycles(plan, dice, ends):
    for kind, way in plan:
        end = BUSY[-1]
        while end.startswith(BUSY):  # with the one before, still
            end = await CYCLES[kind](way, dice)
            await asyncio.sleep(PAUSE)
        ends[kind].append(end)


async def cycle_connected(way, dice):
    """Connect, see a frame, close; like every cycle it returns what went wrong, or ''."""
    return await outcome(see_a_frame(way), 2 * CONNECT_TIMEOUT)


async def see_a_frame(way):
    async with our_link(way, CONNECT_TIMEOUT) as link:
        link.switch_video(True)
        await link.frames.get()


async def cycle_busy(way, dice):
    """Open a second link to a robot that has one."""

    async def open_both():
        async with our_link(way, CONNECT_TIMEOUT):
            failure = await outcome(see_a_frame(way), CONNECT_TIMEOUT)
            assert failure.startswith('LinkBusy'), failure

    return await outcome(open_both(), 3 * CONNECT_TIMEOUT)


async def cycle_refused(way, dice):
    """Use a wrong key; the cloud's way has none, so it is always on the LAN."""
    locked = our_link({'way': 'lan', 'ip': LOCKED_IP}, CONNECT_TIMEOUT, bytes(range(16)))
    return await expect('LinkRefused', locked)


async def cycle_cancelled(way, dice):
    """Cancel at any moment until shortly after the first frame."""

    async def stay():
        async with our_link(way, CONNECT_TIMEOUT) as link:
            link.switch_video(True)
            while True:
                await link.frames.get()

    task = asyncio.ensure_future(stay())
    await asyncio.wait({task}, timeout=dice.uniform(0.0, LATEST_CANCEL[way['way']]))
    task.cancel()
    await asyncio.wait({task})
    return '' if task.cancelled() else f'{type(task.exception()).__name__}: {task.exception()}'


async def cycle_no_answer(way, dice):
    mute = {**way, 'ip': MUTE_IP, 'url': f'http://{MUTE_IP}:{SIGNALING_PORT}/'}
    return await expect('LinkUnreachable', our_link(mute, NO_ANSWER_TIMEOUT))


async def expect(name, opening):
    failure = await outcome(opening.__aenter__(), CONNECT_TIMEOUT)
    return '' if failure.startswith(name) else failure or 'it connected'


CYCLES = {
    'connected': cycle_connected,
    'busy': cycle_busy,
    'refused': cycle_refused,
    'cancelled': cycle_cancelled,
    'no answer': cycle_no_answer,
}


async def left_open():
    """Count what this process holds, after a rest."""
    await asyncio.sleep(REST)
    gc.collect()
    files = []
    for name in os.listdir('/proc/self/fd'):
        with contextlib.suppress(FileNotFoundError):  # the one of the listing itself
            files.append(os.readlink(f'/proc/self/fd/{name}'))
    return {
        'threads': len(os.listdir('/proc/self/task')),
        'tasks': len(asyncio.all_tasks()),
        'sockets': sum(each.startswith('socket:') for each in files),
        'file descriptors': len(files),
    }


def work(variant, spec):
    """Be a worker: print the result as one line of JSON, and end without any clean-up."""
    output = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # the library prints

    async def run():
        found = cycles(spec) if variant == 'cycles' else attempts(variant, spec)
        print(json.dumps(await found), file=output, flush=True)
        os._exit(0)  # asyncio and decoder threads of a failed close would hold us up

    asyncio.run(run())


# The parent: the network, the robots, and the order of the workers.


@contextlib.asynccontextmanager
async def network(rtt):
    """Run coturn behind a delaying relay; yields the relay."""
    from networks.turn_server import turn_server
    from networks.udp_relay import UdpRelay

    with turn_server(TURN_IP, TURN_USER, TURN_PASSWORD) as server:
        relay = await UdpRelay.start(TURN_IP, server)
        relay.delay = rtt / 2
        try:
            yield relay
        finally:
            await relay.stop()


@contextlib.asynccontextmanager
async def robot_process(ip, *arguments, ready='listens on'):
    """Run a simulated robot; yields what it says of where it, or its cloud, listens."""
    command = [sys.executable, '-m', 'go2_webrtc_driver.sim', '--ip', ip, *arguments]
    robot = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        line = ''
        while ready not in line:
            line = (await asyncio.wait_for(robot.stdout.readline(), 20.0)).decode()
            if not line:
                raise OSError(f'the simulated robot at {ip} ended')
        reading = asyncio.ensure_future(robot.stdout.read())
        yield line.split()[-1]
        reading.cancel()
    finally:
        robot.terminate()
        await robot.wait()


def robot_with_cloud(relay):
    """Run a robot that its cloud reaches, too; yields the URL of the cloud."""
    return robot_process(
        ROBOT_IP, '--serial', SERIAL, '--cloud-port', '0',
        '--cloud-email', EMAIL, '--cloud-password', PASSWORD,
        '--turn', 'turn:{}:{}'.format(*relay.address), '--turn-username', TURN_USER,
        '--turn-password', TURN_PASSWORD, ready='cloud listens on',
    )  # fmt: skip


@contextlib.asynccontextmanager
async def silencing_robot(relay, relay_only):
    """Run robot and cloud in this process; the TURN server is silent once the robot answered."""
    from go2_webrtc_driver.protocol.cloud import TurnAccount
    from go2_webrtc_driver.sim.options import Options
    from go2_webrtc_driver.sim.wire.cloud_server import CloudOptions, SimulatedCloud
    from go2_webrtc_driver.sim.wire.peer import SimulatedGo2

    turn = TurnAccount('turn:{}:{}'.format(*relay.address), TURN_USER, TURN_PASSWORD)
    bound = {SERIAL: None}
    cloud = SimulatedCloud(CloudOptions(ROBOT_IP, 0, EMAIL, PASSWORD, turn, bound))
    go2 = SimulatedGo2(Options(ip=ROBOT_IP, serial_number=SERIAL, relay_only=relay_only))
    answer = go2.answer

    async def answer_then_silence(offer):
        answered = await answer(offer)
        relay.silent = True
        return answered

    go2.answer = answer_then_silence
    cloud.robots[SERIAL] = go2
    await go2.start()
    await cloud.start()
    try:
        yield cloud.url
    finally:
        await go2.stop()
        await cloud.stop()
        relay.silent = False


async def run_worker(variant, spec):
    """Return the result of a worker process."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, __file__, '--worker', variant, '--spec', json.dumps(spec),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, 'GO2_AIORTC_PATCH': 'on'},
    )  # fmt: skip
    try:
        output, said = await asyncio.wait_for(worker.communicate(), WORKER_TIMEOUT)
    finally:
        if worker.returncode is None:
            worker.kill()
    if worker.returncode:
        raise OSError(f'the worker {variant} failed:\n{said.decode()[-2000:]}')
    return json.loads(output)


async def take_turns(variants, spec, count):
    """Return ``count`` attempts of every variant, a batch of each at a time."""
    results = {variant: [] for variant in variants}
    for number in range(-(-count // BATCH)):
        size = min(BATCH, count - number * BATCH)
        first = number % len(variants)
        for variant in (*variants[first:], *variants[:first]):
            progress(f'{spec["way"]}: {variant}, attempts {number * BATCH + 1} to '
                     f'{number * BATCH + size} of {count}')  # fmt: skip
            results[variant] += await run_worker(variant, {**spec, 'count': size})
    return results


def progress(text):
    print(text, file=sys.stderr, flush=True)


# The subcommands; each prints its tables and returns goals.


async def remote(options):
    async with network(options.rtt) as relay, robot_with_cloud(relay) as url:
        spec = {'way': 'remote', 'url': url, 'limit': LIMIT}
        results = await take_turns(VARIANTS, spec, options.attempts)
    print_attempts(f'Remote, TURN server at a round trip of {options.rtt:g} s', results)
    return [
        *sound('remote', results['ours']),
        ratio('remote', results, 'unpatched', 0.85),
        ratio('remote', results, 'components 1 + 2', 0.15),
    ]


async def lan(options):
    async with robot_process(ROBOT_IP):
        spec = {'way': 'lan', 'ip': ROBOT_IP, 'limit': LIMIT}
        results = await take_turns(('unpatched', 'ours'), spec, options.attempts)
    print_attempts('LAN (LocalSTA)', results)
    return [*sound('lan', results['ours']), ratio('lan', results, 'unpatched', 1.05)]


async def silent(options):
    found, count = {}, min(options.attempts, SILENT_ATTEMPTS)
    async with network(options.rtt) as relay:
        for relay_only in (False, True):
            for variant in ('ours',) * count + ('unpatched',):
                progress(f'silent: {variant}, {path_name(relay_only)}')
                limit = SILENT_LIMIT if variant == 'unpatched' else CONNECT_TIMEOUT + CLOSE_LIMIT
                async with silencing_robot(relay, relay_only) as url:
                    spec = {'way': 'remote', 'url': url, 'limit': limit, 'count': 1}
                    found.setdefault((relay_only, variant), []).extend(
                        await run_worker(variant, spec)
                    )
    print_silent(found)
    return silent_goals(found[False, 'ours'], found[True, 'ours'])


def silent_goals(direct, without):
    slowest = max(each['connect'] for each in direct)
    connected = [each for each in direct if each['first_frame'] is not None]
    failures = [
        each['connect'] for each in without if each['failure'].startswith('LinkUnreachable')
    ]
    return [
        Goal('silent: connected on the direct path within 2 s',
             f'{len(connected)} of {len(direct)}, {slowest:.2f} s at most',
             len(connected) == len(direct) and slowest <= 2.0),
        Goal(f'silent: LinkUnreachable without a path within {CONNECT_TIMEOUT:g} s '
             f'(+ {MARGIN:g} s)',
             f'{len(failures)} of {len(without)}, {max(failures, default=0.0):.2f} s at most',
             len(failures) == len(without)
             and max(failures) <= CONNECT_TIMEOUT + MARGIN),
        *(closing_goal(each, relay_only) for relay_only, each in enumerate((direct, without))),
    ]  # fmt: skip


def closing_goal(results, relay_only):
    longest = max((each['close'] or 0.0) for each in results)
    text = f'silent: closes within 3 s, {path_name(relay_only)}'
    return Goal(text, f'{longest:.2f} s at most', longest <= 3.0)


def path_name(relay_only):
    return 'no direct path' if relay_only else 'direct path'


async def mute_server():
    """Accept, and never answer."""

    async def swallow(reader, writer):
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    return await asyncio.start_server(swallow, MUTE_IP, SIGNALING_PORT)


async def many_cycles(options):
    progress(f'cycles: {options.cycles}, about {1.5 * options.cycles:.0f} s')
    locked = robot_process(LOCKED_IP, '--serial', 'LOCKED', '--data2', '3')
    async with (
        network(options.rtt) as relay, robot_with_cloud(relay) as url, locked,
        await mute_server(),
    ):  # fmt: skip
        spec = {'url': url, 'cycles': options.cycles, 'seed': options.seed}
        found = await run_worker('cycles', spec)
    print_cycles(found, options)
    ends = [end for each in found['ends'].values() for end in each]
    errors = total([found['errors']])
    return [
        Goal('cycles: all ended as meant', f'{ends.count("")} of {len(ends)}', not any(ends)),
        Goal('cycles: no unretrieved error', f'{errors}', errors == 0),
        *(nothing_left(kind, found) for kind in found['before']),
    ]


def nothing_left(kind, found):
    before, after = found['before'][kind], found['after'][kind]
    return Goal(f'cycles: no more {kind} than at the begin', f'{before} to {after}',
                after <= before)  # fmt: skip


def sound(name, results):
    """Return the goals that every attempt gave video, and none an error."""
    good = sum(each['first_frame'] is not None for each in results)
    errors = total([each['errors'] for each in results])
    return [
        Goal(f'{name}: video within {LIMIT:g} s', f'{good} of {len(results)}',
             good == len(results)),
        Goal(f'{name}: no unretrieved error', f'{errors}', errors == 0),
    ]  # fmt: skip


def ratio(name, results, other, limit):
    """Return the goal that ours takes ``limit`` times as long as the other, at most."""
    ours, theirs = median(results['ours'], 'first_frame'), median(results[other], 'first_frame')
    text = f'{name}: first frame, ours / {other} <= {limit:g}'
    if ours is None or theirs is None:
        return Goal(text, 'no frames', False)
    return Goal(text, f'{ours / theirs:.3f}', ours / theirs <= limit)


def median(results, key):
    values = [each[key] for each in results if each[key] is not None]
    return statistics.median(values) if values else None


def count(errors):
    """Return the number of errors of each kind in several takes of the probe."""
    counts = {kind: sum(each[kind] for each in errors) for kind in KINDS}
    return {**counts, 'others': sum(len(each['others']) for each in errors)}


def total(errors):
    return sum(count(errors).values())


def print_attempts(title, results):
    print(f'\n{title}; times are medians in seconds, errors are counts\n')
    errors = [f'errors: {kind}' for kind in (*KINDS, 'others')]
    video = f'video within {LIMIT:g} s'
    print_row('variant', 'first frame', 'its range', 'data channel valid', 'close', video, *errors)
    print_row(*['---'] * 9)
    for variant, each in results.items():
        print_row(variant, *attempt_cells(each))
    for variant, each in results.items():
        said = {text for one in each for text in (one['failure'], *one['errors']['others'])}
        for text in sorted(said - {''}):
            print(f'\n{variant}: {text}')


def attempt_cells(results):
    frames = [each['first_frame'] for each in results if each['first_frame'] is not None]
    return [
        seconds(median(results, 'first_frame')),
        f'{min(frames):.2f} to {max(frames):.2f}' if frames else '-',
        seconds(median(results, 'connect')),
        seconds(median(results, 'close')),
        f'{len(frames)} of {len(results)}',
        *count([each['errors'] for each in results]).values(),
    ]


def print_silent(found):
    print('\nTURN server silent from the answer on; times in seconds, the slowest attempt\n')
    print_row('path', 'variant', 'attempts', 'ended', 'after', 'close')
    print_row(*['---'] * 6)
    for (relay_only, variant), results in found.items():
        ends = ', '.join(sorted({end_name(each) for each in results}))
        took = seconds(max(each['connect'] for each in results))
        longest = max((each['close'] or 0.0) for each in results)
        close = seconds(longest) if longest < CLOSE_LIMIT else f'not within {CLOSE_LIMIT:g} s'
        print_row(path_name(relay_only), variant, len(results), ends, took, close)


def end_name(result):
    if result['failure'] == TOO_LATE:
        return f'not connected within {SILENT_LIMIT:g} s'
    return result['failure'].partition(':')[0] or 'connected'


def print_cycles(found, options):
    print(
        f'\n{options.cycles} cycles of ours, seed {options.seed}: '
        + ', '.join(f'{len(ends)} {kind}' for kind, ends in found['ends'].items())
        + '\n'
    )
    print_row('held by the process', 'after the warm-up', 'after all cycles')
    print_row(*['---'] * 3)  # fmt: skip
    for kind, before in found['before'].items():
        print_row(kind, before, found['after'][kind])
    for kind, ends in found['ends'].items():
        for end in sorted(set(ends) - {''}):
            print(f'\n{kind}: {end}')


def print_row(*cells):
    print(f'| {" | ".join(map(str, cells))} |', flush=True)


def seconds(value):
    return '-' if value is None else f'{value:.2f}'


SUBCOMMANDS = {'remote': remote, 'silent': silent, 'lan': lan, 'cycles': many_cycles}


async def measure(options):
    """Run what was asked for, print the summary, return the exit status."""
    print_machine()
    names = [*SUBCOMMANDS] if options.what == 'all' else [options.what]
    return print_goals([goal for name in names for goal in await SUBCOMMANDS[name](options)])


def print_goals(goals):
    """Print what was to be reached, and return the exit status."""
    print()
    print_row('goal', 'measured', 'met')
    print_row(*['---'] * 3)
    for goal in goals:
        print_row(goal.text, goal.measured, 'yes' if goal.is_met else 'NO')
    return 0 if all(goal.is_met for goal in goals) else 1


def print_machine():
    versions = ', '.join(f'{name} {importlib.metadata.version(name)}'
                         for name in ('aiortc', 'aioice', 'unitree_webrtc_connect'))  # fmt: skip
    load = ' '.join(f'{each:.2f}' for each in os.getloadavg())
    print(f'{datetime.date.today().isoformat()}, {os.cpu_count()} cores, load {load}, '
          f'Python {platform.python_version()}, {versions}')  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    parser.add_argument('what', nargs='?', choices=[*SUBCOMMANDS, 'all'], default='all')
    parser.add_argument('--attempts', type=int, default=30, help='of each variant')
    parser.add_argument('--rtt', type=float, default=0.1, help='to the TURN server [s]')
    parser.add_argument('--cycles', type=int, default=100, help='of connecting, at least 20')
    parser.add_argument('--seed', type=int, default=1, help='of the cycles')
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    parser.add_argument('--spec', type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.spec)
    return asyncio.run(measure(options))


if __name__ == '__main__':
    sys.exit(main())
