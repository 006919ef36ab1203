"""Keeps one link to the robot open, and carries samples up and velocity down."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any

from ..complaints import Complaints
from ..config import DriverConfig
from ..errors import (
    CommandRejected,
    DecodeError,
    InvalidCommand,
    LinkError,
    LinkLost,
    LinkUnreachable,
)
from ..protocol import commands
from ..protocol.actions import ASK_MODE, GAITS, Action, decode_mode
from ..protocol.commands import Request
from ..protocol.decoders import Decoder
from ..protocol.faults import Fault, update_faults
from ..protocol.messages import Message
from ..protocol.state import SportModeState
from ..protocol.topics import MessageType, Topic
from ..velocity import Velocity
from .driving import Driving
from .liveness import DATA, HEARTBEAT, PictureWatch, SignsOfLife, Verdict
from .reconnect import Outage
from .robot_link import RobotLink

logger = logging.getLogger(__name__)

CAMERA = 'camera'  # the source name of video frames; all others are topics of the robot
MODE_TIMEOUT = 2.0  # s, for the robot to tell its mode; older ones do not
SETTING_TIMEOUT = 2.0  # s
WATCH_PERIOD = 0.1  # s, within which an overdue sign of life is noticed
OWNER_TIMEOUT = 1.0  # s, of silence of whoever owns the session, after which it counts as dead
FAULT_MESSAGES = (MessageType.FAULTS, MessageType.FAULT_ADDED, MessageType.FAULT_REMOVED)


async def never() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


@dataclass
class Arrivals:
    """
    What has come from one source on the links so far.

    Attributes:
        count: samples.
        last: when the newest came, on the loop's clock [s].
    """

    count: int = 0
    last: float = float('-inf')


class RobotSession:
    """
    One robot, over as many links as it takes.

    Everything here runs on the asyncio thread; nothing is locked.

    Attributes:
        driving: sends the commanded velocity.
        connected: whether a link is open and the robot has been heard on it.
        reason: why it is not connected; empty if it is.
        away_since: since when it is not, on the loop's clock [s].
        owner_is_stuck: whether :meth:`note_owner` is overdue.
        pictures: whether those that are wanted come.
        links: number of links on which the robot has been heard.
        dropped: number of packets that could not be decoded.
        arrivals: what has come, by source.
        faults: that the robot reports.
        mode: of the robot's motion service, ``normal`` or ``mcf`` or another; empty: not known.
    """

    def __init__(
        self,
        config: DriverConfig,
        decoders: Mapping[str, Decoder],
        sources: Iterable[str],
        open_link: Callable[[bool], AbstractAsyncContextManager[RobotLink]],
        on_open: Callable[[], None],
        on_sample: Callable[[str, Any], None],
        on_crash: Callable[[BaseException], None],
        on_response: Callable[[Message], None] = lambda message: None,
        on_change: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
        wait_for_return: Callable[[], Coroutine[Any, Any, None]] = never,
    ) -> None:
        """
        Args:
            config: limits, rates and timeouts.
            decoders: what to decode, by topic.
            sources: topics to subscribe to, and ``CAMERA`` for pictures.
            open_link: makes a new link; raises LinkError. It is told whether this attempt is
                news: nothing has failed before it.
            on_open: called when a link has opened: what was known of the robot is old.
            on_sample: called with (source, decoded sample), on this thread.
            on_crash: called, on this thread, with what ended the session but must not.
            on_response: called with every response of the robot to a request.
            on_change: called when an attribute that a person cares about has changed.
            on_lost: called when a link was lost and ``on_link_lost`` says not to reconnect.
            wait_for_return: returns when a robot that was away is seen to be back.
        """
        self.driving = Driving(config)
        self.connected = False
        self.reason = 'connecting'
        self.away_since = 0.0
        self.owner_is_stuck = False
        self.pictures = PictureWatch(config.video_timeout)
        self.links = 0
        self.dropped = 0
        self.arrivals: dict[str, Arrivals] = defaultdict(Arrivals)
        self.faults: frozenset[Fault] = frozenset()
        self.mode = ''
        self._config = config
        self._decoders = decoders
        self._sources = frozenset(sources)
        self._open_link = open_link
        self._on_open = on_open
        self._on_sample = on_sample
        self._on_crash = on_crash
        self._on_response = on_response
        self._on_change = on_change
        self._on_lost = on_lost
        self._wait_for_return = wait_for_return
        self._signs = SignsOfLife(config.silence_timeout)
        self._owner_seen_at = float('inf')
        self._link: RobotLink | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._ever_heard = False
        self._heard = asyncio.Event()
        self._complaints = Complaints(logger)

    async def start(self) -> None:
        """
        Begin to serve the robot; with ``wait_for_robot``, return once it has been heard.

        Raises:
            LinkError: the first attempt failed or gave no data within ``connect_timeout``,
                or :meth:`stop` was called meanwhile; nothing is left running.
        """
        self.away_since = asyncio.get_running_loop().time()
        task = self._task = asyncio.ensure_future(self._run())
        task.add_done_callback(self._on_done)
        if self._config.wait_for_robot:
            try:
                await self._wait_until_heard(task)
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Stop the robot, free its client slot, and end; safe to repeat."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _wait_until_heard(self, task: asyncio.Task[None]) -> None:
        limit = self._config.connect_timeout
        heard = asyncio.ensure_future(self._heard.wait())
        try:
            await asyncio.wait({task, heard}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            heard.cancel()
        if task.cancelled():
            raise LinkLost('stopped while connecting')
        if task.done():
            task.result()
        if not self._heard.is_set():
            raise LinkUnreachable(
                f"expected the robot's first data within {limit:g} s, nothing came"
            )

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, LinkError):
            self._on_crash(error)

    async def _run(self) -> None:
        """Serve the robot until cancelled; a lost link is opened again."""
        outage = Outage(random.Random())
        while True:
            self._heard.clear()
            try:
                async with self._open_link(outage.is_new) as link:
                    await self._serve(link)
            except LinkError as error:
                if self._heard.is_set():
                    outage = Outage(random.Random(), asyncio.get_running_loop().time())
                elif self._config.wait_for_robot and not self._ever_heard:
                    raise
                self._set_connected(False, str(error))
                if self._heard.is_set() and self._config.on_link_lost != 'reconnect':
                    logger.error('%s; on_link_lost: %s', error, self._config.on_link_lost)
                    self._on_lost()
                    return
                await self._rest(outage, error)

    async def _rest(self, outage: Outage, error: LinkError) -> None:
        """Wait before the next attempt, less if the robot is seen to come back."""
        now = asyncio.get_running_loop().time()
        wait = outage.delay(error, now)
        level = logging.ERROR if outage.needs_operator(error, now) else logging.WARNING
        level = level if outage.is_news(error) else logging.DEBUG
        logger.log(level, '%s; next attempt in %.1f s', error, wait)
        returned = asyncio.ensure_future(self._wait_for_return())
        try:
            await asyncio.wait({returned}, timeout=wait)
            if returned.done():
                returned.result()
        finally:
            returned.cancel()

    def command(self, velocity: Velocity) -> None:
        """Take a new velocity."""
        self.driving.command(velocity, self.connected)

    def note_owner(self) -> None:
        """Take a sign of life of whoever owns the session; one that stops giving any is dead."""
        self._owner_seen_at = asyncio.get_running_loop().time()
        if self.owner_is_stuck:
            self.driving.halt()  # what waited for it, and comes just now, is old

    def want(self, sources: Iterable[str]) -> None:
        """Ask the robot for exactly these sources, now and on every later link."""
        before, self._sources = self._sources, frozenset(sources)
        self.pictures.want(CAMERA in self._sources, asyncio.get_running_loop().time())
        if self._link is None:
            return
        with suppress(LinkLost):  # the next link asks for them all
            for source in self._sources - before:
                _switch(self._link, source, True)
            for source in before - self._sources:
                _switch(self._link, source, False)

    async def act(self, action: Action) -> Message:
        """
        Let the robot do something and return its response.

        Raises:
            InvalidCommand: the robot's mode does not have it.
            CommandRejected: the robot does not do it.
            LinkLost: the robot is away, or does not answer in time.
        """
        self.driving.before(action)
        if action.normal != action.mcf:
            await self._ask_mode()
        response = await self.request(action.request(self.mode), action.timeout)
        self.driving.after(action)
        self._on_change()
        return response

    async def request(self, request: Request, timeout: float) -> Message:
        """Send a request and return the robot's response; raises as :meth:`act`."""
        if not self.connected:
            raise LinkLost(f'the robot is not connected: {self.reason}')
        return await self._ask(request, timeout)

    async def _ask(self, request: Request, timeout: float) -> Message:
        if self._link is None:
            raise LinkLost(f'the robot is not connected: {self.reason}')
        return await self._link.request(request, timeout)

    def switch_lidar(self, on: bool) -> None:
        """Start or stop the lidar; the robot does not answer this. Raises LinkLost."""
        if self._link is None or not self.connected:
            raise LinkLost(f'the robot is not connected: {self.reason}')
        self._link.send(commands.switch_lidar(on))

    async def _serve(self, link: RobotLink) -> None:
        """Receive, drive and watch until one of them fails; leave the robot stopped."""
        work = (
            self._receive(link),
            self._take_pictures(link),
            self.driving.run(link),
            self._watch(link),
        )
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            self._begin(link)
            self._spawn(self._settle())
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, *self._spawned):
                task.cancel()
            self._end()
            await asyncio.gather(*tasks, *self._spawned, return_exceptions=True)
            with suppress(LinkError, CommandRejected, DecodeError):
                await link.stop_and_confirm()

    def _begin(self, link: RobotLink) -> None:
        """Ask for what is needed; nothing survives from an earlier link."""
        now = asyncio.get_running_loop().time()
        self._signs.begin(now)
        self.pictures.begin(now)
        self.pictures.want(CAMERA in self._sources, now)
        self.driving.begin(link)
        self.faults = frozenset()
        self._link = link
        self._on_open()
        for source in self._sources:
            _switch(link, source, True)

    def _end(self) -> None:
        """Stop the robot first of all."""
        self.driving.end()
        self._link = None
        self._set_connected(False, 'the link has ended')

    async def _settle(self) -> None:
        """Find out the robot's mode, and set what the configuration asks for."""
        await self._ask_mode()
        for request in self._settings():
            await self._set(request)

    async def _ask_mode(self) -> None:
        try:
            mode = decode_mode(await self._ask(ASK_MODE, MODE_TIMEOUT))
        except (LinkError, CommandRejected, DecodeError) as error:
            mode = 'normal'
            logger.info('the robot does not tell its mode, taken as normal: %s', error)
        if mode != self.mode:
            logger.info('the robot is in the mode %s', mode)
            self.mode = mode
            self._on_change()

    def _settings(self) -> list[Request]:
        """Return the requests that set the robot as the configuration asks for."""
        config, wanted = self._config, []
        if config.speed_level >= -1:
            wanted.append(commands.set_speed_level(config.speed_level))
        if config.light_brightness >= 0:
            wanted.append(commands.set_brightness(config.light_brightness))
        if config.volume >= 0:
            wanted.append(commands.set_volume(config.volume))
        if config.gait:
            with suppress(InvalidCommand):
                wanted.append(GAITS[config.gait].request(self.mode))
        return wanted

    def reconfigure(self, config: DriverConfig) -> None:
        """Take a new configuration: limits at once, and what has changed goes to the robot."""
        done = self._settings()
        self._config = config
        self.driving.reconfigure(config)
        for request in self._settings():
            if request not in done and self.connected:
                self._spawn(self._set(request))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._spawned.add(task)
        task.add_done_callback(self._on_spawned_done)

    def _on_spawned_done(self, task: asyncio.Task[None]) -> None:
        """A bug in what was spawned is as bad as one anywhere."""
        self._spawned.discard(task)
        self._on_done(task)

    async def _set(self, request: Request) -> None:
        try:
            await self._ask(request, SETTING_TIMEOUT)
        except (LinkError, CommandRejected, DecodeError) as error:
            logger.warning('the robot does not take a setting %s: %s', request.parameter, error)

    async def _receive(self, link: RobotLink) -> None:
        async for packet in link.packets():
            if isinstance(packet, DecodeError):
                self._drop(packet)
            elif decode := self._decoders.get(packet.topic):
                self._decode(decode, packet)
            else:
                self._note(packet)
        raise LinkLost('the robot closed the link')

    def _decode(self, decode: Decoder, packet: Message) -> None:
        try:
            sample = decode(packet)
        except DecodeError as error:
            self._drop(error)
            return
        self._note_data()
        if isinstance(sample, SportModeState):
            self.driving.note(sample)
        self._pass_on(packet.topic, sample)

    def _note_data(self) -> None:
        """The robot lives; the first sample on a link says that it is connected."""
        now = asyncio.get_running_loop().time()
        self._signs.note(DATA, now)
        self.driving.note_data()
        if self._heard.is_set():
            return
        self._heard.set()
        self._ever_heard = True
        self.links += 1
        away = now - self.away_since
        self._set_connected(True, '')
        logger.info('connected: the robot sends data, after %.1f s without', away)

    def _pass_on(self, source: str, sample: Any) -> None:
        arrivals = self.arrivals[source]
        arrivals.count += 1
        arrivals.last = asyncio.get_running_loop().time()
        self._on_sample(source, sample)

    def _note(self, message: Message) -> None:
        """Take what is no sample: responses, replies to heartbeats, and faults."""
        if message.type is MessageType.HEARTBEAT:
            self._signs.note(HEARTBEAT, asyncio.get_running_loop().time())
        elif message.type is MessageType.RESPONSE:
            self._on_response(message)
        elif message.type in FAULT_MESSAGES:
            try:
                faults = update_faults(self.faults, message)
            except DecodeError as error:
                self._drop(error)
                return
            self._set_faults(faults)

    def _set_faults(self, faults: frozenset[Fault]) -> None:
        for fault in sorted(faults - self.faults, key=str):
            self._complaints.warn(f'the robot reports a fault: {fault}')
        for fault in sorted(self.faults - faults, key=str):
            logger.debug('the robot reports no more: %s', fault)
        self.faults = faults
        self._on_change()

    def _set_connected(self, connected: bool, reason: str) -> None:
        changed = (self.connected, self.reason) != (connected, reason)
        if self.connected and not connected:
            self.away_since = asyncio.get_running_loop().time()
        self.connected, self.reason = connected, reason
        if changed:
            self._on_change()

    def _drop(self, error: DecodeError) -> None:
        """Count a bad packet; the first of a period is a warning."""
        self.dropped += 1
        self._complaints.warn('dropped a packet (%d so far): %s', self.dropped, error)

    async def _take_pictures(self, link: RobotLink) -> None:
        while True:
            frame = await link.frames.get()
            self.pictures.note(asyncio.get_running_loop().time())
            self._pass_on(CAMERA, frame)

    async def _watch(self, link: RobotLink) -> None:
        """
        Look for what is overdue.

        Not wait_for() around each packet: before Python 3.12 it can swallow a cancellation
        that arrives together with the packet.
        """
        while True:
            await asyncio.sleep(WATCH_PERIOD)
            now = asyncio.get_running_loop().time()
            if missing := self._signs.missing(now):
                raise LinkLost(missing)
            self._watch_pictures(link, now)
            self._watch_owner(now)

    def _watch_pictures(self, link: RobotLink, now: float) -> None:
        overdue = self.pictures.overdue(now)
        verdict = self.pictures.verdict(now)
        if verdict is Verdict.GIVE_UP:
            raise LinkLost(f'expected pictures from the robot, none came for {overdue:.1f} s')
        if verdict is Verdict.ASK_AGAIN:
            self._complaints.warn('no picture for %.1f s: the video is asked for again', overdue)
            link.renew_video()
            self._on_change()

    def _watch_owner(self, now: float) -> None:
        is_stuck = now - self._owner_seen_at > OWNER_TIMEOUT
        if is_stuck == self.owner_is_stuck:
            return
        self.owner_is_stuck = is_stuck
        if is_stuck:
            logger.error(
                'ROS callbacks have not run for %g s: the robot is stopped', OWNER_TIMEOUT
            )
            self.driving.halt()
        else:
            logger.info('ROS callbacks run again')
        self._on_change()


def _switch(link: RobotLink, source: str, on: bool) -> None:
    """Ask for a source, or for it no more."""
    if source == CAMERA:
        link.switch_video(on)
        return
    if source == Topic.VOXEL_MAP.value:
        link.switch_traffic_saving(not on)
        if on:  # never off: the robot's own obstacle avoidance needs the lidar
            link.send(commands.switch_lidar(True))
    if on:
        link.subscribe(source)
    else:
        link.unsubscribe(source)
