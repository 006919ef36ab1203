"""Runs one link until it fails: receives, drives and watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..complaints import Complaints
from ..errors import (
    CommandRejected,
    DecodeError,
    InvalidCommand,
    LinkError,
    LinkLost,
    LinkUnreachable,
)
from ..protocol import commands
from ..protocol.actions import ASK_MODE, STANDING_UP, Action, decode_mode
from ..protocol.commands import Request
from ..protocol.decoders import Sample
from ..protocol.faults import FAULT_MESSAGES, RobotFault, update_faults
from ..protocol.messages import Message
from ..protocol.state import SportModeState
from ..protocol.topics import MessageType, Topic
from ..tasks import Tasks
from .driving import Driving
from .lasting import CAMERA, Lasting
from .liveness import DATA, HEARTBEAT, PictureWatch, SignsOfLife, SourceWatch, Verdict
from .owner import Owner
from .robot_link import Received, RobotLink
from .settings import Settings, settings

logger = logging.getLogger(__name__)

MODE_TIMEOUT = 2.0  # s, for the robot to tell its mode; older ones do not
SETTING_TIMEOUT = 2.0  # s
WATCH_PERIOD = 0.1  # s, within which an overdue sign of life is noticed
MOST_TOLD = 5  # faults in one line; diagnostics show them all
LATELY = 5.0  # s
END_TIMEOUT = 1.0  # s, for our tasks to end once the robot is stopped


class Visit:
    """
    One link, and all that is known of the robot on it.

    Attributes:
        connected: whether the robot has been heard, and the link goes on.
        driving: sends the commanded velocity.
        faults: that the robot reports.
        newest: sample of each source.
    """

    def __init__(
        self,
        link: RobotLink,
        lasting: Lasting,
        owner: Owner,
        on_change: Callable[[], None],
        first_data_within: float,
    ) -> None:
        """
        Begin with a stop.

        Args:
            link: to the robot; open.
            lasting: what outlives the link.
            owner: who gets what the robot sends.
            on_change: called when something that a person cares about has changed.
            first_data_within: longest time until the robot sends data [s].
        """
        self._now = asyncio.get_running_loop().time
        self.connected = False
        self.faults: frozenset[RobotFault] = frozenset()
        self.newest: dict[str, Any] = {}
        self._link = link
        self._lasting = lasting
        self._owner = owner
        self._on_change = on_change
        self._first_data_within = first_data_within
        self._tasks = Tasks()
        self._sources = SourceWatch(lasting.wanted, self._now())
        self.driving = Driving(
            link, lasting, self._tasks, self._now, lambda: self._sources.age_of_motion(self._now())
        )
        self._settings = Settings(lambda request: link.request(request, SETTING_TIMEOUT))
        self._signs = SignsOfLife(lasting.config.silence_timeout, self._now())
        self._pictures = PictureWatch(
            lasting.config.video_timeout, CAMERA in lasting.wanted, self._now(),
            lasting.camera_is_broken,
        )  # fmt: skip
        self._unreadable: dict[str, tuple[str, float]] = {}
        self._complaints = Complaints(logger)

    async def run(self) -> None:
        """
        Receive, drive and watch until one of them fails; leave the robot stopped.

        Raises:
            LinkLost, LinkUnreachable: the robot is gone, or was never heard.
        """
        work = (
            self._receive(), self._take_pictures(), self._watch(), self._settle(),
            self._settings.run(), self.driving.enable(), self.driving.drive(),
        )  # fmt: skip
        try:
            for each in work:
                self._tasks.start(each)
            for source in self._lasting.wanted:
                _switch(self._link, source, True)
            await self._tasks.failed
        finally:
            await self._end()

    async def _end(self) -> None:
        """Stop the robot first of all."""
        self.connected = False
        self.driving.end()
        try:
            self._on_change()
        finally:
            await self._tasks.close(END_TIMEOUT)
            with suppress(LinkError, CommandRejected, DecodeError):
                await self._link.stop_and_confirm()

    @property
    def overdue(self) -> dict[str, float]:
        """The ages of the topics that are asked for and do not come [s]."""
        overdue = self._sources.overdue(self._now())
        overdue.pop(CAMERA, None)  # pictures have a watch of their own
        return overdue

    @property
    def pictures_overdue(self) -> float:
        """For how long pictures are overdue [s]; 0 if they come, or nobody wants them."""
        return self._pictures.overdue(self._now())

    def want(self, before: frozenset[str]) -> None:
        """Ask for what is wanted now and was not ``before``, and the other way round."""
        wanted = self._lasting.wanted
        self._pictures.want(CAMERA in wanted, self._now())
        self._sources.want(wanted, self._now())
        with suppress(LinkLost):  # the next link asks for them all
            for source in wanted - before:
                _switch(self._link, source, True)
            for source in before - wanted:
                _switch(self._link, source, False)

    def reconfigure(self) -> None:
        """Take the new configuration: limits at once, and what has changed goes to the robot."""
        self.driving.reconfigure()
        self._settings.want(settings(self._lasting.config, self._lasting.mode))

    async def act(self, action: Action) -> Message:
        """Let the robot do something and return its response; as :meth:`RobotSession.act`."""
        halts = self._lasting.halts
        if action.normal != action.mcf:
            await self._ask_mode()
        if self._lasting.halts != halts:
            raise InvalidCommand(f'{action.name}: the robot was told to stop meanwhile')
        return await self.request(action.request(self._lasting.mode), action.timeout, action)

    async def request(
        self, request: Request, timeout: float, action: Action | None = None
    ) -> Message:
        """Send a request, and note it as done if it is one of the actions; return the response."""
        damps = self._lasting.damps
        if action is not None and action.name != 'stop':
            self.driving.give_way()
        response = await self._link.request(request, timeout)
        if action is not None and action.name in STANDING_UP and self._lasting.damps == damps:
            self._lasting.damped = False
        self._on_change()
        return response

    def switch_lidar(self, on: bool) -> None:
        """Start or stop the lidar; the robot does not answer this. Raises LinkLost."""
        self._link.send(commands.switch_lidar(on))

    async def _settle(self) -> None:
        """Find out the robot's mode, and set what the configuration asks for."""
        await self._ask_mode()
        self._settings.want(settings(self._lasting.config, self._lasting.mode))

    async def _ask_mode(self) -> None:
        before = self._lasting.mode
        try:
            mode = decode_mode(await self.request(ASK_MODE, MODE_TIMEOUT))
        except (LinkError, CommandRejected, DecodeError) as error:
            mode = before or 'normal'
            logger.info('the robot does not report its mode, assuming %s: %s', mode, error)
        if mode != before:
            logger.info('the robot is in the mode %s', mode)
            self._lasting.mode = mode
            self._on_change()

    async def _receive(self) -> None:
        async for item in self._link.received():
            self._take(item)
        raise LinkLost(f'{self._link.robot} closed the link')

    def _take(self, item: Received) -> None:
        if isinstance(item, Sample):
            is_new = self._sources.is_new(item.source, item.value, self._now())
            self._note_data()
            if is_new and isinstance(item.value, SportModeState):
                self.driving.note(item.value)
            if is_new:
                self._pass_on(item)
            if gaps := getattr(item.value, 'gaps', ()):
                self._note_unreadable(item.source, '; '.join(gaps))
                self._complaints.warn('a part of %s is missing: %s', item.source, gaps[0])
        elif isinstance(item, DecodeError):
            self._drop(item)
        elif item.type is MessageType.HEARTBEAT:
            self._signs.note(HEARTBEAT, self._now())
        elif item.type is MessageType.RESPONSE:
            self._owner.on_response(item)
        elif item.type in FAULT_MESSAGES:
            self._note_faults(item)

    def _note_data(self) -> None:
        """The robot lives; the first sample on a link says that it is connected."""
        self._signs.note(DATA, self._now())
        if not self.connected:
            self.connected = True
            self._lasting.links += 1
            self._on_change()

    def _pass_on(self, sample: Sample) -> None:
        arrivals = self._lasting.arrivals[sample.source]
        arrivals.count += 1
        arrivals.last = self._now()
        self.newest[sample.source] = sample.value
        self._owner.on_sample(sample)

    def _note_faults(self, message: Message) -> None:
        try:
            faults = update_faults(self.faults, message)
        except DecodeError as error:
            self._drop(error)
            return
        if added := sorted(map(str, faults - self.faults)):
            more = f' and {len(added) - MOST_TOLD} more' if len(added) > MOST_TOLD else ''
            told = '; '.join(added[:MOST_TOLD])
            self._complaints.warn('the robot reports a fault: %s%s', told, more)
        if gone := sorted(map(str, self.faults - faults)):
            logger.debug('no longer reported by the robot: %s', '; '.join(gone[:MOST_TOLD]))
        self.faults = faults
        self._on_change()

    def _drop(self, error: DecodeError) -> None:
        """Count a bad packet; the first of a period is a warning."""
        self._lasting.dropped += 1
        self._note_unreadable(error.topic, str(error))
        self._complaints.warn('dropped a packet (%d so far): %s', self._lasting.dropped, error)

    def _note_unreadable(self, topic: str, text: str) -> None:
        self._unreadable[topic] = text, self._now()

    @property
    def unreadable(self) -> tuple[str, ...]:
        """What came in the last seconds and could not be decoded, by topic; why."""
        now = self._now()
        return tuple(text for text, at in self._unreadable.values() if now - at < LATELY)

    async def _take_pictures(self) -> None:
        while True:
            frame = await self._link.frames.get()
            self._pictures.note(self._now())
            self._lasting.camera_is_broken = False
            self._pass_on(Sample(CAMERA, frame))

    async def _watch(self) -> None:
        """Look for what is overdue, in a task of its own."""
        begun = self._now()
        while True:
            await asyncio.sleep(WATCH_PERIOD)
            now = self._now()
            if not self.connected and now - begun > self._first_data_within:
                raise LinkUnreachable(
                    f'{self._link.robot}: expected its first data within '
                    f'{self._first_data_within:.1f} s of the open link, {self._what_came}'
                )
            if missing := self._signs.missing(now):
                came = f'; {self._what_came}' if self.unreadable else ''
                raise LinkLost(f'{self._link.robot}: {missing}{came}')
            self._watch_pictures(now)

    @property
    def _what_came(self) -> str:
        unreadable = '; '.join(self.unreadable)
        return f'what came cannot be decoded: {unreadable}' if unreadable else 'nothing came'

    def _watch_pictures(self, now: float) -> None:
        overdue, verdict = self._pictures.overdue(now), self._pictures.verdict(now)
        self._lasting.camera_is_broken = self._pictures.camera_is_broken
        if verdict is Verdict.GIVE_UP:
            raise LinkLost(f'{self._link.robot}: expected pictures, none came for {overdue:.1f} s')
        if verdict is Verdict.ASK_AGAIN:
            self._complaints.warn('no picture for %.1f s: requesting the video again', overdue)
            self._link.renew_video()
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
