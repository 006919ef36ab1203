"""Sends the commanded velocity to the robot, while the robot can follow it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from ..complaints import Complaints
from ..config import DriverConfig
from ..errors import CommandRejected, DecodeError, LinkError, LinkLost
from ..protocol.actions import BY_NAME, STANDING_UP, Action
from ..protocol.state import SportModeState
from ..velocity import STOP, Velocity
from .gate import EXPIRED, REPEAT_TIME, Stopping, VelocityGate
from .robot_link import RobotLink

logger = logging.getLogger(__name__)

STAND_UP_TIMEOUT = 5.0  # s, for the body to rise; others wait 3 s without looking
LYING_HEIGHT = 0.2  # m of body_height; 0.32 recorded of a standing robot, less is a guess
HOLD_TIME = 0.5  # s, without a velocity after a stop that nobody commanded, or on a new link
LONGEST_STANDSTILL = 0.5  # s, of this process, after which what is commanded is too old
SHORTEST_PAUSE = 0.01  # s, between two velocities: faster ones replace each other


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
        self._gate = VelocityGate(
            velocity_limit(config), acceleration_limit(config), config.command_timeout
        )
        self._stopping = Stopping()
        self._held_until = 0.0
        self._seen_at = 0.0
        self._link: RobotLink | None = None
        self._is_enabled = False
        self._is_fresh = False
        self._wake: asyncio.Future[None] | None = None
        self._standing_up: asyncio.Task[None] | None = None
        self._warned_of = ''
        self._complaints = Complaints(logger)

    def reconfigure(self, config: DriverConfig) -> None:
        """Take new limits."""
        self._config = config
        self._gate.limit = velocity_limit(config)
        self._gate.acceleration = acceleration_limit(config)

    def command(self, velocity: Velocity, connected: bool) -> None:
        """
        Take a new velocity and send it at once; a stop is always sent where there is a link.

        One that the robot could not follow now is dropped, with one warning until one is taken.
        """
        if velocity != STOP and self._link is not None and self._now() < self._held_until:
            return
        trouble = self._trouble(velocity, connected)
        if trouble and trouble != self._warned_of:
            logger.warning('velocities are dropped: %s', trouble)
        self._warned_of = trouble
        if not trouble:
            self._gate.command(velocity, self._now())
            self._is_fresh = True
            self._go_on()

    def _trouble(self, velocity: Velocity, connected: bool) -> str:
        if self._link is None or not (connected or velocity == STOP):
            return 'the robot is not connected'
        if velocity == STOP:
            return ''
        if self.damped:
            return 'the robot was told to go limp; ask it to stand up first'
        if self._is_blind:
            return f'the robot has sent no data for {self._config.blind_timeout:g} s'
        return '' if self._is_enabled else 'the robot does not take velocities'

    def before(self, action: Action) -> None:
        """Note what the robot is about to be told; a stop ends the stream of velocities first."""
        if action.name == 'damp':
            self.damped = True
        if action.name in ('damp', 'stop'):
            self.halt()
        if action.name == 'damp':
            self._stopping.end()  # a robot that falls moves, and is not to be told anything more

    def after(self, action: Action) -> None:
        """Note what the robot has done."""
        if action.name in STANDING_UP:
            self.damped = False

    def begin(self, link: RobotLink) -> None:
        """Take over a new link: nothing but a stop goes over it for the first moment."""
        self._link = link
        self._upright.set()  # until the robot says that it lies
        self.halt()

    def end(self) -> None:
        """Stop the robot as far as the link still goes, and forget the link."""
        self.halt()
        self._link = None
        self._is_enabled = False

    def halt(self) -> None:
        """
        Stop the robot, forget what was commanded, and take no velocity for ``HOLD_TIME``.

        Whoever calls it need not care whether there is a link.
        """
        self._gate.clear()
        self._held_until = self._now() + HOLD_TIME
        if self._standing_up is not None:
            self._standing_up.cancel()
        if self._link is not None:
            with suppress(LinkLost):
                self._stop(self._link)

    @property
    def _is_blind(self) -> bool:
        return self._now() - self._seen_at > self._config.blind_timeout

    def note_data(self) -> None:
        """Note that the robot has sent something: it may be driven."""
        self._seen_at = self._now()

    def note(self, state: SportModeState) -> None:
        """Note how high the robot's body is and whether it moves."""
        self._stopping.note(Velocity(*state.velocity[:2], state.yaw_speed))
        if state.body_height > LYING_HEIGHT:
            self._upright.set()
        else:
            self._upright.clear()

    async def run(self, link: RobotLink) -> None:
        """Drive over the link that :meth:`begin` took, until cancelled or LinkLost."""
        try:
            await link.enable_motion()
            self._is_enabled = True
        except (CommandRejected, DecodeError, LinkLost) as error:
            logger.error(
                'motion_interface %s: the robot does not take velocities: %s',
                self._config.motion_interface,
                error,
            )
        await self._drive(link)

    async def _drive(self, link: RobotLink) -> None:
        while True:
            self._step(link, self._now())
            due = self._now() + 1.0 / self._config.command_rate
            await self._pause(due)
            late = self._now() - due
            if late > LONGEST_STANDSTILL:
                logger.warning('the driver stood still for %.1f s: the robot is stopped', late)
                self.halt()

    def _step(self, link: RobotLink, now: float) -> None:
        """Send what is due now: a velocity, a stop, or nothing."""
        self._is_fresh = False
        if self._gate.is_moving and self._is_blind:
            logger.warning(
                'no data from the robot for %g s: it is stopped', self._config.blind_timeout
            )
            self.halt()
        velocity = self._gate.output(now)
        if velocity is EXPIRED:
            self._stop(link)
        elif velocity is not None:
            self._move(link, velocity)
        elif self._stopping.is_due(now):
            link.stop_again()
        if self._stopping.is_vain(now):
            logger.warning(
                'the robot was told to stop for %g s, it still says that it moves', REPEAT_TIME
            )

    def _stop(self, link: RobotLink) -> None:
        self._stopping.begin(self._now())
        link.stop()

    def _move(self, link: RobotLink, velocity: Velocity) -> None:
        self._stopping.end()
        if self._may_walk(link, velocity):
            link.move(velocity)
        else:
            self._gate.rest()

    async def _pause(self, until: float) -> None:
        """Wait until a time, or until there is a new command; a flood of those is thinned out."""
        await asyncio.sleep(SHORTEST_PAUSE)
        if self._is_fresh:
            return
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_at(until, self._go_on)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

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


def acceleration_limit(config: DriverConfig) -> Velocity:
    """Return how fast the speed on each axis may grow [m/s^2, m/s^2, rad/s^2]."""
    linear, angular = config.max_linear_acceleration, config.max_angular_acceleration
    return Velocity(linear, linear, angular)
