"""The simulated robot's WebRTC connection to its one client."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from ...errors import DecodeError
from ...peer import BAD_DESCRIPTION, ice_agents
from ...protocol import messages
from ...protocol.messages import Message, build_message
from ...protocol.topics import MessageType, Topic
from ..brain.faults import ReportedFault
from ..brain.reply import Reply
from ..options import Options
from . import streams
from .camera import CameraTrack
from .microphone import Microphone
from .streams import Stream

if TYPE_CHECKING:
    from .peer import SimulatedGo2

logger = logging.getLogger(__name__)

SILENT_CLIENT_TIMEOUT = 10.0  # s; what a real robot allows is not known
PROBE_PERIOD = 5.0  # s, between two round-trip probes; not known of a real robot
MOST_BUFFERED = 1 << 20  # bytes; a client that does not read loses data, not our memory
CLOSE_TIMEOUT = 2.0  # s; a TURN server that is gone would hold aiortc up for a minute

_LONG_FINGERPRINT = re.compile(r'^a=fingerprint:sha-(384|512) ', re.MULTILINE | re.IGNORECASE)


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
        self.camera = CameraTrack(self._pose, lambda: go2.camera_frozen)
        self.subscriptions: dict[str, asyncio.Task[None]] = {}
        self.saves_traffic = True
        self._streams = {
            **streams.texts(go2.robot, go2.services, options.low_state_rate, go2.clock),
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
        tasks = [*self._repeating, self._watch]
        for task in tasks:
            task.cancel()
        self.camera.stop()
        for agent in ice_agents(self._connection):
            agent.query_consent = _nothing  # aioice would start it after close, and never end it
        try:
            await asyncio.wait_for(self._connection.close(), CLOSE_TIMEOUT)
        except asyncio.TimeoutError:
            logger.warning('the connection did not close within %g s', CLOSE_TIMEOUT)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _negotiate(self, offer: RTCSessionDescription) -> str:
        answer = await self._take(offer)
        addresses = [] if self._options.relay_only else [self._options.ip]
        for agent in ice_agents(self._connection):
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
        except BAD_DESCRIPTION as error:
            raise DecodeError('offer', f'expected a usable one, got: {error!r}') from error

    def send(self, message: str | bytes, most_buffered: int = MOST_BUFFERED) -> bool:
        """
        Send on the data channel, and return whether it was.

        It is not if the robot is mute, the client has no channel, or ``most_buffered`` [bytes]
        wait there for the client to read.
        """
        channel = self._channel
        if channel is None or channel.readyState != 'open' or self._go2.muted:
            return False
        if channel.bufferedAmount >= most_buffered:
            return False
        channel.send(message)
        return True

    def close_channel(self) -> None:
        """Close the data channel alone; pictures go on."""
        if self._channel is not None:
            self._channel.close()

    def revoke(self) -> None:
        """Take its validation back: it gets nothing any more, as if it had never been valid."""
        self._valid = False
        self.camera.switch(False)
        self._microphone.switch(False)
        self.saves_traffic = True
        for task in self._repeating:
            task.cancel()
        self.subscriptions.clear()
        self._probe = None

    def tell(self, kind: MessageType, fault: ReportedFault) -> None:
        """Tell a valid client of a fault; another will get the list when it is."""
        if self._valid:
            self.send(build_message(kind, data=fault.as_json()))

    @property
    def _repeating(self) -> list[asyncio.Task[None]]:
        """What is sent again and again."""
        return [*self.subscriptions.values(), *([self._probe] if self._probe else [])]

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
        if not (right and self._go2.validates):
            self.send(build_message(MessageType.ERROR, None, info=messages.VALIDATION_NEEDED))
            return
        self._go2.advance()
        self._valid = True
        logger.info('the client is valid')
        self.send(build_message(MessageType.VALIDATION, data=messages.VALIDATION_OK))
        active = [fault.as_json() for fault in self._go2.faults]
        self.send(build_message(MessageType.FAULTS, data=active))
        if self._probe is None:
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
        return streams.voxel_map(self._go2.robot, self._go2.clock)

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
            info = {
                'req_type': 'rtt_probe_send_from_mechine',
                'time': int(self._go2.clock() * 1000),
            }
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


async def _nothing() -> None:
    pass


def _gather_on(agent: Any, hosts: list[str]) -> None:
    """Offer host candidates on ``hosts`` alone; by itself aioice never uses loopback."""
    gather = agent.get_component_candidates
    agent.get_component_candidates = lambda component, addresses, timeout=5: gather(
        component, hosts, timeout
    )
