"""Keeps one link to the robot open after the other, and carries samples up and velocity down."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from ..config import DriverConfig
from ..errors import LinkError, LinkLost
from ..protocol.actions import HALTING, Action, action_of
from ..protocol.commands import Request
from ..protocol.messages import Message
from ..tasks import Tasks
from ..velocity import Velocity
from .lasting import Lasting, Status
from .liveness import OWNER_TIMEOUT, OwnerWatch
from .owner import Owner
from .reconnect import Outage
from .robot_link import RobotLink
from .statuses import Statuses
from .visit import Visit

logger = logging.getLogger(__name__)

WATCH_PERIOD = 0.1  # s, within which an owner that falls silent is noticed
STATUS_PERIOD = 1.0  # s
STOP_TIMEOUT = 4.0  # s, to stop the robot and close the link
SHORTEST_WAIT = 1.0  # s, for the first data, however long the link took to open

OpenLink = Callable[[bool], AbstractAsyncContextManager[RobotLink]]


async def never() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


class RobotSession:
    """
    One robot, over as many links as it takes.

    Everything here runs on the asyncio thread; nothing is locked.
    """

    def __init__(
        self,
        config: DriverConfig,
        owner: Owner,
        open_link: OpenLink,
        wait_for_return: Callable[[], Coroutine[Any, Any, None]] = never,
        sources: Iterable[str] = (),
    ) -> None:
        """
        Args:
            config: limits, rates and timeouts.
            owner: who is told what happens.
            open_link: makes a new link; raises LinkError. It is told whether this attempt is
                news: nothing has failed before it.
            wait_for_return: returns when a robot that was away is seen to be back.
            sources: what to ask the robot for: topics, and ``CAMERA`` for pictures.
        """
        self._lasting = Lasting(config, frozenset(sources))
        self._owner = owner
        self._open_link = open_link
        self._wait_for_return = wait_for_return
        self._now = asyncio.get_running_loop().time
        self._visit: Visit | None = None
        self._statuses = Statuses(self._lasting, self._now())
        self._heard = asyncio.Event()
        self._owner_watch = OwnerWatch()
        self._tasks = Tasks()
        self._is_stopped = False
        self._is_refusing = False

    async def start(self) -> None:
        """
        Begin to serve the robot; with ``wait_for_robot``, return once it has been heard.

        Raises:
            LinkError: the first attempt failed, or :meth:`stop` was called; nothing is left
                running.
        """
        if self._is_stopped:
            raise LinkLost('stopped while connecting')
        serving = self._tasks.start(self._serve())
        self._tasks.start(self._keep_watch())
        self._tasks.failed.add_done_callback(self._on_failure)
        if self._lasting.config.wait_for_robot:
            try:
                await self._until_heard(serving)
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Stop the robot, free its client slot, and end; safe to repeat, and before a start."""
        self._is_stopped = True
        await self._tasks.close(STOP_TIMEOUT)

    async def _until_heard(self, serving: asyncio.Task[None]) -> None:
        heard = self._tasks.start(self._heard.wait())
        await asyncio.wait({serving, heard}, return_when=asyncio.FIRST_COMPLETED)
        if self._heard.is_set():
            return
        if serving.done() and not serving.cancelled():
            serving.result()
        raise LinkLost('stopped while connecting')

    def _on_failure(self, failed: asyncio.Future[None]) -> None:
        error = failed.exception()
        if error is None or isinstance(error, LinkError):
            return
        if self._visit is not None:
            self._visit.driving.end()
        self._owner.on_crash(error)

    async def _serve(self) -> None:
        """Open one link after the other until cancelled."""
        outage = Outage(random.Random())
        while True:
            links = self._lasting.links
            try:
                await self._visit_robot(outage.is_new)
            except LinkError as error:
                if was_heard := self._lasting.links > links:
                    outage = Outage(random.Random(), self._now())
                self._set_reason(str(error))
                if self._is_final(error, was_heard):
                    return
                await self._rest(outage, error)

    async def _visit_robot(self, is_news: bool) -> None:
        """Open a link and stay on it until it is lost; always raises."""
        deadline = self._now() + self._lasting.config.connect_timeout
        async with self._open_link(is_news) as link:
            wait = max(SHORTEST_WAIT, deadline - self._now())
            self._owner.on_open()
            self._visit = Visit(link, self._lasting, self._owner, self._on_change, wait)
            try:
                await self._visit.run()
            finally:
                self._set_reason('the link has ended')
                self._visit = None

    def _is_final(self, error: LinkError, was_heard: bool) -> bool:
        """Whether there is no other attempt; raises ``error`` where one waits for the first."""
        config = self._lasting.config
        if config.wait_for_robot and not self._lasting.links:
            raise error
        if not was_heard or config.on_link_lost == 'reconnect':
            return False
        logger.error('%s; on_link_lost: %s', error, config.on_link_lost)
        self._owner.on_lost(str(error))
        return True

    async def _rest(self, outage: Outage, error: LinkError) -> None:
        """Wait before the next attempt, less if the robot is seen to come back."""
        now = self._now()
        wait = outage.delay(error, now)
        level = logging.ERROR if outage.needs_operator(error, now) else logging.WARNING
        level = level if outage.is_news(error) else logging.DEBUG
        logger.log(level, '%s; next attempt in %.1f s', error, wait)
        returned = self._tasks.start(self._wait_for_return())
        await asyncio.wait({returned}, timeout=wait)
        returned.cancel()

    async def _keep_watch(self) -> None:
        """Watch the owner, and publish the status once a second."""
        told_at = self._now()
        while True:
            await asyncio.sleep(WATCH_PERIOD)
            now = self._now()
            if self._owner_watch.look(now):
                self._note_owner_change()
            if now - told_at >= STATUS_PERIOD:
                told_at = now
                self._statuses.measure_rates(now)
                self._tell()

    def note_owner(self) -> None:
        """Take a sign of life of the owner; one that stops giving any is dead."""
        self._owner_watch.note(self._now())
        if self._owner_watch.is_stuck:
            self._halt()  # what waited for it, and comes just now, is old

    def _note_owner_change(self) -> None:
        if self._owner_watch.is_stuck:
            logger.error(
                'ROS callbacks have not run for %g s: the robot is stopped', OWNER_TIMEOUT
            )
            self._halt()
        else:
            logger.info('ROS callbacks run again')
        self._tell()

    def _halt(self) -> None:
        if self._visit is not None:
            self._visit.driving.halt()

    def _on_change(self) -> None:
        away = self._statuses.come(self._visit, self._now())
        if away is not None:
            logger.info('connected: the robot sends data, after %.1f s offline', away)
            self._heard.set()
        self._tell()

    def _set_reason(self, reason: str) -> None:
        if reason != self._statuses.reason:
            self._statuses.reason = reason
            self._on_change()

    def _tell(self) -> None:
        self._owner.on_status(self.status)

    @property
    def status(self) -> Status:
        """The session at this moment."""
        return self._statuses.make(self._visit, self._owner_watch.is_stuck, self._now())

    def command(self, velocity: Velocity, age: float = 0.0) -> None:
        """Take a new velocity that is ``age`` seconds old."""
        if self._visit is not None:
            self._visit.driving.command(velocity, self._visit.connected, age)
            self._is_refusing = False
        elif not self._is_refusing:
            self._is_refusing = True
            logger.warning('velocities are dropped: the robot is not connected')

    def want(self, sources: Iterable[str]) -> None:
        """Ask the robot for exactly these sources, now and on every later link."""
        before, self._lasting.wanted = self._lasting.wanted, frozenset(sources)
        if self._visit is not None and before != self._lasting.wanted:
            self._visit.want(before)

    def reconfigure(self, config: DriverConfig) -> None:
        """Take a new configuration."""
        self._lasting.config = config
        if self._visit is not None:
            self._visit.reconfigure()

    async def act(self, action: Action) -> Message:
        """
        Let the robot do something and return its response.

        Raises:
            InvalidCommand: the robot's mode does not have it.
            CommandRejected: the robot does not do it.
            LinkLost: the robot is away, or does not answer in time.
        """
        self._begin(action)
        return await self._there_for(action).act(action)

    async def request(self, request: Request, timeout: float) -> Message:
        """Send a request and return the robot's response; raises as :meth:`act`."""
        action = action_of(request)
        if action is not None:
            self._begin(action)
        return await self._there_for(action).request(request, timeout, action)

    def _begin(self, action: Action) -> None:
        """Halt the robot if that is what is asked for, whether it is there or not."""
        if action.name not in HALTING:
            return
        self._lasting.halts += 1
        if action.name == 'damp':
            self._lasting.damps += 1
            self._lasting.damped = True
        if self._visit is not None:
            self._visit.driving.halt()
        self._tell()

    def switch_lidar(self, on: bool) -> None:
        """Start or stop the lidar; the robot does not answer this. Raises LinkLost."""
        self._there.switch_lidar(on)

    def _there_for(self, action: Action | None) -> Visit:
        """The visit for an action: for what halts the robot, one where it was not heard yet."""
        if self._visit is not None and action is not None and action.name in HALTING:
            return self._visit
        return self._there

    @property
    def _there(self) -> Visit:
        """The visit to a robot that is there; raises LinkLost."""
        if self._visit is None or not self._visit.connected:
            raise LinkLost(f'the robot is not connected: {self._statuses.reason}')
        return self._visit
