"""
What a lying robot can do to the driver: fuzzed data-channel messages, guided by coverage.

    pip install -r requirements-fuzz.txt
    python benchmarks/fuzz.py [--runs 1000000] [--seed 1] [--corpus log/fuzz]
    python benchmarks/fuzz.py --only log/fuzz/crashes/FILE

Every message goes the whole way of the driver: into the data channel of an open link to a
simulated robot in this process, where aiortc would hand it over; through the session, and the
callbacks of the node, into serialized ROS messages, with all rows subscribed to. Lifted are the
limit of messages a second and the pauses between links; and of ``SPARED`` messages only one may
change the validation key or count as a refusal, because both end the link, as they should.
Twenty in a hundred mutations are libFuzzer's own, on bytes; the others know what the robot's
messages look like.

Stopped by Ctrl-C or killed, it goes on where it was when called again: what was found, the
number of runs, their time and their seed stand in the corpus folder; of a call that was killed
up to ``SAVE`` runs are not counted. The seed fixes the mutations of one call; the times at which
the link's own messages come between them it does not.

Fails unless, in all runs: no message crashes anything, leaves an error behind in the background
or in logging, or takes longer than ``SLOWEST``; after every ``CHECK`` messages a good one, sent
by the robot over the wire, is published; and nothing of ``GROWTH`` has grown by more than is
stated there between a tenth of the way of this call and its end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import hashlib
import io
import json
import logging
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'test')]  # this checkout, not what is installed

# The robot's side guides nothing; atheris wants the name of each of its modules. It leaks the
# result of every comparison that it follows, which in beams is an array of thousands.
UNGUIDED = ['go2_webrtc_driver.ros.beams'] + [
    f'go2_webrtc_driver.sim.{path.stem}' for path in (ROOT / 'go2_webrtc_driver/sim').glob('*.py')
]
with (
    contextlib.redirect_stderr(io.StringIO()),  # a line for every module
    atheris.instrument_imports(['go2_webrtc_driver', 'unitree_webrtc_connect'], UNGUIDED),
):
    from messages_of_the_robot import IDENTITY, UUID, mutate, seeds
    from rclpy.serialization import serialize_message
    from support import free_address, lan

    from go2_webrtc_driver.config import DriverConfig
    from go2_webrtc_driver.errors import CommandRejected, DecodeError, InvalidCommand, LinkLost
    from go2_webrtc_driver.link import intake
    from go2_webrtc_driver.link.link import Link, open_link
    from go2_webrtc_driver.protocol import state
    from go2_webrtc_driver.protocol.actions import decode_mode
    from go2_webrtc_driver.protocol.commands import Request
    from go2_webrtc_driver.protocol.messages import build_message
    from go2_webrtc_driver.protocol.state import RobotPose
    from go2_webrtc_driver.protocol.topics import MessageType
    from go2_webrtc_driver.ros.diagnostics import Diagnostics
    from go2_webrtc_driver.ros.publications import POSE, PUBLICATIONS, SPORT, Context
    from go2_webrtc_driver.ros.services import Services
    from go2_webrtc_driver.ros.setup import Setup
    from go2_webrtc_driver.ros.stamps import Stamps
    from go2_webrtc_driver.session import reconnect
    from go2_webrtc_driver.session.lasting import Status
    from go2_webrtc_driver.session.session import RobotSession
    from go2_webrtc_driver.sim.brain.robot import Robot
    from go2_webrtc_driver.sim.options import Options
    from go2_webrtc_driver.sim.wire.peer import SimulatedGo2

CHECK = 200  # messages between two good ones
SAVE = 1000  # messages between two notes of how far we are
TELL = 50_000  # messages between two lines of progress
PATIENCE = 20.0  # s, for a good message to go through, also over a new link
SLOWEST = 1.0  # s, for one message; the fullest voxel map that is allowed takes the longest
HANG = 30  # s, after which libFuzzer ends us with the traceback of what hangs
TURNS = 3  # of the loop, after which a session that ends has given up its link
MOST_TURNS = 100  # for the session to take one message in
LONGEST = 1 << 16  # bytes; what is longer than LARGEST_MESSAGE is a case of test_messages
SHARE_OF_BYTES = 0.2  # of the mutations that are libFuzzer's own
SHARE_OF_FRESH = 0.4  # that begin with a message of the robot, not with what was found
SHARE_OF_GOOD = 0.1  # of the fresh that are left as they are
SPARED = 1000  # messages; one of them may change the key or refuse us, and so end the link
MOST_CRASHES = 50
INTERRUPTED = 130
SEEDS = list(seeds().values())
TEXT, BINARY = b't', b'b'  # first byte of a file of the corpus: which kind of message follows

# What may be more at the end than at a tenth of the way. Tasks and timers come and go.
GROWTH = {
    'tasks': 10, 'timers': 10, 'open files': 2, 'threads': 2, 'sources': 4, 'faults': 256,
    'complaints': 600, 'tasks of the link': 5, 'requests of the link': 2, 'queued messages': 2,
    'futures of the library': 10, 'chunks of the library': 100,
    'subscriptions of the library': 0, 'unsent bytes': 1 << 18, 'blocks of Python': 20_000,
    'resident memory [MiB]': 32,
}  # fmt: skip

# On this topic the robot does not answer; fuzzed messages do.
UNANSWERED = Request('rt/fuzz', 1001)


class Listener(logging.Handler):
    """
    Notes what goes wrong without ending anything.

    Attributes:
        records: number of log records so far.
        troubles: what went wrong since somebody last took it away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records = 0
        self.troubles: list[str] = []

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear the package's log, the loop, and what Python would print on its own."""
        package = logging.getLogger('go2_webrtc_driver')
        package.setLevel(logging.DEBUG)
        package.propagate = False
        package.addHandler(self)
        logging.getLogger().addHandler(self)
        loop.set_exception_handler(lambda _, context: self._note(context))
        sys.unraisablehook = lambda found: self._note({'exception': found.exc_value})
        warnings.showwarning = lambda text, kind, *place: self.troubles.append(
            f'{kind.__name__}: {text} {place[:2]}'
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record; one that cannot be formatted or shown is a bug."""
        self.records += 1
        try:
            self.format(record).encode()
        except Exception:  # noqa: BLE001 - whatever it is, it is found
            self.troubles.append(traceback.format_exc())

    def _note(self, context: dict[str, Any]) -> None:
        error = context.get('exception')
        shown = traceback.format_exception(error) if error is not None else []
        self.troubles.append(''.join(shown) + str(context.get('message', '')))


class Publisher:
    """Somebody listens, and what is published is serialized, as DDS would."""

    def __init__(self) -> None:
        self.latest: Any = None

    def get_subscription_count(self) -> int:
        """Return that there is one."""
        return 1

    def publish(self, message: Any) -> None:
        """Take a message."""
        serialize_message(message)
        self.latest = message


class Node(Setup):
    """What a configured driver does with what its session tells; without rclpy."""

    def __init__(self, config: DriverConfig, on_crash: Any) -> None:
        self.odometry = Publisher()
        self._config = config
        self._context = Context(config, [])
        self._stamps = Stamps(time.time_ns)
        self._diagnostics = Diagnostics('fuzz')
        self._crashed = on_crash
        self._services = Services.__new__(Services)
        self._services._responses = Publisher()
        self._publishers = [
            (row, self.odometry if row.topic == 'odom' else Publisher()) for row in PUBLICATIONS
        ]

    def make_session(self, open_robots_link: Any) -> RobotSession:
        """Return the session of this node, which asks its robot for nothing."""
        return RobotSession(self._config, self, open_robots_link)

    def on_status(self, status: Status) -> None:
        """Make the diagnostics, as the node does."""
        serialize_message(self._diagnostics.array(status, self._stamps.next('')))


class Rig:
    """
    The driver without a node, and a simulated robot, on one loop.

    Attributes:
        listener: knows what went wrong.
        links: number of links that have been opened.
    """

    def __init__(self, go2: Any, ip: str, listener: Listener) -> None:
        config = DriverConfig(robot_ip=ip, wait_for_robot=False, silence_timeout=60.0)
        self.listener = listener
        self.links = 0
        self._go2 = go2
        self._ip = ip
        self._node = Node(config, self._on_crash)
        self._link: Link | None = None
        self._number = 0
        self._taken = 0
        self._key = ''
        self._session: RobotSession | None = None
        self._asking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open a link, and see a good message go through."""
        self._session = self._node.make_session(self._open_link)
        await self._session.start()
        self._asking = asyncio.ensure_future(self._ask())
        await self.check()

    async def stop(self) -> None:
        """End the session; its bugs have been noted."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._session.stop()

    async def take(self, raw: str | bytes) -> None:
        """Hand a message in, and wait until the session has taken it in."""
        link = await self._opened()
        link._on_message(self._address(link, raw))
        for turn in range(MOST_TURNS):
            await asyncio.sleep(0)
            if turn >= TURNS and (not link.waiting or self.is_cut_off):
                return self._spare(link)
        raise TimeoutError(f'expected the session to take a message in {MOST_TURNS} turns')

    def _spare(self, link: Link) -> None:
        """Undo what would end the link, mostly: else the time would go into new links."""
        self._taken += 1
        validation = link._channel._library.validaton
        if self._taken % SPARED:
            validation.key, link._channel._refusals = self._key, 0
        self._key = validation.key

    @property
    def is_cut_off(self) -> bool:
        """Whether the session has no link now."""
        visit = self._session._visit
        return self._link is None or visit is None or visit._link is not self._link

    async def recover(self) -> None:
        """Wait for a new link, or for the session's last word."""
        await self._opened()

    async def check(self) -> None:
        """Have the robot send good messages until one of them was published."""
        end = time.monotonic() + PATIENCE
        self._number += 1
        while not self._is_published():
            if time.monotonic() > end:
                raise TimeoutError(
                    f'expected a good message to be published in {PATIENCE:g} s; '
                    f'{self._session.status}'
                )
            if self._go2.client is not None:
                for text in self._good_messages():
                    self._go2.client.send(text)
            await asyncio.sleep(0.002)
        self._node.on_status(self._session.status)
        self._ask_for_network_status()

    def sizes(self) -> dict[str, int]:
        """Return how much there is of everything that could grow."""
        gc.collect()
        return {
            'tasks': len(asyncio.all_tasks()),
            'timers': sum(not each.cancelled() for each in _loop()._scheduled),
            'open files': len(os.listdir('/proc/self/fd')),
            'threads': len(os.listdir('/proc/self/task')),
            **self._sizes_of_session(),
            **self._sizes_of_link(),
            'blocks of Python': sys.getallocatedblocks(),
            'resident memory [MiB]': _resident_memory() >> 20,
        }

    def _sizes_of_session(self) -> dict[str, int]:
        status, visit = self._session.status, self._session._visit
        complaints = [visit, visit.driving] if visit else []
        return {
            'sources': len(status.streams),
            'faults': len(status.faults),
            'complaints': sum(len(each._complaints._warned_at) for each in complaints),
        }

    def _sizes_of_link(self) -> dict[str, int]:
        link = self._link
        if link is None:
            return {}
        library = link._channel._library.pub_sub
        resolver = library.future_resolver
        return {
            'tasks of the link': len(link._tasks._running),
            'requests of the link': len(link._requests._responses),
            'queued messages': link.waiting,
            'futures of the library': sum(map(len, resolver.pending_callbacks.values())),
            'chunks of the library': sum(map(len, resolver.chunk_data_storage.values())),
            'subscriptions of the library': len(library.subscriptions),
            'unsent bytes': link._channel.unsent,
        }

    def _is_published(self) -> bool:
        odometry = self._node.odometry.latest
        return odometry is not None and odometry.pose.pose.position.x == self._number

    def _good_messages(self) -> list[str]:
        sport = state.encode_sport_mode_state(Robot(0.0).sport_mode_state(time.time()))
        pose = RobotPose(time.time(), (float(self._number), 0.0, 0.3), (0.0, 0.0, 0.0, 1.0))
        return [
            build_message(MessageType.MESSAGE, SPORT, sport),
            build_message(MessageType.MESSAGE, POSE, state.encode_robot_pose(pose)),
        ]

    def _address(self, link: Link, raw: str | bytes) -> str | bytes:
        """Let the message be the answer to what is being asked, if it says so."""
        if isinstance(raw, bytes):
            return raw
        if str(IDENTITY) in raw and link._requests._responses:
            return raw.replace(str(IDENTITY), str(next(iter(link._requests._responses))))
        asked = link._channel._library.pub_sub.future_resolver.pending_callbacks
        if UUID in raw and asked:
            return raw.replace(UUID, str(next(reversed(asked))))
        return raw

    def _ask_for_network_status(self) -> None:
        """The library asks until it was told; a fuzzed answer may be faster than the robot's."""
        status = self._link and self._link._channel._library.rtc_inner_req.network_status
        if status and status.network_timer is None:
            status.schedule_network_status_request()

    async def _ask(self) -> None:
        """Have one request without an answer at any time; what comes of it does not matter."""
        while True:
            with contextlib.suppress(CommandRejected, DecodeError, InvalidCommand, LinkLost):
                decode_mode(await self._session.request(UNANSWERED, 5.0))
            await asyncio.sleep(0.0 if self._session.status.connected else 0.01)

    async def _opened(self) -> Link:
        end = time.monotonic() + PATIENCE
        while self.is_cut_off or self._link is None:
            if self._session._tasks.failed.done():
                raise RuntimeError('the session has ended')
            if time.monotonic() > end:
                raise TimeoutError(f'expected a new link within {PATIENCE:g} s')
            await asyncio.sleep(0.01)
        return self._link

    @contextlib.asynccontextmanager
    async def _open_link(self, *_: bool) -> Any:
        async with open_link(lan(self._ip), 10.0) as link:
            self.links += 1
            self._link, self._key = link, link._channel._library.validaton.key
            try:
                yield link
            finally:
                self._link = None

    def _on_crash(self, error: BaseException) -> None:
        self.listener.troubles.append(''.join(traceback.format_exception(error)))


@dataclasses.dataclass
class Progress:
    """
    How far the runs are, over all calls.

    Attributes:
        seed: of the first call.
        runs: messages so far.
        seconds: that they took.
        crashes: that they led to.
        longest: time for one message [s].
    """

    seed: int = 1
    runs: int = 0
    seconds: float = 0.0
    crashes: int = 0
    longest: float = 0.0


class Fuzzer:
    """Hands the messages of libFuzzer to the rig, and judges what comes of it."""

    def __init__(self, rig: Rig, folder: Path, progress: Progress, goal: int) -> None:
        self._rig = rig
        self._folder = folder
        self._progress = progress
        self._goal = goal
        self._first_size_at = progress.runs + max(1, (goal - progress.runs) // 10)
        self._sizes: dict[str, int] = {}
        self._is_interrupted = False
        self._begun = time.monotonic() - progress.seconds
        self._sites: dict[str, int] = {}

    def interrupt(self, *_: object) -> None:
        """Stop after the present message."""
        self._is_interrupted = True

    def test(self, entry: bytes) -> None:
        """Take one input of libFuzzer; ends the process after the last."""
        raw = to_message(entry)
        before = time.perf_counter()
        found = self._run(self._rig.take(raw))
        took = time.perf_counter() - before
        if took > self._progress.longest:
            self._progress.longest = took
            self._keep(entry, 'slowest', f'{took:.3f} s')
        if self._rig.is_cut_off:
            found += self._run(self._rig.recover())
        self._progress.runs += 1
        if self._progress.runs % CHECK == 0:
            found += self._run(self._rig.check())
        if found:
            self._on_crash(entry, '\n'.join(found))
        self._after()

    def _after(self) -> None:
        runs = self._progress.runs
        if runs == self._first_size_at:
            self._sizes = _loop().run_until_complete(self._measure())
        if runs % SAVE == 0:
            self._save()
        if runs % TELL == 0:
            self._tell()
        if runs >= self._goal or self._progress.crashes >= MOST_CRASHES:
            self._end()
        if self._is_interrupted:
            self._save()
            print(f'interrupted after {runs} runs; the same call goes on from there')
            leave(INTERRUPTED)

    def _run(self, work: Any) -> list[str]:
        """Run work on the loop and return what went wrong."""
        troubles = self._rig.listener.troubles
        try:
            _loop().run_until_complete(work)
        except Exception:  # noqa: BLE001 - whatever it is, it is found
            troubles.append(traceback.format_exc())
        found = troubles[:]
        troubles.clear()
        return found

    def _on_crash(self, entry: bytes, found: str) -> None:
        """Keep the message, tell a crash that is new, and begin with a new session."""
        self._progress.crashes += 1
        site = hashlib.sha1('\n'.join(found.splitlines()[-4:-1]).encode()).hexdigest()
        self._sites[site] = self._sites.get(site, 0) + 1
        name = hashlib.sha1(entry).hexdigest()[:16]
        self._keep(entry, name, found)
        if self._sites[site] == 1:
            print(f'\ncrash {self._progress.crashes}, kept as {name}:\n{found}', flush=True)
        self._run(self._rig.stop())
        self._run(self._rig.start())

    def _keep(self, entry: bytes, name: str, text: str) -> None:
        (self._folder / 'crashes' / name).write_bytes(entry)
        (self._folder / 'crashes' / f'{name}.txt').write_text(text, errors='backslashreplace')

    def _save(self) -> None:
        self._progress.seconds = time.monotonic() - self._begun
        save(self._folder, self._progress)

    def _tell(self) -> None:
        print(f'{self._progress.runs} messages, {self._rate():.0f}/s', flush=True)

    def _rate(self) -> float:
        return self._progress.runs / (time.monotonic() - self._begun)

    async def _measure(self) -> dict[str, int]:
        await asyncio.sleep(0.2)  # what has been sent arrives
        return self._rig.sizes()

    def _end(self) -> NoReturn:
        """Judge all runs and leave."""
        sizes = _loop().run_until_complete(self._measure())
        found = self._run(self._rig.stop())
        self._progress.crashes += bool(found)
        self._save()
        print(*found)
        leave(report(self._progress, self._goal, self._sizes, sizes, self._rig))


def report(
    progress: Progress, goal: int, before: dict[str, int], after: dict[str, int], rig: Rig
) -> int:
    """Print what was measured and return the exit status."""
    print(f'\nruns {progress.runs}, seed {progress.seed}')
    print(f'seconds {progress.seconds:.0f}, messages/s {progress.runs / progress.seconds:.0f}')
    print(f'log records of this call {rig.listener.records}, its links {rig.links}')
    print(f'crashes {progress.crashes}')
    print(f'longest single message {progress.longest * 1e3:.1f} ms '
          f'(at most {SLOWEST * 1e3:g} ms)')  # fmt: skip
    print('\n| size | at a tenth of this call | at its end | may grow by |')
    print('|---|---|---|---|')
    for name, size in after.items():
        print(f'| {name} | {before.get(name, 0)} | {size} | {GROWTH[name]} |')
    grown = [name for name in after if after[name] - before.get(name, 0) > GROWTH[name]]
    missed = [f'{name} has grown' for name in grown]
    missed += [f'{progress.crashes} crashes'] if progress.crashes else []
    missed += ['a message took too long'] if progress.longest > SLOWEST else []
    missed += [f'{progress.runs} runs'] if progress.runs < goal else []
    print('\ngoal missed: ' + ', '.join(missed) if missed else '\ngoal met', flush=True)
    return 1 if missed else 0


def to_message(entry: bytes) -> str | bytes:
    """Return the message in a file of the corpus."""
    if entry[:1] == BINARY:
        return entry[1:]
    return entry[1:].decode('utf-8', 'replace')  # aiortc passes on nothing that is no UTF-8


def to_entry(message: str | bytes) -> bytes:
    """Return what :func:`to_message` reads."""
    if isinstance(message, bytes):
        return BINARY + message
    return TEXT + message.encode('utf-8', 'replace')


def mutate_entry(entry: bytes, longest: int, seed: int) -> bytes:
    """Return another input, for libFuzzer."""
    rng = random.Random(seed)
    way = rng.random()
    if way < SHARE_OF_BYTES:
        return bytes(atheris.Mutate(entry, longest))
    fresh = way < SHARE_OF_BYTES + SHARE_OF_FRESH
    message = rng.choice(SEEDS) if fresh else to_message(entry)
    if fresh and rng.random() < SHARE_OF_GOOD:
        return to_entry(message)
    return to_entry(mutate(message, rng))[:longest]


def load(folder: Path, seed: int | None, goal: int) -> Progress:
    """Return how far earlier calls came; raises SystemExit if we cannot go on from there."""
    try:
        progress = Progress(**json.loads((folder / 'progress.json').read_text()))
    except FileNotFoundError:
        return Progress(seed or 1)
    if seed not in (None, progress.seed):
        raise SystemExit(f'{folder} has runs with seed {progress.seed}: take another folder')
    if progress.runs >= goal:
        raise SystemExit(f'{folder} has {progress.runs} runs already: take another folder')
    return progress


def save(folder: Path, progress: Progress) -> None:
    """Note how far we are; a kill in between leaves the last note."""
    new = folder / 'progress.new'
    new.write_text(json.dumps(dataclasses.asdict(progress)))
    new.replace(folder / 'progress.json')


def prepare(folder: Path) -> None:
    """Make the folders, and the first inputs if there are none."""
    for name in ('crashes', 'inputs'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, message in seeds().items():
        (folder / 'inputs' / name).write_bytes(to_entry(message))


def fuzz(rig: Rig, folder: Path, progress: Progress, goal: int) -> NoReturn:
    """Hand libFuzzer the reins; ends the process."""
    prepare(folder)
    fuzzer = Fuzzer(rig, folder, progress, goal)
    arguments = [
        sys.argv[0], f'-seed={progress.seed + progress.runs}', f'-max_len={LONGEST}',
        '-len_control=0', f'-timeout={HANG}', '-rss_limit_mb=4096', '-handle_int=0',
        '-handle_term=0', '-verbosity=0', f'-artifact_prefix={folder / "crashes"}/',
        str(folder / 'inputs'),
    ]  # fmt: skip
    atheris.Setup(arguments, fuzzer.test, custom_mutator=mutate_entry)
    signal.signal(signal.SIGINT, fuzzer.interrupt)
    signal.signal(signal.SIGTERM, fuzzer.interrupt)
    atheris.Fuzz()
    leave(1)


def replay(rig: Rig, file: Path) -> NoReturn:
    """Hand in one message and a good one after it; ends the process."""
    message = to_message(file.read_bytes())

    async def once() -> None:
        await rig.take(message)
        await asyncio.sleep(0.1)
        await rig.check()
        await rig.stop()

    _loop().run_until_complete(once())
    print(*rig.listener.troubles, sep='\n')
    leave(1 if rig.listener.troubles else 0)


def leave(status: int) -> NoReturn:
    """End the process at once: libFuzzer does not let Python end it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _loop() -> Any:
    return asyncio.get_event_loop_policy().get_event_loop()


def _resident_memory() -> int:
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize()


def hurry() -> None:
    """Let messages come faster than a link takes them, and links without a pause."""
    intake.MOST_MESSAGES = intake.MOST_OF_A_KIND = intake.MOST_ECHOES = 1e9
    reconnect.FIRST_DELAY = reconnect.OPERATOR_DELAY = 0.0


async def start(loop: asyncio.AbstractEventLoop) -> Rig:
    """Return a rig that works; ends the process if it does not."""
    listener = Listener()
    listener.listen(loop)
    ip = free_address()
    go2 = SimulatedGo2(Options(ip=ip))
    await go2.start()
    rig = Rig(go2, ip, listener)
    try:
        await rig.start()
    except TimeoutError as error:
        print(*listener.troubles, error, sep='\n')
        leave(1)
    return rig


def main() -> None:
    """Start robot and driver, then fuzz."""
    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    parser.add_argument('--runs', type=int, default=1_000_000, help='over all calls')
    parser.add_argument('--seed', type=int, help='of the first call, at least 1')
    parser.add_argument('--corpus', type=Path, default=ROOT / 'log' / 'fuzz', help='folder')
    parser.add_argument('--only', type=Path, help='one input, to be handed in once')
    options = parser.parse_args()
    progress = Progress() if options.only else load(options.corpus, options.seed, options.runs)
    hurry()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    rig = loop.run_until_complete(start(loop))
    if options.only:
        replay(rig, options.only)
    fuzz(rig, options.corpus, progress, options.runs)


if __name__ == '__main__':
    main()
