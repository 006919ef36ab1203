"""Drives the robot over one link: what is commanded, as long as it may be followed."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress

from ..complaints import Complaints
from ..config import DriverConfig
from ..errors import CommandRejected, DecodeError, LinkError, LinkLost
from ..protocol.actions import BY_NAME
from ..protocol.state import SportModeState
from ..tasks import Tasks, timeout
from ..velocity import STOP, Velocity
from . import reconnect
from .gate import PATIENCE, REPEAT_TIME, Following, NoVelocity, Stopping, VelocityGate
from .lasting import Lasting
from .robot_link import RobotLink

logger = logging.getLogger(__name__)

STAND_UP_TIMEOUT = 5.0  # s, for the body to rise; others wait 3 s without looking
STAND_UP_PAUSE = 1.0  # s, before a robot that refused is asked again
LYING_HEIGHT = 0.2  # m of body_height; 0.32 recorded of a standing robot, less is a guess
HOLD_TIME = 0.5  # s, without a velocity after a stop that nobody commanded, or on a new link
LONGEST_STANDSTILL = 0.5  # s, of this process, after which what is commanded is too old
SHORTEST_PAUSE = 0.01  # s, between two new velocities: faster ones replace each other
LOCKED = 1002  # error_code of a robot that stands with its joints locked (vendor's table)
FOR_EVER = float('inf')


def clock_that_never_stands_still() -> float:
    """Return a time [s] that goes on while the machine sleeps, unlike the loop's."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Driving:
    """
    The velocity watchdog of one link. A link begins with a stop.

    Attributes:
        trouble: why the robot takes no velocities on this link; empty if it does.
    """

    def __init__(
        self,
        link: RobotLink,
        lasting: Lasting,
        tasks: Tasks,
        now: Callable[[], float],
        age_of_motion: Callable[[], float],
        awake: Callable[[], float] = clock_that_never_stands_still,
    ) -> None:
        """
        Args:
            link: to the robot.
            lasting: the configuration, and whether the robot was told to go limp.
            tasks: of the link.
            now: the loop's clock [s].
            age_of_motion: of what tells how the robot moves [s].
            awake: one that goes on while the machine sleeps [s].
        """
        self.trouble = 'its motion interface is not enabled yet'
        self._link = link
        self._lasting = lasting
        self._tasks = tasks
        self._now = now
        self._age_of_motion = age_of_motion
        self._awake = awake
        self._upright = asyncio.Event()
        self._upright.set()  # until the robot says that it lies
        self._gate = VelocityGate(STOP, STOP, lasting.config.command_timeout)
        self._stopping = Stopping()
        self._following = Following()
        self._are_joints_locked = False
        self._held_until = 0.0
        self._stepped_at = self._renewed_at = float('-inf')
        self._looked_at = awake()
        self._is_news = False
        self._is_moving = False
        self._changed = asyncio.Event()
        self._standing_up: asyncio.Task[None] | None = None
        self._warned_of = ''
        self._complaints = Complaints(logger)
        self.reconfigure()
        self.halt()

    def reconfigure(self) -> None:
        """Take the limits of the configuration as it is now."""
        config = self._lasting.config
        self._gate.limit = velocity_limit(config)
        self._gate.acceleration = acceleration_limit(config)

    @property
    def commanded(self) -> Velocity:
        """What is commanded now, before any limit."""
        return self._gate.target

    def command(self, velocity: Velocity, connected: bool, age: float = 0.0) -> None:
        """
        Take a new velocity and send it at once; a stop is always sent.

        One that the robot cannot follow now is dropped, with one warning for each reason.

        Args:
            velocity: what the robot shall do.
            connected: whether the robot was heard on this link.
            age: of the command [s]; it counts for its expiry.
        """
        self.look_at_the_clock()
        if velocity != STOP and self._now() < self._held_until:
            return
        trouble = '' if velocity == STOP else self._trouble(connected, age)
        if trouble and trouble != self._warned_of:
            logger.warning('velocities are dropped: %s (this one is %.2f s old)', trouble, age)
        self._warned_of = trouble if velocity != STOP else self._warned_of
        if not trouble:
            self._take(velocity, age)

    def _take(self, velocity: Velocity, age: float) -> None:
        now = self._now()
        is_a_stop = velocity == STOP and (self._is_moving or self._gate.target != STOP)
        self._gate.command(velocity, now if velocity == STOP else now - age)
        self._is_news = True
        if not is_a_stop and now - self._renewed_at < SHORTEST_PAUSE:
            self._changed.set()
            return
        with suppress(LinkLost):  # the link's end is seen elsewhere
            self.step()

    def _trouble(self, connected: bool, age: float) -> str:
        config = self._lasting.config
        if not connected:
            return 'the robot is not connected'
        if age >= config.command_timeout:
            return f'expected one at most {config.command_timeout:g} s old'
        if self._lasting.damped:
            return 'the robot was told to go limp; ask it to stand up first'
        if self._is_blind:
            return f'no motion state from the robot for {config.blind_timeout:g} s'
        return f'the robot does not take them: {self.trouble}' if self.trouble else ''

    def give_way(self) -> None:
        """Say no more of our own accord that would break off what the robot is asked for now."""
        self._stopping.end()
        self._cancel_stand_up()
        if self._gate.target == STOP:
            self._gate.clear()

    def halt(self, hold: float = -1.0) -> None:
        """
        Stop the robot, forget what is commanded, and take no velocity for a moment.

        Args:
            hold: how long [s]; ``HOLD_TIME`` by default.
        """
        self._gate.clear()
        until = self._now() + (HOLD_TIME if hold < 0.0 else hold)
        self._held_until = max(self._held_until, until)
        self._cancel_stand_up()
        with suppress(LinkLost):
            self._stop()

    def _cancel_stand_up(self) -> None:
        if self._standing_up is not None:
            self._standing_up.cancel()

    def end(self) -> None:
        """Stop the robot as far as the link still goes; nothing but a stop is taken any more."""
        self.halt(FOR_EVER)

    @property
    def standstill(self) -> str:
        """Why the robot stands although it is told to walk, as far as is known; else empty."""
        if not self._following.fails(self._now()):
            return ''
        text = f'the robot is told to walk and has not moved for {PATIENCE:g} s: '
        if self._are_joints_locked:
            return text + 'its joints are locked, as after stand_up; ask for balance_stand'
        return text + (
            'ask for balance_stand, look at its mode and battery; some robots walk only by '
            'motion_interface:=joystick'
        )

    @property
    def _is_blind(self) -> bool:
        return self._age_of_motion() > self._lasting.config.blind_timeout

    def note(self, state: SportModeState) -> None:
        """Note how high the robot's body is, whether it moves, and whether it can."""
        if state.velocity is not None:
            self._note_velocity(Velocity(*state.velocity[:2], state.yaw_speed), state)
        self._are_joints_locked = state.error_code == LOCKED
        if state.body_height < LYING_HEIGHT:
            self._upright.clear()
        else:
            self._upright.set()

    def _note_velocity(self, velocity: Velocity, state: SportModeState) -> None:
        yaw = state.imu.rpy[2] if state.imu is not None else 0.0
        self._stopping.note(velocity, self._now())
        if any((*state.position, *(state.velocity or ()), state.yaw_speed)):
            self._following.see(velocity, (*state.position[:2], yaw), self._now())

    async def enable(self) -> None:
        """Make the robot take velocities; tried again and again until it does."""
        interface = self._lasting.config.motion_interface
        for delay in reconnect.delays(random.Random()):
            try:
                await self._link.enable_motion()
            except (CommandRejected, DecodeError, LinkLost) as error:
                self.trouble = f'motion_interface {interface}: {error}'
                self._complaints.warn('%s; tried again', self.trouble)
            else:
                self.trouble = ''
                return
            await asyncio.sleep(delay)

    async def drive(self) -> None:
        """Repeat the command, let it expire, repeat stops, until cancelled or LinkLost."""
        while True:
            await self._wait_for_the_next_step()
            self.look_at_the_clock()
            self.step()

    async def _wait_for_the_next_step(self) -> None:
        while (wait := self._next_step_at() - self._now()) > 0.0:
            self._changed.clear()
            # No timeout: async_timeout of Python 3.10 may take a cancellation for one.
            timer = asyncio.get_running_loop().call_later(wait, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                timer.cancel()

    def _next_step_at(self) -> float:
        repetition = self._stepped_at + 1.0 / self._lasting.config.command_rate
        return min(repetition, self._renewed_at + SHORTEST_PAUSE) if self._is_news else repetition

    def look_at_the_clock(self) -> None:
        """Stop the robot if this process, or the whole machine, stood still meanwhile."""
        before, self._looked_at = self._looked_at, self._awake()
        late = self._looked_at - before - 1.0 / self._lasting.config.command_rate
        if late > LONGEST_STANDSTILL:
            logger.warning('the driver did not run for %.1f s: stopping the robot', late)
            self.halt()

    def step(self) -> None:
        """Send what is due now: a velocity, a stop, or nothing."""
        now = self._stepped_at = self._now()
        if self._is_news:
            self._is_news, self._renewed_at = False, now
        if self._gate.target != STOP and self._is_blind:
            logger.warning(
                'no motion state from the robot for %g s: stopping it',
                self._lasting.config.blind_timeout,
            )
            self.halt()
        self._send(self._gate.output(now), now)
        if self.standstill:
            self._complaints.warn('%s', self.standstill)
        if self._stopping.has_failed(now):
            logger.warning(
                'the robot still reports motion %g s after it was told to stop', REPEAT_TIME
            )

    def _send(self, output: Velocity | NoVelocity, now: float) -> None:
        if isinstance(output, Velocity):
            self._move(output, now)
        elif output is NoVelocity.EXPIRED and self._is_moving:
            self._stop()
        elif self._stopping.is_due(now):
            self._link.stop_again()

    def _stop(self) -> None:
        self._is_moving = False
        self._following.tell(STOP, self._now())
        self._stopping.begin(self._now())
        self._link.stop()

    def _move(self, velocity: Velocity, now: float) -> None:
        if velocity == STOP:
            self._rest(now)
        elif self._may_walk():
            self._stopping.end()
            self._is_moving = True
            self._following.tell(velocity, now)
            self._link.move(velocity)
        else:
            self._gate.rest()
            if self._is_moving:
                self._stop()

    def _rest(self, now: float) -> None:
        """Send a zero velocity; the first after a motion is a stop, repeated until it is seen."""
        if self._is_moving:
            self._stop()
            return
        self._link.move(STOP)
        if self._stopping.is_due(now):
            self._link.stop_again()

    def _may_walk(self) -> bool:
        """Whether the robot is upright; with ``auto_stand``, have it stand up if it is not."""
        if self._standing_up is not None and not self._standing_up.done():
            return False
        if self._upright.is_set():
            return True
        if not self._lasting.config.auto_stand:
            self._complaints.warn('the robot is lying down: call stand_up, or set auto_stand')
        else:
            logger.info('the robot is lying down: standing it up')
            self._stopping.end()
            self._standing_up = self._tasks.start(self._stand_up())
        return False

    async def _stand_up(self) -> None:
        """Let the robot stand up, then balance; both have one number in every mode."""
        stand_up, balance = BY_NAME['stand_up'], BY_NAME['balance_stand']
        try:
            await self._link.request(stand_up.request(''), stand_up.timeout)
            async with timeout(STAND_UP_TIMEOUT):
                await self._upright.wait()
            await self._link.request(balance.request(''), balance.timeout)
        except asyncio.TimeoutError:
            self._complaints.warn('the robot did not get up within %g s', STAND_UP_TIMEOUT)
        except (LinkError, CommandRejected, DecodeError) as error:
            self._complaints.warn('the robot does not stand up: %s', error)
            await asyncio.sleep(STAND_UP_PAUSE)


def velocity_limit(config: DriverConfig) -> Velocity:
    """Return the largest magnitude on each axis that ``config`` allows."""
    return Velocity(config.max_linear_x, config.max_linear_y, config.max_angular_z)


def acceleration_limit(config: DriverConfig) -> Velocity:
    """Return how fast the speed on each axis may grow [m/s^2, m/s^2, rad/s^2]."""
    linear, angular = config.max_linear_acceleration, config.max_angular_acceleration
    return Velocity(linear, linear, angular)
