"""Keeps one link to the robot open, and carries samples up and velocity down."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

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
from ..protocol.actions import ASK_MODE, BY_NAME, GAITS, STANDING_UP, Action, decode_mode
from ..protocol.commands import Command, Request
from ..protocol.decoders import Decoder
from ..protocol.faults import Fault, update_faults
from ..protocol.messages import Message
from ..protocol.state import SportModeState
from ..protocol.topics import MessageType, Topic
from ..velocity_gate import EXPIRED, STOP, Velocity, VelocityGate
from .reconnect import OPERATOR_DELAY, delays, needs_operator

logger = logging.getLogger(__name__)

CAMERA = 'camera'  # the source name of video frames; all others are topics of the robot
WARNING_PERIOD = 10.0  # s, between two warnings about the same kind of thing
MODE_TIMEOUT = 2.0  # s, for the robot to tell its mode; older ones do not
SETTING_TIMEOUT = 2.0  # s
LYING_HEIGHT = 0.2  # m of body_height; 0.32 recorded of a standing robot, less is a guess
FAULT_MESSAGES = (MessageType.FAULTS, MessageType.FAULT_ADDED, MessageType.FAULT_REMOVED)


class Frames(Protocol):
    """Where video frames come from."""

    async def get(self) -> Any:
        """Wait for the newest frame and take it."""


class Link(Protocol):
    """An open connection to one robot. Used once; a new connection is a new link."""

    @property
    def frames(self) -> Frames:
        """Where the pictures come from."""

    def packets(self) -> AsyncIterator[Message | DecodeError]:
        """Yield messages in order of arrival; end with LinkLost."""

    def subscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic``."""

    def unsubscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic`` no more."""

    def switch_traffic_saving(self, on: bool) -> None:
        """Let the robot spare the network, or send its lidar's maps too."""

    def send(self, command: Command) -> None:
        """Send a command without waiting for what the robot says."""

    async def request(self, request: Request, timeout: float) -> Message:
        """Send a request and return the robot's response."""

    async def enable_motion(self) -> None:
        """Make the robot take velocities."""

    def switch_video(self, on: bool) -> None:
        """Ask the robot to start or stop its camera."""

    def move(self, velocity: Velocity) -> None:
        """Send a velocity."""

    def stop(self) -> None:
        """Tell the robot to stop."""

    async def stop_and_confirm(self) -> None:
        """Tell the robot to stop and wait, bounded, for its word."""


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
        gate: limits and expires the commanded velocity.
        connected: whether a link is open and the robot has been heard on it.
        reason: why it is not connected; empty if it is.
        links: number of links on which the robot has been heard.
        dropped: number of packets that could not be decoded.
        arrivals: what has come, by source.
        faults: that the robot reports.
        mode: of the robot's motion service, ``normal`` or ``mcf`` or another; empty: not known.
        damped: the robot was told to go limp; velocities are ignored until it is told to stand.
    """

    def __init__(
        self,
        config: DriverConfig,
        decoders: Mapping[str, Decoder],
        sources: Iterable[str],
        open_link: Callable[[], AbstractAsyncContextManager[Link]],
        on_open: Callable[[], None],
        on_sample: Callable[[str, Any], None],
        on_crash: Callable[[BaseException], None],
        on_response: Callable[[Message], None] = lambda message: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            config: limits, rates and timeouts.
            decoders: what to decode, by topic.
            sources: topics to subscribe to, and ``CAMERA`` for pictures.
            open_link: makes a new link; raises LinkError.
            on_open: called when a link has opened: what was known of the robot is old.
            on_sample: called with (source, decoded sample), on this thread.
            on_crash: called, on this thread, with what ended the session but must not.
            on_response: called with every response of the robot to a request.
            on_change: called when an attribute that a person cares about has changed.
        """
        self.gate = VelocityGate(velocity_limit(config), config.command_timeout)
        self.connected = False
        self.reason = 'connecting'
        self.links = 0
        self.dropped = 0
        self.arrivals: dict[str, Arrivals] = defaultdict(Arrivals)
        self.faults: frozenset[Fault] = frozenset()
        self.mode = ''
        self.damped = False
        self._config = config
        self._decoders = decoders
        self._sources = frozenset(sources)
        self._open_link = open_link
        self._on_open = on_open
        self._on_sample = on_sample
        self._on_crash = on_crash
        self._on_response = on_response
        self._on_change = on_change
        self._link: Link | None = None
        self._can_move = False
        self._height = float('inf')
        self._standing_up = False
        self._spawned: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._heard_at = 0.0
        self._heard = asyncio.Event()
        self._warned_at: dict[str, float] = {}

    async def start(self) -> None:
        """
        Begin to serve the robot; with ``wait_for_robot``, return once it has been heard.

        Raises:
            LinkError: the first attempt failed or gave no data within ``connect_timeout``,
                or :meth:`stop` was called meanwhile; nothing is left running.
        """
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
        waits = delays(random.Random())
        while True:
            self._heard.clear()
            try:
                async with self._open_link() as link:
                    await self._serve(link)
            except LinkError as error:
                if self._config.wait_for_robot and not self._ever_heard:
                    raise
                if self._heard.is_set():
                    waits = delays(random.Random())
                wait = OPERATOR_DELAY if needs_operator(error) else next(waits)
                level = logging.ERROR if needs_operator(error) else logging.WARNING
                logger.log(level, '%s; next attempt in %.1f s', error, wait)
                self._set_connected(False, str(error))
                await asyncio.sleep(wait)

    def command(self, velocity: Velocity) -> None:
        """Take a new velocity; one that the robot could not follow now is dropped, with a word."""
        if trouble := self._cannot_move():
            self._warn_rarely('a velocity was dropped: %s', trouble)
            return
        self.gate.command(velocity, asyncio.get_running_loop().time())

    def _cannot_move(self) -> str:
        if not self.connected:
            return 'the robot is not connected'
        if self.damped:
            return 'the robot was told to go limp; ask it to stand up first'
        return '' if self._can_move else 'the robot does not take velocities yet'

    def want(self, sources: Iterable[str]) -> None:
        """Ask the robot for exactly these sources, now and on every later link."""
        before, self._sources = self._sources, frozenset(sources)
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
        if action.name == 'damp':
            self.damped = True
        if action.name in ('damp', 'stop'):
            self._halt()
        response = await self.request(action.request(self.mode), action.timeout)
        if action.name in STANDING_UP:
            self.damped = False
        self._on_change()
        return response

    async def request(self, request: Request, timeout: float) -> Message:
        """Send a request and return the robot's response; raises as :meth:`act`."""
        if self._link is None or not self.connected:
            raise LinkLost(f'the robot is not connected: {self.reason}')
        return await self._link.request(request, timeout)

    def switch_lidar(self, on: bool) -> None:
        """Start or stop the lidar; the robot does not answer this. Raises LinkLost."""
        if self._link is None or not self.connected:
            raise LinkLost(f'the robot is not connected: {self.reason}')
        self._link.send(commands.switch_lidar(on))

    def _halt(self) -> None:
        """Forget the velocity, and stop the stream of them."""
        self.gate.clear()
        if self._link is not None:
            with suppress(LinkLost):
                self._link.stop()

    @property
    def _ever_heard(self) -> bool:
        return self._heard_at > 0.0

    async def _serve(self, link: Link) -> None:
        """Receive, drive and watch until one of them fails; leave the robot stopped."""
        self._begin(link)
        opened_at = asyncio.get_running_loop().time()
        work = (
            self._receive(link),
            self._take_pictures(link),
            self._drive(link),
            self._watch_silence(opened_at),
        )
        tasks = [asyncio.ensure_future(each) for each in work]
        self._spawn(self._settle(link))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._end()
            for task in (*tasks, *self._spawned):
                task.cancel()
            await asyncio.gather(*tasks, *self._spawned, return_exceptions=True)
            with suppress(LinkError, CommandRejected, DecodeError):
                await link.stop_and_confirm()

    def _begin(self, link: Link) -> None:
        """Ask for what is needed; nothing survives from an earlier link."""
        self.gate.clear()
        self.faults = frozenset()
        self._height = float('inf')
        self._link = link
        self._on_open()
        for source in self._sources:
            _switch(link, source, True)

    def _end(self) -> None:
        self._link = None
        self._can_move = False
        self._set_connected(False, 'the link has ended')

    async def _settle(self, link: Link) -> None:
        """Find out the robot's mode, and set what the configuration asks for."""
        try:
            self.mode = decode_mode(await link.request(ASK_MODE, MODE_TIMEOUT))
        except (LinkError, CommandRejected, DecodeError) as error:
            self.mode = 'normal'
            logger.info('the robot does not tell its mode, taken as normal: %s', error)
        logger.info('the robot is in the mode %s', self.mode)
        self._on_change()
        for request in self._settings():
            await self._set(request)

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
        self.gate.limit = velocity_limit(config)
        for request in self._settings():
            if request not in done and self.connected:
                self._spawn(self._set(request))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    async def _set(self, request: Request) -> None:
        try:
            await self.request(request, SETTING_TIMEOUT)
        except (LinkError, CommandRejected, DecodeError) as error:
            logger.warning('the robot does not take a setting %s: %s', request.parameter, error)

    async def _receive(self, link: Link) -> None:
        async for packet in link.packets():
            if isinstance(packet, DecodeError):
                self._drop(packet)
            elif decode := self._decoders.get(packet.topic):
                self._decode(decode, packet)
            else:
                self._note_life()
                self._note(packet)
        raise LinkLost('the robot closed the link')

    def _decode(self, decode: Decoder, packet: Message) -> None:
        try:
            sample = decode(packet)
        except DecodeError as error:
            self._drop(error)
            return
        self._note_life()
        if not self._heard.is_set():
            self._heard.set()
            self.links += 1
            self._set_connected(True, '')
            logger.info('connected: the robot sends data')
        if isinstance(sample, SportModeState):
            self._height = sample.body_height
        self._pass_on(packet.topic, sample)

    def _pass_on(self, source: str, sample: Any) -> None:
        arrivals = self.arrivals[source]
        arrivals.count += 1
        arrivals.last = asyncio.get_running_loop().time()
        self._on_sample(source, sample)

    def _note(self, message: Message) -> None:
        """Take what is no sample: responses, and faults."""
        if message.type is MessageType.RESPONSE:
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
            logger.warning('the robot reports a fault: %s', fault)
        for fault in sorted(self.faults - faults, key=str):
            logger.info('the robot reports no more: %s', fault)
        self.faults = faults
        self._on_change()

    def _set_connected(self, connected: bool, reason: str) -> None:
        changed = (self.connected, self.reason) != (connected, reason)
        self.connected, self.reason = connected, reason
        if changed:
            self._on_change()

    def _note_life(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()

    def _drop(self, error: DecodeError) -> None:
        """Count a bad packet; the first of a period is a warning."""
        self.dropped += 1
        self._warn_rarely('dropped a packet (%d so far): %s', self.dropped, error)

    def _warn_rarely(self, text: str, *arguments: object) -> None:
        """Warn, but about the same kind of thing not again within ``WARNING_PERIOD``."""
        now = asyncio.get_running_loop().time()
        level = logging.DEBUG
        if now - self._warned_at.get(text, float('-inf')) > WARNING_PERIOD:
            self._warned_at[text], level = now, logging.WARNING
        logger.log(level, text, *arguments)

    async def _take_pictures(self, link: Link) -> None:
        while True:
            self._pass_on(CAMERA, await link.frames.get())

    async def _drive(self, link: Link) -> None:
        clock = asyncio.get_running_loop().time
        await self._enable_motion(link)
        while True:
            velocity = self.gate.output(clock())
            if velocity is EXPIRED:
                link.stop()
            elif velocity is not None and self._may_walk(link, velocity):
                link.move(velocity)
            await asyncio.sleep(1.0 / self._config.command_rate)

    async def _enable_motion(self, link: Link) -> None:
        try:
            await link.enable_motion()
            self._can_move = True
        except (CommandRejected, DecodeError, LinkLost) as error:
            logger.error(
                'motion_interface %s: the robot does not take velocities: %s',
                self._config.motion_interface,
                error,
            )

    def _may_walk(self, link: Link, velocity: Velocity) -> bool:
        """Whether the robot stands; a stop goes through in any case."""
        if velocity == STOP or self._height > LYING_HEIGHT:
            return True
        if not self._config.auto_stand:
            self._warn_rarely('the robot lies: call stand_up, or set auto_stand')
        elif not self._standing_up:
            logger.info('the robot lies: told to stand up')
            self._standing_up = True
            self._spawn(self._stand_up(link))
        return False

    async def _stand_up(self, link: Link) -> None:
        try:
            for name in ('stand_up', 'balance_stand'):
                action = BY_NAME[name]
                await link.request(action.request(self.mode), action.timeout)
        except (LinkError, CommandRejected, DecodeError) as error:
            logger.warning('the robot does not stand up: %s', error)
        finally:
            self._standing_up = False

    async def _watch_silence(self, opened_at: float) -> None:
        # Not wait_for() around each packet: before Python 3.12 it can swallow a
        # cancellation that arrives together with the packet.
        limit = self._config.silence_timeout
        left = limit
        while left > 0.0:
            await asyncio.sleep(left)
            last = max(opened_at, self._heard_at)
            left = last + limit - asyncio.get_running_loop().time()
        raise LinkLost(f'expected data from the robot, it was silent for {limit:g} s')


def _switch(link: Link, source: str, on: bool) -> None:
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


def velocity_limit(config: DriverConfig) -> Velocity:
    """Return the largest magnitude on each axis that ``config`` allows."""
    return Velocity(config.max_linear_x, config.max_linear_y, config.max_angular_z)
