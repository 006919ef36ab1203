"""
The simulated robot's side of the wire: signaling over HTTP, and WebRTC to one client.

What is sent and accepted, and how sure we are that a real Go2 does the same, stands with
the codecs in ``protocol``. One client at a time; the next one is answered ``reject``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiortc import RTCIceServer, RTCSessionDescription
from cryptography.hazmat.primitives.asymmetric import rsa

from ..errors import DecodeError
from ..protocol import sealing, signaling
from ..protocol.discovery import Sighting
from ..protocol.signaling import Answer
from ..protocol.topics import MessageType, Status, Topic
from . import faults
from .client import Client
from .discovery import Responder
from .faults import Fault
from .options import Options
from .reply import Reply
from .robot import Robot
from .services import Services

logger = logging.getLogger(__name__)


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
        requests: (time [s], api id, parameter, status) of every sport request so far.
        calls: every request to any service so far.
    """

    def __init__(self, options: Options) -> None:
        """Make the robot; :meth:`start` puts it on the network."""
        self.robot = Robot(time.monotonic(), options.posture, options.mode, options.battery)
        self.services = Services(self.robot)
        self.faults: list[Fault] = []
        self.muted = False
        self.requests: list[tuple[float, int, str, Status]] = []
        self.calls: list[Call] = []
        self._options = options
        self._private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._path = ''.join(secrets.choice('0123456789') for _ in range(5))
        self._runner: web.AppRunner | None = None
        self._responder: Responder | None = None
        self.client: Client | None = None

    async def start(self) -> None:
        """Listen; raises OSError if the address is not free."""
        app = web.Application()
        if self._options.old_signaling:
            app.router.add_post(f'/{signaling.OLD_EXCHANGE}', self._old_exchange)
        else:
            app.router.add_post(f'/{signaling.NOTIFY}', self._notify)
            app.router.add_post(f'/{signaling.EXCHANGE}{self._path}', self._exchange)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._options.ip, self._options.port).start()
        await self._answer_discovery()

    async def stop(self) -> None:
        """Leave the network: drop the client and stop listening."""
        if self._responder is not None:
            self._responder.stop()
        if self.client is not None:
            await self.client.close()
        if self._runner is not None:
            await self._runner.cleanup()

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
            fault = Fault(int(time.time()), source, code)
            self.faults.append(fault)
            self._tell(MessageType.FAULT_ADDED, fault)

    def remove_fault(self, source: int, code: int) -> None:
        """Have a fault no longer, and tell the client; not having it changes nothing."""
        for fault in [each for each in self.faults if each.is_(source, code)]:
            self.faults.remove(fault)
            self._tell(MessageType.FAULT_REMOVED, fault)

    def advance(self) -> None:
        """Bring the robot up to now, and its fault of a low battery with it."""
        self.robot.advance(time.monotonic())
        change = self.add_fault if self.robot.battery.low else self.remove_fault
        change(*faults.LOW_BATTERY)

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

    def _tell(self, kind: MessageType, fault: Fault) -> None:
        if self.client is not None:
            self.client.tell(kind, fault)

    async def _notify(self, request: web.Request) -> web.Response:
        options = self._options
        notice = signaling.Notice(self._private_key.public_key(), self._path)
        key = options.device_key if options.scheme == 3 else signaling.SHARED_KEY
        nonce = secrets.token_bytes(12)
        return web.Response(text=signaling.encode_notice(notice, options.scheme, key, nonce))

    async def _exchange(self, request: web.Request) -> web.Response:
        try:
            offer, key = signaling.decode_offer(await request.text(), self._private_key)
            answer = await self.answer(offer)
        except DecodeError as error:
            return _refusal(error)
        return web.Response(text=signaling.encode_answer(answer, key))

    async def _old_exchange(self, request: web.Request) -> web.Response:
        try:
            offer = sealing.json_object(signaling.OLD_EXCHANGE, await request.text())
            answer = await self.answer(offer)
        except DecodeError as error:
            return _refusal(error)
        return web.Response(
            text=signaling.encode_plain_answer(answer), content_type='application/json'
        )

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
    logger.info('simulated Go2 listens on %s:%d', go2._options.ip, go2._options.port)
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


def _refusal(error: DecodeError) -> web.Response:
    logger.warning('refused an offer: %s', error)
    return web.Response(status=400)
