"""
One open WebRTC link to one robot, used once; the only importer of unitree_webrtc_connect.

The library builds the peer connection's parts and speaks the robot's data-channel
protocol (validation, heartbeat, network status, round-trip probes). Ours are the
signaling, which never blocks the loop, the bounds on every wait, the clean-up after
every failure, and the errors.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    rtcsctptransport,
)
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame
from unitree_webrtc_connect import (
    UnitreeWebRTCConnection,
    WebRTCConnectionMethod,
    WebRTCDataChannel,
    webrtc_datachannel,
)

from ..complaints import Complaints
from ..errors import (
    CommandRejected,
    DecodeError,
    LinkBusy,
    LinkError,
    LinkLost,
    LinkRefused,
    show,
)
from ..protocol import commands
from ..protocol.commands import Command, Request
from ..protocol.messages import VALIDATION_NEEDED, VALIDATION_OK, Message, build_message
from ..protocol.motion import MOTIONS, Motion
from ..protocol.offer_answer import REJECT
from ..protocol.topics import MessageType
from ..signaling.attempt import Network, Progress, Signaling
from ..velocity import STOP, Velocity
from . import aiortc_patch
from .ice import gather_on, has_relay, share_credentials
from .intake import Intake
from .negotiation import apply_answer
from .video import Newest, skip_what_is_lost

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0  # s
STOP_TIMEOUT = 0.5  # s, for the robot to confirm that it stops
ENABLE_TIMEOUT = 2.0  # s, for the robot to answer what makes it take velocities
MOST_QUEUED = 512  # messages; a flood drops the oldest
MOST_BUFFERED = 2048  # bytes not yet sent, about ten Moves, beyond which one more would be stale
STOP_WINDOW = 16 * 1024  # bytes that may be on their way when the robot is told to stop
MOST_VALIDATIONS = 3
LARGEST_ECHO = 4096  # bytes of a message that the library sees; it sends probes back as they are
MOST_PIXELS = 1920 * 1088  # of a picture; the largest known is 1920x1080

LIBRARY_TYPES = {
    MessageType.VALIDATION,
    MessageType.ERROR,
    MessageType.HEARTBEAT,
    MessageType.INNER_REQUEST,
}

# aiortc sends what was lost again after 3 s at first, 1 s at least and 60 s at most, and measures
# by a clock that may be set: too late for a stop. libwebrtc begins with 0.5 s and has 0.4 s at
# least, which is longer than the 0.2 s that a peer may take to acknowledge a single message.
vars(rtcsctptransport).update(SCTP_RTO_INITIAL=0.5, SCTP_RTO_MIN=0.3, SCTP_RTO_MAX=2.0)

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
        robot: what messages call the robot.
        frames: video frames, as the decoder gives them; the newest wins.
    """

    def __init__(self, progress: Progress, network: Network, motion: Motion) -> None:
        """
        Args:
            progress: of the attempt this link is opened in.
            network: what ICE may use.
            motion: how velocities reach the robot.
        """
        self.robot = progress.robot
        self.frames: Newest[VideoFrame] = Newest()
        self._progress = progress
        self._network = network
        self._motion = motion
        self._valid: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue: asyncio.Queue[Message | DecodeError | LinkError] = asyncio.Queue(MOST_QUEUED)
        self._responses: dict[int, asyncio.Future[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._intake = Intake()
        self._complaints = Complaints(logger)
        self._closing = False
        self._connection = RTCPeerConnection(_configuration(network))
        self._library = UnitreeWebRTCConnection(WebRTCConnectionMethod.LocalSTA)
        self._library.pc = self._connection
        self._channel_protocol = _DataChannel(self._library, self._connection)
        self._channel = self._channel_protocol.channel

    async def open(self, signaling: Signaling) -> None:
        """
        Connect and validate; the caller bounds the time.

        Raises:
            LinkUnreachable: no usable answer; says what was expected.
            LinkBusy: the robot serves another client.
            LinkRefused: the robot or the cloud does not let us.
        """
        progress = self._progress
        await self._offer()
        answer = await signaling.exchange(self._connection.localDescription.sdp, progress)
        if answer.sdp == REJECT:
            raise LinkBusy(f'{self.robot} serves another client; close the app')
        await apply_answer(self._connection, answer, progress)
        progress.wait_for('a data channel and its validation')
        await self._valid

    async def close(self) -> None:
        """Free the robot's client slot and everything of ours; bounded, safe to repeat."""
        self._closing = True
        self._channel_protocol.heartbeat.stop_heartbeat()
        self._channel_protocol.rtc_inner_req.network_status.stop_network_status_fetch()
        self._cancel_waits()
        try:
            await asyncio.wait_for(self._connection.close(), CLOSE_TIMEOUT)
        except asyncio.TimeoutError:
            logger.warning('%s: the link did not close within %g s', self.robot,
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

    def unsubscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic`` no more."""
        self._send(build_message(MessageType.UNSUBSCRIBE, topic))

    def switch_video(self, on: bool) -> None:
        """Ask the robot to start or stop its camera."""
        self._send(build_message(MessageType.VIDEO, data='on' if on else 'off'))

    def switch_traffic_saving(self, on: bool) -> None:
        """Let the robot spare the network, or send its lidar's maps too."""
        saving = {'req_type': 'disable_traffic_saving', 'instruction': 'off' if on else 'on'}
        self._send(build_message(MessageType.INNER_REQUEST, data=saving))

    def send(self, command: Command) -> None:
        """Send a command without waiting for what the robot says."""
        self._send(commands.build(command, _identity()))

    async def enable_motion(self) -> None:
        """
        Make the robot take velocities.

        Raises:
            CommandRejected: the robot does not.
            LinkLost: it does not answer.
        """
        for request in self._motion.enable:
            await self.request(request, ENABLE_TIMEOUT)

    def move(self, velocity: Velocity) -> None:
        """Send a velocity; a non-zero one is dropped while older ones are still unsent."""
        if velocity != STOP and self._channel.bufferedAmount > MOST_BUFFERED:
            self._complaints.warn('%s does not read: Moves are dropped', self.robot)
            return
        self.send(self._motion.move(velocity.x, velocity.y, velocity.yaw_rate))

    def stop(self) -> None:
        """Tell the robot to stop: a zero velocity ends the stream of them, then StopMove."""
        self.move(STOP)
        self.stop_again()

    def stop_again(self) -> None:
        """Tell the robot to stop, and send again what it has not acknowledged yet."""
        self.send(commands.STOP_MOVE)
        association: Any = self._connection.sctp
        if (
            association._sent_queue
        ):  # messages keep their order: a lost Move would hold the stop up
            association._t3_cancel()
            association._t3_expired()
        association._cwnd = max(association._cwnd, STOP_WINDOW)

    def renew_video(self) -> None:
        """Ask for the pictures anew, and forget what waits for packets that were lost for good."""
        self.switch_video(False)
        self.switch_video(True)
        for receiver in self._connection.getReceivers():
            skip_what_is_lost(receiver)
            for source in receiver.getSynchronizationSources():
                self._spawn(receiver._send_rtcp_pli(source.source))

    async def stop_and_confirm(self) -> None:
        """Stop the robot, leave it to its owner's remote, and await its word, bounded."""
        self.move(STOP)
        for request in self._motion.undo:
            self.send(request)
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
                f'{self.robot}: expected a response to request {request.api_id} '
                f'within {timeout:g} s, nothing came'
            ) from None
        finally:
            del self._responses[identity]
        if code := _status(message):
            raise CommandRejected(request.api_id, code)
        return message

    async def _offer(self) -> None:
        """Make our offer, with all its candidates."""
        connection = self._connection
        self._listen()
        connection.addTransceiver('audio', 'sendrecv')
        connection.addTransceiver('video', 'recvonly')
        share_credentials(connection)
        gather_on(connection, self._network)
        self._progress.wait_for('our own offer')
        await connection.setLocalDescription(await connection.createOffer())
        servers = [each.url for each in self._network.ice_servers]
        if any(url.startswith('turn') for url in servers) and not has_relay(connection):
            self._progress.note(f'expected a relay of the TURN server, got none ({servers})')

    def _listen(self) -> None:
        """Take over the library's events before anything can fire them."""
        validation = self._channel_protocol.validaton
        validation.set_on_validate_callback(self._on_valid)
        validation.publish = self._answer_validation
        self._channel.remove_all_listeners('message')
        self._channel.on('message', self._on_message)
        self._channel.on('close', lambda: self._lost('closed the data channel'))
        self._connection.on('track', self._on_track)
        self._connection.on('connectionstatechange', self._on_state)

    async def _answer_validation(self, topic: str, answer: str, kind: str) -> None:
        """Answer as the library does, which would wait for a reply, for ever if none comes."""
        self._channel_protocol.pub_sub.publish_without_callback(topic, answer, kind)

    def _on_valid(self) -> None:
        if not self._valid.done():
            self._valid.set_result(None)

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state == 'failed' and not self._valid.done():
            self._valid.set_exception(self._progress.unreachable(
                f'expected a network path to it, {self._trouble()}'
            ))  # fmt: skip
        elif state in ('failed', 'closed'):
            self._lost(f'left: the peer connection is {state}')

    def _trouble(self) -> str:
        ice = self._connection.iceConnectionState
        return 'ICE found none' if ice == 'failed' else f'ICE is {ice}, but DTLS failed'

    def _lost(self, what: str) -> None:
        if self._closing:
            return
        if not self._valid.done():
            self._valid.set_exception(self._progress.unreachable(f'expected a link, it {what}'))
        self._put(LinkLost(f'{self.robot} {what}'))

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._spawn(self._pump(track))

    async def _pump(self, track: MediaStreamTrack) -> None:
        """Empty the track's queue as fast as it fills; sound is thrown away."""
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self._take(frame)
        except MediaStreamError:
            logger.debug('%s ended its %s track', self.robot, track.kind)

    def _take(self, frame: VideoFrame) -> None:
        if frame.width * frame.height <= MOST_PIXELS:
            self.frames.put(frame)
            return
        self._complaints.warn(
            'dropped a picture: expected at most %d pixels, got %d x %d',
            MOST_PIXELS, frame.width, frame.height,
        )  # fmt: skip

    def _on_message(self, raw: str | bytes) -> None:
        packet = self._intake.take(raw, asyncio.get_running_loop().time())
        if isinstance(packet, Message):
            self._act(packet, len(raw))
        if packet is not None:
            self._put(packet)

    def _act(self, message: Message, size: int) -> None:
        if message.type is MessageType.RESPONSE:
            self._resolve(message)
        elif message.type in LIBRARY_TYPES and self._may_be_answered(message.type, size):
            self._hand_to_library(message)

    def _may_be_answered(self, kind: MessageType, size: int) -> bool:
        """Whether what the library may echo leaves room for the next Move."""
        unsent = self._channel.bufferedAmount
        if size > LARGEST_ECHO or unsent > MOST_BUFFERED:
            return False
        if kind is not MessageType.INNER_REQUEST:
            return True
        return self._intake.may_echo(unsent, asyncio.get_running_loop().time())

    def _hand_to_library(self, message: Message) -> None:
        is_refusal = message.type is MessageType.ERROR and message.info == VALIDATION_NEEDED
        if is_refusal and self._is_refused():
            return
        if message.type is MessageType.VALIDATION and message.data == VALIDATION_OK:
            self._refusals = 0  # a link may be asked for its validation again after hours
            if self._valid.done():  # the library would start one more heartbeat
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
        except (
            AttributeError, TypeError, ValueError, LookupError,
            asyncio.InvalidStateError,  # it answers who waits no more
        ) as error:  # fmt: skip
            logger.debug('the library cannot handle %.80r: %r', content, error)
        # Chunks of files that nobody has asked for would be kept for ever.
        self._channel_protocol.pub_sub.future_resolver.chunk_data_storage.clear()

    def _is_refused(self) -> bool:
        """Count "Validation Needed."; the library would answer it for ever."""
        self._refusals += 1
        if self._refusals <= MOST_VALIDATIONS:
            return False
        error = LinkRefused(
            f'{self.robot}: expected "{VALIDATION_OK}", got '
            f'"{VALIDATION_NEEDED}" {self._refusals} times'
        )
        if self._valid.done():
            self._put(error)
        else:
            self._valid.set_exception(error)
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
            raise LinkLost(f'{self.robot}: the data channel is not open')
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
        for response in self._responses.values():
            if not response.done():
                response.set_exception(LinkLost(f'{self.robot}: the link was closed'))
        for task in self._tasks:
            task.cancel()
        if self._valid.done() and not self._valid.cancelled():
            self._valid.exception()  # seen: open() may have been cancelled before it looked
        self._valid.cancel()


@asynccontextmanager
async def open_link(
    signaling: Signaling,
    timeout: float,
    motion: Motion = MOTIONS['sport'],
    is_news: bool = True,
) -> AsyncIterator[Link]:
    """
    Open a link to a robot, and close it in the end.

    Args:
        signaling: the way there.
        timeout: for the link to be open [s].
        motion: how velocities reach the robot.
        is_news: whether to log what is waited for, beyond DEBUG.

    Raises:
        LinkError: as :meth:`Link.open` and the methods of ``signaling`` do.
        ConfigError: the installed aiortc is not one the patch knows.
    """
    aiortc_patch.apply()
    progress = Progress(signaling.robot, is_news)
    begun = asyncio.get_running_loop().time()
    link = None
    try:
        async with signaling:
            network = await progress.within(timeout, signaling.prepare(progress))
            link = Link(progress, network, motion)
            await progress.within(timeout, link.open(signaling), begun)
        yield link
    finally:
        if link is not None:
            await link.close()
            # aiortc's parts refer to each other: without this, memory grew with the links.
            del link
            gc.collect()


def _configuration(network: Network) -> RTCConfiguration:
    return RTCConfiguration(
        [
            RTCIceServer(each.url, each.username or None, each.password or None)
            for each in network.ice_servers
        ]
    )


def _identity() -> int:
    return secrets.randbelow(2**31)


def _status(message: Message) -> int:
    try:
        code = message.data['header']['status']['code']
    except (TypeError, KeyError):
        code = None
    if not isinstance(code, int) or isinstance(code, bool):
        raise DecodeError(message.topic, f'expected a status code, got {show(code)}')
    return code
