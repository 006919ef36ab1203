"""
One open WebRTC link to one robot, used once; the only importer of unitree_webrtc_connect.

The library builds the peer connection's parts and speaks the robot's data-channel
protocol (validation, heartbeat, network status, round-trip probes). Ours are the
signaling, which never blocks the loop, the bounds on every wait, the clean-up after
every failure, and the errors.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from unitree_webrtc_connect import (
    UnitreeWebRTCConnection,
    WebRTCConnectionMethod,
    WebRTCDataChannel,
    webrtc_datachannel,
)

# isort: split
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from ..errors import (
    CommandRejected,
    DecodeError,
    LinkBusy,
    LinkError,
    LinkLost,
    LinkRefused,
    LinkUnreachable,
)
from ..protocol import commands, messages, signaling
from ..protocol.commands import Request
from ..protocol.messages import Message, build_message, parse_message
from ..protocol.topics import MessageType
from ..velocity_gate import STOP, Velocity
from . import aiortc_patch
from .signaling import exchange_offer
from .video import Newest

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0  # s
DESCRIPTION_TIMEOUT = 5.0  # s, for aiortc to take the robot's answer
STOP_TIMEOUT = 0.5  # s, for the robot to confirm that it stops
MOST_QUEUED = 512  # messages; a flood drops the oldest
MOST_BUFFERED = 16 * 1024  # bytes not yet sent, beyond which a Move would be stale
MOST_VALIDATIONS = 3

LIBRARY_TYPES = {
    MessageType.VALIDATION,
    MessageType.ERROR,
    MessageType.HEARTBEAT,
    MessageType.INNER_REQUEST,
}

aiortc_patch.apply()
# The library prints its states and the robot's faults on standard output.
webrtc_datachannel.print_status = lambda kind, status: logger.debug('%s: %s', kind, status)


class _DataChannel(WebRTCDataChannel):  # type: ignore[misc]
    """The library's data channel without its lidar decoder, which costs 0.1 s to load."""

    def set_decoder(self, decoder_type: str) -> None:
        """Load no decoder: voxel maps are decoded by ``protocol``."""


class Link:
    """
    An open link. Lives on one asyncio loop; made by :func:`open_link`.

    Attributes:
        address: of the robot.
        frames: video frames, as the decoder gives them; the newest wins.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.frames: Newest[VideoFrame] = Newest()
        self._waiting_for = 'the link'
        self._valid: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue: asyncio.Queue[Message | DecodeError | LinkError] = asyncio.Queue(MOST_QUEUED)
        self._responses: dict[int, asyncio.Future[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._closing = False
        self._library = UnitreeWebRTCConnection(WebRTCConnectionMethod.LocalSTA, ip=address)
        self._connection = RTCPeerConnection(self._library.create_webrtc_configuration(None))
        self._library.pc = self._connection
        self._channel_protocol = _DataChannel(self._library, self._connection)
        self._channel = self._channel_protocol.channel

    async def open(self, timeout: float) -> None:
        """
        Connect and validate, within ``timeout`` seconds.

        Raises:
            LinkUnreachable: no usable answer in time; says what was waited for.
            LinkBusy: the robot serves another client.
            LinkRefused: the robot does not accept our validation.
        """
        try:
            await asyncio.wait_for(self._open(), timeout)
        except asyncio.TimeoutError:
            raise LinkUnreachable(
                f'robot {self.address}: expected {self._waiting_for} within {timeout:g} s, '
                'nothing came'
            ) from None

    async def close(self) -> None:
        """Free the robot's client slot and everything of ours; bounded, safe to repeat."""
        self._closing = True
        self._channel_protocol.heartbeat.stop_heartbeat()
        self._channel_protocol.rtc_inner_req.network_status.stop_network_status_fetch()
        self._cancel_waits()
        try:
            await asyncio.wait_for(self._connection.close(), CLOSE_TIMEOUT)
        except asyncio.TimeoutError:
            logger.warning('robot %s: the link did not close within %g s', self.address,
                           CLOSE_TIMEOUT)  # fmt: skip
        self._cancel_waits()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def packets(self) -> AsyncIterator[Message | DecodeError]:
        """Yield messages in order of arrival, and an error for what is none; ends in LinkLost."""
        while True:
            item = await self._queue.get()
            if isinstance(item, LinkError):
                raise item
            yield item

    def subscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic``."""
        self._send(build_message(MessageType.SUBSCRIBE, topic))

    def switch_video(self, on: bool) -> None:
        """Ask the robot to start or stop its camera."""
        self._send(build_message(MessageType.VIDEO, data='on' if on else 'off'))

    def move(self, velocity: Velocity) -> None:
        """Send a velocity; a non-zero one is dropped while older ones are still unsent."""
        if velocity != STOP and self._channel.bufferedAmount > MOST_BUFFERED:
            logger.warning('robot %s does not read: a Move was dropped', self.address)
            return
        request = commands.move(velocity.x, velocity.y, velocity.yaw)
        self._send(commands.build_request(request, _identity()))

    def stop(self) -> None:
        """Tell the robot to stop: a zero Move ends the stream of Moves, then StopMove."""
        self.move(STOP)
        self._send(commands.build_request(commands.STOP_MOVE, _identity()))

    async def stop_and_confirm(self) -> None:
        """Tell the robot to stop, and wait a bounded time until it says that it does."""
        self.move(STOP)
        await self.request(commands.STOP_MOVE, STOP_TIMEOUT)

    async def request(self, request: Request, timeout: float) -> Message:
        """
        Send a request and return the robot's response.

        Raises:
            CommandRejected: the robot answered with a status other than 0.
            LinkLost: the link is not open, or no response came within ``timeout`` seconds.
        """
        identity = _identity()
        response: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._responses[identity] = response
        try:
            self._send(commands.build_request(request, identity))
            message = await asyncio.wait_for(response, timeout)
        except asyncio.TimeoutError:
            raise LinkLost(
                f'robot {self.address}: expected a response to request {request.api_id} '
                f'within {timeout:g} s, nothing came'
            ) from None
        finally:
            del self._responses[identity]
        if code := _status(message):
            raise CommandRejected(request.api_id, code)
        return message

    async def _open(self) -> None:
        connection = self._connection
        self._listen()
        connection.addTransceiver('audio', 'sendrecv')
        connection.addTransceiver('video', 'recvonly')
        gather_on(connection, local_address_towards(self.address))
        self._waiting_for = 'our own offer'
        await connection.setLocalDescription(await connection.createOffer())
        answer = await exchange_offer(self.address, self._offer(), self._wait_for)
        if answer.sdp == signaling.REJECT:
            raise LinkBusy(f'robot {self.address} serves another client; close the app')
        self._wait_for('a usable SDP answer')
        await self._take(RTCSessionDescription(answer.sdp, answer.type))
        self._wait_for('a data channel and its validation')
        await self._valid

    def _offer(self) -> dict[str, str]:
        local = self._connection.localDescription
        return {'id': 'STA_localNetwork', 'sdp': local.sdp, 'type': local.type, 'token': ''}

    async def _take(self, answer: RTCSessionDescription) -> None:
        """Set the remote description; what aiortc raises at a bad one is no contract."""
        try:
            await asyncio.wait_for(
                self._connection.setRemoteDescription(answer), DESCRIPTION_TIMEOUT
            )
        except asyncio.TimeoutError:
            raise LinkUnreachable(
                f'robot {self.address}: expected aiortc to take the answer within '
                f'{DESCRIPTION_TIMEOUT:g} s, it did not'
            ) from None
        except (
            ValueError, TypeError, LookupError, AttributeError, AssertionError,
            InvalidStateError, InvalidAccessError, OperationError,
        ) as error:  # fmt: skip
            raise LinkUnreachable(
                f'robot {self.address}: expected a usable SDP answer, got one with: {error!r}'
            ) from error

    def _wait_for(self, what: str) -> None:
        logger.info('robot %s: waiting for %s', self.address, what)
        self._waiting_for = what

    def _listen(self) -> None:
        """Take over the library's events before anything can fire them."""
        self._channel_protocol.validaton.set_on_validate_callback(self._on_valid)
        self._channel.remove_all_listeners('message')
        self._channel.on('message', self._on_message)
        self._channel.on('close', lambda: self._lost('closed the data channel'))
        self._connection.on('track', self._on_track)
        self._connection.on('connectionstatechange', self._on_state)

    def _on_valid(self) -> None:
        if not self._valid.done():
            self._valid.set_result(None)

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state in ('failed', 'closed'):
            self._lost(f'left: the peer connection is {state}')

    def _lost(self, what: str) -> None:
        if self._closing:
            return
        message = f'robot {self.address} {what}'
        if not self._valid.done():
            self._valid.set_exception(LinkUnreachable(message))
        self._put(LinkLost(message))

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._spawn(self._pump(track))

    async def _pump(self, track: MediaStreamTrack) -> None:
        """Empty the track's queue as fast as it fills; sound is thrown away."""
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self.frames.put(frame)
        except MediaStreamError:
            logger.debug('robot %s ended its %s track', self.address, track.kind)

    def _on_message(self, raw: str | bytes) -> None:
        try:
            message = parse_message(raw)
        except DecodeError as error:
            self._put(error)
            return
        if message.type in LIBRARY_TYPES:
            self._hand_to_library(message)
        elif message.type is MessageType.RESPONSE:
            self._resolve(message)
        self._put(message)

    def _hand_to_library(self, message: Message) -> None:
        if message.type is MessageType.ERROR and self._is_refused():
            return
        content = {
            'type': message.type.value,
            'topic': message.topic,
            'data': message.data,
            'info': message.info,
        }
        self._spawn(self._run_library(content))

    async def _run_library(self, content: dict[str, Any]) -> None:
        try:
            self._channel_protocol.pub_sub.run_resolve(content)
            await self._channel_protocol.handle_response(content)
        except (AttributeError, TypeError, ValueError, LookupError) as error:
            logger.debug('the library cannot handle %.80r: %r', content, error)

    def _is_refused(self) -> bool:
        """Count "Validation Needed."; the library would answer it for ever."""
        self._refusals += 1
        if self._refusals <= MOST_VALIDATIONS:
            return False
        if not self._valid.done():
            self._valid.set_exception(
                LinkRefused(
                    f'robot {self.address}: expected "{messages.VALIDATION_OK}", got '
                    f'"{messages.VALIDATION_NEEDED}" {self._refusals} times'
                )
            )
        return True

    def _resolve(self, message: Message) -> None:
        try:
            identity = message.data['header']['identity']['id']
            response = self._responses.get(identity)
        except (TypeError, KeyError):
            return
        if response is not None and not response.done():
            response.set_result(message)

    def _put(self, item: Message | DecodeError | LinkError) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(item)

    def _send(self, text: str) -> None:
        if self._channel.readyState != 'open':
            raise LinkLost(f'robot {self.address}: the data channel is not open')
        self._channel.send(text)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel_waits(self) -> None:
        """Cancel our tasks, and the library's futures that nobody else would ever end."""
        for futures in self._channel_protocol.pub_sub.future_resolver.pending_callbacks.values():
            for future in futures:
                future.cancel()
        for task in self._tasks:
            task.cancel()
        if self._valid.done() and not self._valid.cancelled():
            self._valid.exception()  # seen: open() may have been cancelled before it looked
        self._valid.cancel()


@asynccontextmanager
async def open_link(address: str, timeout: float) -> AsyncIterator[Link]:
    """
    Open a link to the robot at ``address``, and close it in the end.

    Raises:
        LinkError: as :meth:`Link.open` does.
    """
    link = Link(address)
    try:
        await link.open(timeout)
        yield link
    finally:
        await link.close()


def local_address_towards(address: str) -> str:
    """
    Return our address on the interface that reaches ``address``; sends nothing.

    Raises:
        LinkUnreachable: no interface does.
    """
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, signaling.PORT))
        except OSError as error:
            raise LinkUnreachable(
                f'robot {address}: expected a route to it, got: {error}'
            ) from error
        found: str = probe.getsockname()[0]
        return found


def gather_on(connection: RTCPeerConnection, address: str) -> None:
    """
    Offer ICE candidates on the interface with ``address`` alone.

    Virtual and VPN interfaces only cost time on the LAN, and aioice by itself leaves out
    the loopback interface, where a simulated robot is.
    """
    owners: list[Any] = [each.receiver for each in connection.getTransceivers()]
    owners += [connection.sctp] if connection.sctp else []
    for agent in {owner.transport.transport.iceGatherer._connection for owner in owners}:
        agent.get_component_candidates = _gather_only(agent.get_component_candidates, address)


def _gather_only(gather: Callable[..., Any], address: str) -> Callable[..., Any]:
    def gather_on_address(component: int, addresses: list[str], timeout: int = 5) -> Any:
        return gather(component, [address], timeout)

    return gather_on_address


def _identity() -> int:
    return secrets.randbelow(2**31)


def _status(message: Message) -> int:
    try:
        return int(message.data['header']['status']['code'])
    except (TypeError, KeyError, ValueError):
        raise DecodeError(message.topic, 'expected a response with a status code') from None
