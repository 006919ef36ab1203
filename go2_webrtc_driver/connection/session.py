"""Keeps one link to the robot open, and carries samples up and velocity down."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

from ..config import DriverConfig
from ..errors import CommandRejected, DecodeError, LinkError, LinkLost, LinkUnreachable
from ..protocol.decoders import Decoder
from ..protocol.messages import Message
from ..velocity_gate import EXPIRED, Velocity, VelocityGate
from .reconnect import OPERATOR_DELAY, delays, needs_operator

logger = logging.getLogger(__name__)

CAMERA = 'camera'  # the source name of video frames; all others are topics of the robot
WARNING_PERIOD = 10.0  # s, between two warnings about dropped packets


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

    def switch_video(self, on: bool) -> None:
        """Ask the robot to start or stop its camera."""

    def move(self, velocity: Velocity) -> None:
        """Send a velocity."""

    def stop(self) -> None:
        """Tell the robot to stop."""

    async def stop_and_confirm(self) -> None:
        """Tell the robot to stop and wait, bounded, for its word."""


class RobotSession:
    """
    One robot, over as many links as it takes.

    Everything here runs on the asyncio thread; nothing is locked.

    Attributes:
        gate: limits and expires the commanded velocity.
        connected: whether a link is open and the robot has been heard on it.
        dropped: number of packets that could not be decoded.
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
        """
        self.gate = VelocityGate(velocity_limit(config), config.command_timeout)
        self.connected = False
        self.dropped = 0
        self._config = config
        self._decoders = decoders
        self._sources = frozenset(sources)
        self._open_link = open_link
        self._on_open = on_open
        self._on_sample = on_sample
        self._on_crash = on_crash
        self._task: asyncio.Task[None] | None = None
        self._heard_at = 0.0
        self._heard = asyncio.Event()
        self._warned_at = float('-inf')

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
                await asyncio.sleep(wait)

    def command(self, velocity: Velocity) -> None:
        """Take a new velocity; dropped while the robot is away."""
        if not self.connected:
            logger.debug('no link to the robot: a velocity was dropped')
            return
        self.gate.command(velocity, asyncio.get_running_loop().time())

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
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.connected = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(LinkError, CommandRejected, DecodeError):
                await link.stop_and_confirm()

    def _begin(self, link: Link) -> None:
        """Ask for what is needed; nothing survives from an earlier link."""
        self.gate.clear()
        self._on_open()
        for source in self._sources - {CAMERA}:
            link.subscribe(source)
        if CAMERA in self._sources:
            link.switch_video(True)

    async def _receive(self, link: Link) -> None:
        async for packet in link.packets():
            if isinstance(packet, DecodeError):
                self._drop(packet)
            elif decode := self._decoders.get(packet.topic):
                self._decode(decode, packet)
            else:
                self._note_life()
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
            self.connected = True
            logger.info('connected: the robot sends data')
        self._on_sample(packet.topic, sample)

    def _note_life(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()

    def _drop(self, error: DecodeError) -> None:
        """Count a bad packet; the first of a period is a warning."""
        self.dropped += 1
        now = asyncio.get_running_loop().time()
        level = logging.DEBUG
        if now - self._warned_at > WARNING_PERIOD:
            self._warned_at, level = now, logging.WARNING
        logger.log(level, 'dropped a packet (%d so far): %s', self.dropped, error)

    async def _take_pictures(self, link: Link) -> None:
        while True:
            self._on_sample(CAMERA, await link.frames.get())

    async def _drive(self, link: Link) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            velocity = self.gate.output(clock())
            if velocity is EXPIRED:
                link.stop()
            elif velocity is not None:
                link.move(velocity)
            await asyncio.sleep(1.0 / self._config.command_rate)

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


def velocity_limit(config: DriverConfig) -> Velocity:
    """Return the largest magnitude on each axis that ``config`` allows."""
    return Velocity(config.max_linear_x, config.max_linear_y, config.max_angular_z)
