"""
A driver in a process, a robot behind a faulty network, and who commands and watches them.

Shared by ``test/faults`` and ``benchmarks/soak.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driver_process import ACTIVATE, CONFIGURE, DRIVER, User
from networks.faulty_network import FaultyNetwork
from sensor_msgs.msg import CameraInfo
from support import free_address, process, read_output

from go2_webrtc_driver.ros.event_loop_thread import EventLoopThread
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.peer import SimulatedGo2

SPEED = 0.3  # m/s, that is commanded
ZERO = 0.02  # m/s, below which the simulated body only sways
COMMAND_TIMEOUT = 0.5  # s
SLACK = 0.5  # s, for the robot to slow down
EXPIRY = 1.0  # s, of a Move, by the robot itself
PARAMETERS = (
    f'command_timeout:={COMMAND_TIMEOUT}', 'silence_timeout:=1.5', 'video_timeout:=1.0',
    'connect_timeout:=3.0', 'wait_for_robot:=false',
)  # fmt: skip


class Stage:
    """
    Everything a fault needs, and what tells how the robot took it.

    Attributes:
        robot: the simulated robot; touched on its loop alone, see :meth:`on_loop`.
        network: between driver and robot.
        user: the node that commands.
        driver: its process.
        pictures: number of pictures so far.
    """

    def __init__(self, user, driver, loop, robot, network):
        self.user, self.driver, self.robot, self.network = user, driver, robot, network
        self.pictures = 0
        self._loop = loop
        self._samples = deque(maxlen=6000)  # (time [s, monotonic], speed [m/s]), a minute
        self.statuses = {}
        self._sent_at = 0.0
        user.create_subscription(CameraInfo, 'camera/camera_info', self._on_picture, 10)
        user.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        loop.post(lambda: asyncio.ensure_future(self._sample()))

    def on_loop(self, work: Callable[[], object]) -> object:
        """Do something to robot or network on their loop."""

        async def run():
            return work()

        return self._loop.run(run(), 10.0)

    @property
    def connected(self) -> bool:
        """Whether the driver's diagnostics say so."""
        return self.statuses.get('connection') == (DiagnosticStatus.OK, 'connected')

    def drive(self) -> None:
        """Let time pass, with a Twist 20 times a second."""
        if time.monotonic() - self._sent_at > 0.05:
            self._sent_at = time.monotonic()
            self.user.drive(SPEED)
        self.user.spin(0.01)
        read_output(self.driver)

    def drive_until(self, condition, timeout=40.0) -> None:
        """Drive until something holds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f'waited in vain\n{read_output(self.driver)[-2000:]}'
            self.drive()

    def drive_for(self, seconds) -> None:
        """Drive for a time."""
        end = time.monotonic() + seconds
        self.drive_until(lambda: time.monotonic() > end)

    def rest_until(self, condition, timeout=40.0) -> None:
        """Let time pass without a Twist until something holds."""
        self.user.until(condition, timeout)

    def rest_for(self, seconds) -> None:
        """Let time pass without a Twist."""
        end = time.monotonic() + seconds
        self.rest_until(lambda: time.monotonic() > end)

    @property
    def speed(self) -> float:
        """Of the robot, by the newest sample [m/s]."""
        return self._samples[-1][1] if self._samples else 0.0

    def walk(self) -> None:
        """Drive until the robot walks at the speed and pictures come."""
        seen = self.pictures
        self.drive_until(lambda: self.speed > 0.9 * SPEED and self.pictures > seen)

    def moved_after(self, since) -> float:
        """Return when the robot last moved, after ``since`` [s, monotonic]; 0: it did not."""
        return max(
            (at - since for at, v in list(self._samples) if at > since and v > ZERO), default=0.0
        )

    def stood_after(self, since) -> float:
        """Return when the robot first stood, after ``since`` [s, monotonic]."""
        return min(at - since for at, v in list(self._samples) if at > since and v <= ZERO)

    async def _sample(self) -> None:
        while True:
            self._samples.append((time.monotonic(), self.robot.speed))
            await asyncio.sleep(0.01)

    def _on_picture(self, info) -> None:
        self.pictures += 1

    def _on_diagnostics(self, array) -> None:
        for status in array.status:
            self.statuses[status.name.rpartition(': ')[2]] = (status.level, status.message)


@contextlib.contextmanager
def stage(user=None, module=DRIVER, parameters=PARAMETERS, env=None):
    """Set a stage up: driver active, robot connected through the network."""
    user = user or User()
    loop, robot = EventLoopThread('robot'), SimulatedGo2(Options(ip=free_address()))
    network_ip = free_address()
    loop.run(robot.start(), 10.0)
    network = loop.run(FaultyNetwork.start(network_ip, robot.ip), 10.0)
    arguments = ['--ros-args', '-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{network_ip}'"]
    for parameter in parameters:
        arguments += ['-p', parameter]
    try:
        with process(module, *arguments, env=env) as driver:
            made = Stage(user, driver, loop, robot, network)
            assert user.transition(CONFIGURE)
            assert user.transition(ACTIVATE)
            made.rest_until(lambda: made.connected)
            yield made
    finally:
        loop.run(network.stop(), 10.0)
        loop.run(robot.stop(), 10.0)
        loop.stop(10.0)
        user.destroy_node()


@dataclass(frozen=True)
class Fault:
    """
    Something that goes wrong while the robot is commanded.

    Attributes:
        name: of it.
        begin: makes it, on the loop of robot and network.
        end: mends it, likewise.
        breaks: the link does not survive it.
        delay: by which everything comes later [s].
    """

    name: str
    begin: Callable[[Stage], object]
    end: Callable[[Stage], object] = lambda stage: stage.network.heal()
    breaks: bool = False
    delay: float = 0.0


def both(**faults):
    """Return what gives both directions of the network these faults."""

    def begin(stage):
        for way in (stage.network.to_robot, stage.network.to_client):
            for name, value in faults.items():
                setattr(way, name, value)

    return begin


def throw_garbage(stage) -> None:
    """Throw at both ports: noise, torn STUN, DTLS and RTP, and the handshakes once more."""
    dice = random.Random(1)
    for first in (0, 1, 20, 22, 23, 63, 128, 144, 255):
        for size in (0, 1, 12, 19, 20, 100, 1400):
            stage.network.throw(bytes([first]) + dice.randbytes(size))
    stage.network.replay()


def set_robot(**attributes):
    """Return what sets attributes of the robot."""

    def act(stage):
        for name, value in attributes.items():
            setattr(stage.robot, name, value)

    return act


def refuse_validation(stage) -> None:
    """Take the client's validation back, and accept none any more."""
    stage.robot.validates = False
    stage.robot.revoke()


def one_way(name):
    return lambda stage: setattr(getattr(stage.network, name), 'silent', True)


FAULTS = (
    Fault('delayed 500 ms', both(delay=0.5), delay=0.5),
    Fault('20 % loss', both(loss=0.2)),
    Fault('reordered', both(jitter=0.1), delay=0.1),
    Fault('duplicated', both(duplication=0.5)),
    Fault('garbage and old handshakes', throw_garbage),
    Fault('video stops', set_robot(camera_frozen=True), set_robot(camera_frozen=False)),
    Fault('robot clock jumps', set_robot(clock_offset=-1e6), set_robot(clock_offset=0.0)),
    Fault('black hole', lambda stage: stage.network.block(), breaks=True),
    Fault('one way, nothing to the robot', one_way('to_robot'), breaks=True),
    Fault('one way, nothing from the robot', one_way('to_client'), breaks=True),
    Fault('data stops', set_robot(muted=True), set_robot(muted=False), breaks=True),
    Fault('data channel closed', lambda stage: stage.robot.close_channel(), breaks=True),
    Fault('validation refused', refuse_validation, set_robot(validates=True), breaks=True),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """
    How the robot took a fault.

    Attributes:
        stopped: after which it stood: since the fault began, if the link does not survive that,
            else since nothing was commanded any more [s].
        bound: within which it has to stand [s].
        recovery: from the end of the fault until it walks and pictures come [s].
    """

    stopped: float
    bound: float
    recovery: float


def play(stage: Stage, fault: Fault) -> Outcome:
    """Let a fault happen while the robot is commanded, and wait until all is well again."""
    stage.walk()
    stage.on_loop(lambda: fault.begin(stage))
    since = time.monotonic()
    if fault.breaks:
        bound = EXPIRY + SLACK
        stage.drive_until(lambda: not stage.connected)
        stage.drive_until(lambda: time.monotonic() > since + bound + SLACK)
        stopped = stage.stood_after(since)
    else:
        bound = COMMAND_TIMEOUT + SLACK + fault.delay
        stage.drive_for(1.0 + fault.delay)
        since = time.monotonic()
        stage.rest_for(bound + SLACK)
        stopped = stage.moved_after(since)
    stage.on_loop(lambda: fault.end(stage))
    mended = time.monotonic()
    stage.walk()
    return Outcome(stopped, bound, time.monotonic() - mended)
