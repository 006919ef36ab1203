"""Sends the commanded velocity to the robot, while the robot can follow it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from ..config import DriverConfig
from ..errors import CommandRejected, DecodeError, LinkError, LinkLost
from ..protocol.actions import BY_NAME, STANDING_UP, Action
from ..velocity_gate import EXPIRED, STOP, Velocity, VelocityGate
from .complaints import Complaints
from .robot_link import RobotLink

logger = logging.getLogger(__name__)

STAND_UP_TIMEOUT = 5.0  # s, for the body to rise; others wait 3 s without looking
LYING_HEIGHT = 0.2  # m of body_height; 0.32 recorded of a standing robot, less is a guess


class Driving:
    """
    The velocity watchdog, next to the wire; lives on the session's loop.

    Attributes:
        damped: the robot was told to go limp; velocities are ignored until it is told to stand.
    """

    def __init__(self, config: DriverConfig) -> None:
        self.damped = False
        self._upright = asyncio.Event()
        self._config = config
        self._gate = VelocityGate(velocity_limit(config), config.command_timeout)
        self._is_enabled = False
        self._standing_up: asyncio.Task[None] | None = None
        self._complaints = Complaints(logger)

    def reconfigure(self, config: DriverConfig) -> None:
        """Take new limits."""
        self._config = config
        self._gate.limit = velocity_limit(config)

    def command(self, velocity: Velocity, connected: bool) -> None:
        """Take a new velocity; one that the robot could not follow now is dropped, with a word."""
        if trouble := self._trouble(connected):
            self._complaints.warn('a velocity was dropped: %s', trouble)
            return
        self._gate.command(velocity, asyncio.get_running_loop().time())

    def _trouble(self, connected: bool) -> str:
        if not connected:
            return 'the robot is not connected'
        if self.damped:
            return 'the robot was told to go limp; ask it to stand up first'
        return '' if self._is_enabled else 'the robot does not take velocities yet'

    def before(self, action: Action, link: RobotLink | None) -> None:
        """Note what the robot is about to be told; a stop ends the stream of velocities first."""
        if action.name == 'damp':
            self.damped = True
        if action.name in ('damp', 'stop'):
            self._gate.clear()
            self._stop_standing_up()
            if link is not None:
                with suppress(LinkLost):
                    link.stop()

    def after(self, action: Action) -> None:
        """Note what the robot has done."""
        if action.name in STANDING_UP:
            self.damped = False

    def begin(self) -> None:
        """Forget what was commanded and known over an earlier link."""
        self._gate.clear()
        self._upright.set()  # until the robot says that it lies

    def note_height(self, height: float) -> None:
        """Note how high the body is above the floor [m]."""
        if height > LYING_HEIGHT:
            self._upright.set()
        else:
            self._upright.clear()

    async def run(self, link: RobotLink) -> None:
        """Drive over one link, until cancelled or LinkLost."""
        try:
            await self._enable(link)
            await self._drive(link)
        finally:
            self._is_enabled = False
            self._stop_standing_up()

    def _stop_standing_up(self) -> None:
        if self._standing_up is not None:
            self._standing_up.cancel()

    async def _enable(self, link: RobotLink) -> None:
        try:
            await link.enable_motion()
            self._is_enabled = True
        except (CommandRejected, DecodeError, LinkLost) as error:
            logger.error(
                'motion_interface %s: the robot does not take velocities: %s',
                self._config.motion_interface,
                error,
            )

    async def _drive(self, link: RobotLink) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            velocity = self._gate.output(clock())
            if velocity is EXPIRED:
                link.stop()
            elif velocity is not None and self._may_walk(link, velocity):
                link.move(velocity)
            await asyncio.sleep(1.0 / self._config.command_rate)

    def _may_walk(self, link: RobotLink, velocity: Velocity) -> bool:
        """Whether the robot stands; a stop goes through in any case."""
        if velocity == STOP or self._upright.is_set():
            return True
        if not self._config.auto_stand:
            self._complaints.warn('the robot lies: call stand_up, or set auto_stand')
        elif self._standing_up is None or self._standing_up.done():
            logger.info('the robot lies: told to stand up')
            self._standing_up = asyncio.ensure_future(self._stand_up(link))
        return False

    async def _stand_up(self, link: RobotLink) -> None:
        """Let the robot stand up, then balance; both have one number in every mode."""
        stand_up, balance = BY_NAME['stand_up'], BY_NAME['balance_stand']
        try:
            await link.request(stand_up.request(''), stand_up.timeout)
            await asyncio.wait_for(self._upright.wait(), STAND_UP_TIMEOUT)
            await link.request(balance.request(''), balance.timeout)
        except asyncio.TimeoutError:
            logger.warning('the robot did not get up within %g s', STAND_UP_TIMEOUT)
        except (LinkError, CommandRejected, DecodeError) as error:
            logger.warning('the robot does not stand up: %s', error)


def velocity_limit(config: DriverConfig) -> Velocity:
    """Return the largest magnitude on each axis that ``config`` allows."""
    return Velocity(config.max_linear_x, config.max_linear_y, config.max_angular_z)
