"""
The simulated robot's side of the wire: its signaling, and WebRTC to one client.

What is sent and accepted, and how sure we are that a real Go2 does the same, stands with
the codecs in ``protocol``. One client at a time; the next one is answered ``reject``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiortc import RTCIceServer, RTCSessionDescription

from ...errors import DecodeError
from ...protocol import offer_answer as signaling
from ...protocol.discovery import Sighting
from ...protocol.offer_answer import Answer
from ...protocol.topics import MessageType, Status, Topic
from ..brain import faults
from ..brain.apis import Services
from ..brain.faults import ReportedFault
from ..brain.reply import Reply
from ..brain.robot import Robot
from ..options import Options
from .client import Client
from .lan_server import LanServer
from .newest import Newest
from .responder import Responder

logger = logging.getLogger(__name__)

FLOOD_BATCH = 50  # messages between two turns of the loop
FLOOD_BUFFER = 16 * 1024  # bytes; all other messages wait for these to be sent
FLOOD_PAUSE = 0.001  # s, until a client that does not read is tried again


@dataclass(frozen=True)
class Call:
    """A request to any service: when [s, monotonic], where, what, and what became of it."""

    time: float
    topic: str
    api_id: int
    parameter: str
    status: Status


class SimulatedGo2:
    """
    A robot that listens on the network.

    Attributes:
        robot: its body.
        services: what clients set in it.
        faults: what is wrong with it; changed by :meth:`add_fault` and :meth:`remove_fault`.
        muted: while True it sends nothing on the data channel, as if it hung.
        camera_frozen: while True it sends no pictures although asked to.
        validates: while False it accepts no client's validation.
        clock_offset: what its clock, which all its stamps tell, is ahead of ours [s].
        requests: (time [s], api id, parameter, status) of the newest sport requests.
        calls: the newest requests to any service.
    """

    def __init__(self, options: Options) -> None:
        """Make the robot; :meth:`start` puts it on the network."""
        self.robot = Robot(time.monotonic(), options.posture, options.mode, options.battery)
        self.services = Services(self.robot)
        self.faults: list[ReportedFault] = []
        self.muted = False
        self.camera_frozen = False
        self.validates = options.validates
        self.clock_offset = 0.0
        self.requests: Newest[tuple[float, int, str, Status]] = Newest()
        self.calls: Newest[Call] = Newest()
        self._options = options
        self._server = LanServer(options, lambda offer: self.answer(offer))
        self._responder: Responder | None = None
        self.client: Client | None = None

    @property
    def ip(self) -> str:
        """Its address."""
        return self._options.ip

    async def start(self) -> None:
        """Listen; raises OSError if the address is not free."""
        await self._server.start()
        await self._answer_discovery()

    async def stop(self) -> None:
        """Leave the network: drop the client and stop listening."""
        if self._responder is not None:
            self._responder.stop()
        if self.client is not None:
            await self.client.close()
        await self._server.stop()

    async def answer(self, offer: Mapping[str, Any]) -> Answer:
        """
        Return the robot's answer to an offer, whichever way it came.

        Args:
            offer: ``sdp`` and ``type``; with ``turnserver`` the robot uses it too.

        Raises:
            DecodeError: the offer has another form.
        """
        description, servers = _description(offer), _ice_servers(offer)
        if self.client is not None:
            logger.info('a second client was turned away')
            return Answer(signaling.REJECT, 'answer')
        client = self.client = Client(self, self._options, servers, self._forget)
        return Answer(await client.answer(description), 'answer')

    def request(self, topic: str, api_id: int, parameter: str) -> Reply:
        """Carry out a request to the service behind ``topic``, and remember it."""
        now = time.monotonic()
        reply = self.services.answer(topic, api_id, parameter, now)
        self.calls.append(Call(now, topic, api_id, parameter, reply.status))
        if topic == Topic.SPORT_REQUEST.value:
            self.requests.append((now, api_id, parameter, reply.status))
        return reply

    def add_fault(self, source: int, code: int) -> None:
        """Have a fault from now on, and tell the client; having it already changes nothing."""
        if not any(each.is_(source, code) for each in self.faults):
            fault = ReportedFault(int(self.clock()), source, code)
            self.faults.append(fault)
            self._tell(MessageType.FAULT_ADDED, fault)

    def remove_fault(self, source: int, code: int) -> None:
        """Have a fault no longer, and tell the client; not having it changes nothing."""
        for fault in [each for each in self.faults if each.is_(source, code)]:
            self.faults.remove(fault)
            self._tell(MessageType.FAULT_REMOVED, fault)

    def revoke(self) -> None:
        """
        Take the validation of the present client back.

        Streams, pictures and sound end; every message is answered "Validation Needed." until
        the client validates again, which ``validates`` may refuse.
        """
        if self.client is not None:
            self.client.revoke()

    def close_channel(self) -> None:
        """Close the data channel alone: the peer connection stays, and pictures go on."""
        if self.client is not None:
            self.client.close_channel()

    async def flood(self, message: str | bytes, rate: float = math.inf) -> None:
        """
        Send a message again and again until cancelled; what the client does not read is left out.

        Args:
            message: any, a valid one or not.
            rate: of the messages [Hz]; by default as fast as the loop's other work allows.
        """
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            for _ in range(FLOOD_BATCH):
                if due > clock():
                    break
                sent = self.client is not None and self.client.send(message, FLOOD_BUFFER)
                due = due + 1 / rate if sent else clock() + max(1 / rate, FLOOD_PAUSE)
            await asyncio.sleep(max(0.0, due - clock()))

    def clock(self) -> float:
        """Return the time that its stamps tell [s]."""
        return time.time() + self.clock_offset

    def advance(self) -> None:
        """Bring the robot up to now, and its fault of a low battery with it."""
        self.robot.advance(time.monotonic())
        change = self.add_fault if self.robot.battery.low else self.remove_fault
        change(*faults.LOW_BATTERY)

    @property
    def speed(self) -> float:
        """The largest component of its body's velocity, now [m/s or rad/s]."""
        self.advance()
        return max(map(abs, self.robot.velocity))

    @property
    def mode(self) -> str:
        """Of its motion; empty after it was released."""
        return self.robot.sport.mode

    @property
    def joystick_on(self) -> bool:
        """Whether SwitchJoystick lets the joystick move it."""
        return self.robot.sport.joystick_on

    @property
    def avoids_obstacles(self) -> bool:
        """Whether obstacle avoidance is on."""
        return self.robot.avoids

    @property
    def remote_from_api(self) -> bool:
        """Whether the API took the joystick's place."""
        return self.services.remote_from_api

    @property
    def lidar_on(self) -> bool:
        """Whether the lidar turns."""
        return self.services.lidar_on

    @property
    def volume(self) -> int:
        """Of the loudspeaker, 0 to 10."""
        return self.robot.volume

    @property
    def brightness(self) -> int:
        """Of the lamp, 0 to 10."""
        return self.robot.brightness

    def _tell(self, kind: MessageType, fault: ReportedFault) -> None:
        if self.client is not None:
            self.client.tell(kind, fault)

    async def _answer_discovery(self) -> None:
        options = self._options
        sighting = Sighting(options.serial_number, options.ip)
        try:
            self._responder = await Responder.start(sighting, options.ignores_untargeted)
        except OSError as error:
            logger.warning('the robot cannot be found by its serial number: %s', error)

    def _forget(self, client: Client) -> None:
        if self.client is client:
            self.client = None


async def serve(go2: SimulatedGo2, until: Callable[[], Awaitable[object]]) -> None:
    """Have the robot on the network until ``until()`` returns."""
    await go2.start()
    logger.info('simulated Go2 listens on %s:%d', go2.ip, go2._options.port)
    try:
        await until()
    finally:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(go2.stop(), 3.0)


def _description(offer: Mapping[str, Any]) -> RTCSessionDescription:
    sdp, kind = offer.get('sdp'), offer.get('type')
    if kind != 'offer' or not isinstance(sdp, str) or 'm=application' not in sdp:
        raise DecodeError('offer', f'expected an SDP offer, got type {kind!r:.40}, {sdp!r:.40}')
    return RTCSessionDescription(sdp, kind)


def _ice_servers(offer: Mapping[str, Any]) -> list[RTCIceServer]:
    given = offer.get('turnserver')
    if not given:
        return []
    try:
        return [RTCIceServer(str(given['realm']), str(given['user']), str(given['passwd']))]
    except (TypeError, LookupError):
        raise DecodeError('offer', 'turnserver: expected realm, user and passwd') from None
