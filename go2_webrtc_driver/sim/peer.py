"""
The simulated robot's side of the wire: signaling over HTTP, and WebRTC to one client.

What is sent and accepted, and how sure we are that a real Go2 does the same, stands with
the codecs in ``protocol``. One client at a time; the next one is answered ``reject``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiortc import (
    InvalidAccessError,
    InvalidStateError,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from cryptography.hazmat.primitives.asymmetric import rsa

from ..errors import DecodeError
from ..protocol import messages, sealing, signaling
from ..protocol.discovery import Sighting
from ..protocol.messages import Message, build_message
from ..protocol.signaling import Answer
from ..protocol.topics import MessageType, Status, Topic
from . import battery, faults, streams
from .camera import CameraTrack
from .discovery import Responder
from .faults import Fault
from .microphone import Microphone
from .reply import Reply
from .robot import STANDING, Posture, Robot
from .services import Services
from .sport import MCF
from .streams import Stream

logger = logging.getLogger(__name__)

SILENT_CLIENT_TIMEOUT = 10.0  # s; what a real robot allows is not known
PROBE_PERIOD = 5.0  # s, between two round-trip probes; not known of a real robot
MOST_BUFFERED = 1 << 20  # bytes; a client that does not read loses data, not our memory
CLOSE_TIMEOUT = 2.0  # s; a TURN server that is gone would hold aiortc up for a minute

# What aiortc raises at an SDP or a TURN server it cannot take; no contract of its own.
_BAD_OFFER = (
    ValueError, TypeError, LookupError, AttributeError, AssertionError,
    InvalidStateError, InvalidAccessError, OperationError,
)  # fmt: skip
_LONG_FINGERPRINT = re.compile(r'^a=fingerprint:sha-(384|512) ', re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """
    What kind of robot this is.

    Attributes:
        ip: address it listens on.
        scheme: ``data2`` of its signaling, 1, 2 or 3.
        device_key: its 16 bytes for scheme 3.
        low_state_rate: of ``rt/lf/lowstate`` [Hz].
        posture: how it is found.
        validates: False: it never accepts a client's validation.
        serial_number: its own.
        old_signaling: it has the signaling of before 1.1.11 and no other.
        relay_only: it offers candidates of a TURN server alone: no direct path leads to it.
        ignores_untargeted: it answers only a discovery that names it, as newer firmware.
        mode: of its motion, ``mcf`` (firmware 1.1.7 and later) or ``normal``.
        battery: state of charge it is found with, 0 to 1.
    """

    ip: str = '127.0.0.1'
    scheme: int = 2
    device_key: bytes = bytes(16)
    low_state_rate: float = 1.0
    posture: Posture = STANDING
    validates: bool = True
    serial_number: str = 'B42D1000SIM00001'
    old_signaling: bool = False
    relay_only: bool = False
    ignores_untargeted: bool = False
    mode: str = MCF
    battery: float = battery.DEFAULT_CHARGE

    @property
    def port(self) -> int:
        """Where its signaling listens."""
        return signaling.OLD_PORT if self.old_signaling else signaling.PORT


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

    def __init__(self, options: Options = Options()) -> None:
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


class Client:
    """
    The one client: its peer connection and data channel.

    Attributes:
        camera: the video it is sent.
        subscriptions: topics it asked for, each with the task that sends it.
        saves_traffic: until it asks for that to end, it is sent no voxel maps.
    """

    def __init__(
        self,
        go2: SimulatedGo2,
        options: Options,
        ice_servers: list[RTCIceServer],
        on_closed: Callable[[Client], None],
    ) -> None:
        self.camera = CameraTrack(self._pose)
        self.subscriptions: dict[str, asyncio.Task[None]] = {}
        self.saves_traffic = True
        self._streams = {
            **streams.texts(go2.robot, go2.services, options.low_state_rate),
            Topic.VOXEL_MAP.value: Stream(streams.VOXEL_MAP_RATE, self._voxel_map),
        }
        self._microphone = Microphone()
        self._go2 = go2
        self._options = options
        self._on_closed = on_closed
        self._connection = RTCPeerConnection(RTCConfiguration(ice_servers))
        self._channel: RTCDataChannel | None = None
        self._key = secrets.token_hex(16)
        self._valid = False
        self._heard_at = time.monotonic()
        self._watch = asyncio.ensure_future(self._watch_silence())
        self._probe: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._connection.on('datachannel', self._on_channel)
        self._connection.on('connectionstatechange', self._on_state)

    async def answer(self, offer: RTCSessionDescription) -> str:
        """
        Take the offer and return the SDP of the answer; closes if it cannot.

        Raises:
            DecodeError: the offer is not one that aiortc can take.
        """
        try:
            return await self._negotiate(offer)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Drop the client and free the slot; safe to repeat."""
        self._on_closed(self)
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        tasks = [*self.subscriptions.values(), self._watch]
        tasks += [self._probe] if self._probe else []
        for task in tasks:
            task.cancel()
        self.camera.stop()
        for agent in _agents(self._connection):
            agent.query_consent = _nothing  # aioice would start it after close, and never end it
        try:
            await asyncio.wait_for(self._connection.close(), CLOSE_TIMEOUT)
        except asyncio.TimeoutError:
            logger.warning('the connection did not close within %g s', CLOSE_TIMEOUT)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _negotiate(self, offer: RTCSessionDescription) -> str:
        answer = await self._take(offer)
        addresses = [] if self._options.relay_only else [self._options.ip]
        for agent in _agents(self._connection):
            _gather_on(agent, addresses)
        await self._connection.setLocalDescription(answer)
        return str(self._connection.localDescription.sdp)

    async def _take(self, offer: RTCSessionDescription) -> RTCSessionDescription:
        connection = self._connection
        try:
            self._add_tracks()
            await connection.setRemoteDescription(offer)
            if _LONG_FINGERPRINT.search(offer.sdp):
                connection._sctpLegacySdp = False  # as a real Go2 does: aiortc issue 1338
            return await connection.createAnswer()
        except _BAD_OFFER as error:
            raise DecodeError('offer', f'expected a usable one, got: {error!r}') from error

    def send(self, message: str | bytes) -> None:
        """Send on the data channel, unless the robot is mute or the client does not read."""
        channel = self._channel
        if channel is None or channel.readyState != 'open' or self._go2.muted:
            return
        if channel.bufferedAmount < MOST_BUFFERED:
            channel.send(message)

    def tell(self, kind: MessageType, fault: Fault) -> None:
        """Tell a valid client of a fault; another will get the list when it is."""
        if self._valid:
            self.send(build_message(kind, data=fault.as_json()))

    def _pose(self) -> Any:
        self._go2.robot.advance(time.monotonic())
        return self._go2.robot.pose

    def _add_tracks(self) -> None:
        """Add sound, then pictures: aiortc up to 1.14 wants the order of the offer."""
        self._connection.addTrack(self._microphone)
        sender: Any = self._connection.addTrack(self.camera)
        sender._send_keyframe = self.camera.request_keyframe  # what aiortc calls on a PLI
        codecs = RTCRtpSender.getCapabilities('video').codecs
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == 'video':
                transceiver.setCodecPreferences(
                    [codec for codec in codecs if codec.name == 'H264']
                )

    async def _on_state(self) -> None:
        if self._connection.connectionState in ('failed', 'closed'):
            logger.info('the client is gone')
            await self.close()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on('message', self._on_message)
        self.send(build_message(MessageType.VALIDATION, data=self._key))

    def _on_message(self, raw: str | bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            message = messages.parse_message(raw)
        except DecodeError as error:
            logger.warning('dropped a message of the client: %s', error)
            return
        if message.type is MessageType.VALIDATION:
            self._on_validation(message)
        elif not self._valid:
            self.send(build_message(MessageType.ERROR, None, info=messages.VALIDATION_NEEDED))
        elif act := self._acts().get(message.type):
            act(message)

    def _acts(self) -> Mapping[MessageType, Callable[[Message], None]]:
        return {
            MessageType.HEARTBEAT: self._on_heartbeat,
            MessageType.INNER_REQUEST: self._on_inner_request,
            MessageType.SUBSCRIBE: self._on_subscribe,
            MessageType.UNSUBSCRIBE: self._on_unsubscribe,
            MessageType.VIDEO: lambda message: self.camera.switch(message.data == 'on'),
            MessageType.AUDIO: lambda message: self._microphone.switch(message.data == 'on'),
            MessageType.REQUEST: self._on_request,
            MessageType.MESSAGE: self._on_published,
        }

    def _on_validation(self, message: Message) -> None:
        right = message.data == messages.validation_answer(self._key)
        if not (right and self._options.validates):
            self.send(build_message(MessageType.ERROR, None, info=messages.VALIDATION_NEEDED))
            return
        self._go2.advance()
        self._valid = True
        logger.info('the client is valid')
        self.send(build_message(MessageType.VALIDATION, data=messages.VALIDATION_OK))
        active = [fault.as_json() for fault in self._go2.faults]
        self.send(build_message(MessageType.FAULTS, data=active))
        self._probe = asyncio.ensure_future(self._send_probes())

    def _on_heartbeat(self, message: Message) -> None:
        self.send(build_message(MessageType.HEARTBEAT, data=message.data))

    def _on_inner_request(self, message: Message) -> None:
        asked = message.data if isinstance(message.data, dict) else {}
        kind = asked.get('req_type')
        if kind == 'public_network_status':
            info = {**asked, 'status': 'NetworkStatus.ON_WIFI_CONNECTED'}
        elif kind == 'disable_traffic_saving':
            self.saves_traffic = asked.get('instruction') != 'on'
            info = {'req_type': kind, 'execution': 'ok'}
        else:
            return
        self.send(build_message(MessageType.INNER_REQUEST, info=info))

    def _on_subscribe(self, message: Message) -> None:
        stream = self._streams.get(message.topic)
        if stream is not None and message.topic not in self.subscriptions:
            self.subscriptions[message.topic] = asyncio.ensure_future(self._repeat(stream))

    def _on_unsubscribe(self, message: Message) -> None:
        if task := self.subscriptions.pop(message.topic, None):
            task.cancel()

    def _on_published(self, message: Message) -> None:
        if message.topic == Topic.LIDAR_SWITCH.value:
            self._go2.services.switch_lidar(message.data)
        elif message.topic == Topic.WIRELESS_CONTROLLER.value:
            self._go2.services.steer(message.data, time.monotonic())
        else:  # go2_ros2_sdk sends requests so, and its users' robots carry them out
            self._on_request(message)

    def _on_request(self, message: Message) -> None:
        if not message.topic.endswith('/request'):
            return
        try:
            identity = dict(message.data['header']['identity'])
            api_id, parameter = int(identity['api_id']), str(message.data.get('parameter', ''))
        except (TypeError, KeyError, ValueError, AttributeError):
            logger.warning('a request without an identity: %.80r', message.data)
            return
        reply = self._go2.request(message.topic, api_id, parameter)
        if not reply.silent:
            self._respond(message.topic, identity, reply)

    def _respond(self, topic: str, identity: Mapping[str, Any], reply: Reply) -> None:
        header = {'identity': identity, 'status': {'code': int(reply.status)}}
        self.send(
            build_message(
                MessageType.RESPONSE,
                topic.removesuffix('request') + 'response',
                {'header': header, 'data': reply.text},
            )
        )

    def _voxel_map(self) -> bytes | None:
        if self.saves_traffic or not self._go2.lidar_on:
            return None
        return streams.voxel_map(self._go2.robot)

    async def _repeat(self, stream: Stream) -> None:
        """Send the stream's messages when they are due, on a grid of the clock."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            self._go2.advance()
            if message := stream.make():
                self.send(message)
            due = max(due + 1.0 / stream.rate, clock())
            await asyncio.sleep(due - clock())

    async def _send_probes(self) -> None:
        while True:
            info = {'req_type': 'rtt_probe_send_from_mechine', 'time': int(time.time() * 1000)}
            self.send(build_message(MessageType.INNER_REQUEST, info=info))
            self._go2.advance()
            await asyncio.sleep(PROBE_PERIOD)

    async def _watch_silence(self) -> None:
        left = SILENT_CLIENT_TIMEOUT
        while left > 0.0:
            await asyncio.sleep(left)
            left = self._heard_at + SILENT_CLIENT_TIMEOUT - time.monotonic()
        logger.warning('the client fell silent')
        await self.close()


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


def _agents(connection: RTCPeerConnection) -> set[Any]:
    """Return the aioice agents of the connection."""
    owners: list[Any] = [each.receiver for each in connection.getTransceivers()]
    owners += [connection.sctp] if connection.sctp else []
    return {owner.transport.transport.iceGatherer._connection for owner in owners}


async def _nothing() -> None:
    pass


def _gather_on(agent: Any, hosts: list[str]) -> None:
    """Offer host candidates on ``hosts`` alone; by itself aioice never uses loopback."""
    gather = agent.get_component_candidates
    agent.get_component_candidates = lambda component, addresses, timeout=5: gather(
        component, hosts, timeout
    )
