"""
One open WebRTC link to one robot, used once.

We supply the signaling, which never blocks the loop, a bound on every wait, the clean-up
after every failure, and the errors; ``channel.py`` wraps what the library does.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from ..complaints import Complaints
from ..errors import DecodeError, Go2Error, LinkBusy, LinkLost, LinkRefused
from ..protocol import commands
from ..protocol.commands import Command, Request
from ..protocol.decoders import Sample
from ..protocol.messages import Message, build_message
from ..protocol.motion import MOTIONS, Motion
from ..protocol.offer_answer import REJECT, Answer
from ..protocol.topics import MessageType
from ..signaling.attempt import Network, Progress, Signaling
from ..tasks import Tasks, timeout
from ..velocity import STOP, Velocity
from . import aiortc_patch
from .aiortc_bounds import MOST_PIXELS
from .candidates import is_near, usable
from .channel import MOST_BUFFERED, Channel
from .ice import gather_on, has_relay, share_credentials
from .intake import Intake, value_of
from .negotiation import apply_answer, missing_step
from .requests import Requests, new_identity
from .video import Newest, skip_what_is_lost

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0  # s
TASKS_TIMEOUT = 0.5  # s, for our own tasks to end
STOP_TIMEOUT = 0.5  # s, for the robot to confirm that it stops
STOP_PERIOD = 0.05  # s, after which what was not acknowledged is sent again
ENABLE_TIMEOUT = 2.0  # s, for the robot to answer what makes it take velocities
MOST_QUEUED = 512  # messages; a flood drops the oldest

Received = Sample | Message | DecodeError


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
        self._now = asyncio.get_running_loop().time
        self._progress = progress
        self._network = network
        self._motion = motion
        self._queue: asyncio.Queue[Received | BaseException] = asyncio.Queue(MOST_QUEUED)
        self._intake = Intake()
        self._complaints = Complaints(logger)
        self._is_closing = False
        self._tasks = Tasks()
        self._tasks.failed.add_done_callback(self._on_bug)
        self._connection = RTCPeerConnection(_configuration(network))
        self._channel = Channel(self._connection, self.robot, self._tasks, self._on_message)
        self._channel.on_close(lambda: self._lost('the data channel was closed'))
        self._requests = Requests(self.robot, self._channel.send)
        self._connection.on('track', self._on_track)
        self._connection.on('connectionstatechange', self._on_state)

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
        await apply_answer(self._connection, self._with_usable_candidates(answer), progress)
        progress.wait_for('the link: ICE, DTLS, SCTP and its validation', self._missing_step)
        await self._channel.valid

    def _with_usable_candidates(self, answer: Answer) -> Answer:
        robot = self._network.robot
        sdp, others = usable(answer.sdp, lambda each: not robot or is_near(each, robot))
        if others:
            self._progress.note(f'{others} candidates of the answer are not tried')
        return Answer(sdp, answer.type)

    def _missing_step(self) -> str:
        return missing_step(self._connection)

    async def close(self) -> None:
        """Free the robot's client slot and everything of ours; bounded, safe to repeat."""
        self._is_closing = True
        self._channel.close()
        self._requests.close()
        try:
            async with timeout(CLOSE_TIMEOUT):
                await self._connection.close()
        except asyncio.TimeoutError:
            logger.warning('%s: the link did not close within %g s', self.robot, CLOSE_TIMEOUT)
        self._channel.close()  # what the end of the connection has begun
        await self._tasks.close(TASKS_TIMEOUT)

    async def received(self) -> AsyncIterator[Received]:
        """Yield what the robot sends, in order of arrival; ends in LinkLost."""
        while True:
            item = await self._queue.get()
            if isinstance(item, DecodeError) or not isinstance(item, BaseException):
                yield item
            else:
                raise item

    @property
    def waiting(self) -> int:
        """How much was received and not taken yet."""
        return self._queue.qsize()

    def subscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic``."""
        self._channel.send(build_message(MessageType.SUBSCRIBE, topic))

    def unsubscribe(self, topic: str) -> None:
        """Ask the robot to send ``topic`` no more."""
        self._channel.send(build_message(MessageType.UNSUBSCRIBE, topic))

    def switch_video(self, on: bool) -> None:
        """Ask the robot to start or stop its camera."""
        self._channel.send(build_message(MessageType.VIDEO, data='on' if on else 'off'))

    def switch_traffic_saving(self, on: bool) -> None:
        """Switch traffic saving: while it is on, the robot sends no lidar maps."""
        saving = {'req_type': 'disable_traffic_saving', 'instruction': 'off' if on else 'on'}
        self._channel.send(build_message(MessageType.INNER_REQUEST, data=saving))

    def send(self, command: Command) -> None:
        """Send a command without waiting for what the robot says."""
        self._channel.send(commands.build(command, new_identity()))

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
        if velocity != STOP and self._channel.unsent > MOST_BUFFERED:
            self._complaints.warn('%s does not keep up: velocities are dropped', self.robot)
            return
        self.send(self._motion.move(velocity.x, velocity.y, velocity.yaw_rate))

    def stop(self) -> None:
        """Tell the robot to stop: a zero velocity ends the stream of them, then StopMove."""
        self.move(STOP)
        self.stop_again()

    def stop_again(self) -> None:
        """Tell the robot to stop, and send again what it has not acknowledged yet."""
        self.send(commands.STOP_MOVE)
        self._channel.send_again()

    def renew_video(self) -> None:
        """Ask for the pictures anew, and forget what waits for packets that were lost for good."""
        self.switch_video(False)
        self.switch_video(True)
        for receiver in self._connection.getReceivers():
            skip_what_is_lost(receiver)
            for source in receiver.getSynchronizationSources():
                self._tasks.start(receiver._send_rtcp_pli(source.source))

    async def stop_and_confirm(self) -> None:
        """Stop the robot, give it back to its remote, and wait, bounded, for its confirmation."""
        self.move(STOP)
        for request in self._motion.undo:
            self.send(request)
        confirmed = self._tasks.start(self.request(commands.STOP_MOVE, STOP_TIMEOUT))
        while not confirmed.done():
            await asyncio.wait({confirmed}, timeout=STOP_PERIOD)
            self._channel.send_again()
        confirmed.result()

    async def request(self, request: Request, timeout: float) -> Message:
        """
        Send a request and return the robot's response.

        Raises:
            CommandRejected: the robot answered with a status other than 0.
            InvalidCommand: it is longer than the robot takes.
            LinkLost: the link is not open, or no response came within ``timeout`` seconds.
        """
        return await self._requests.ask(request, timeout)

    async def _offer(self) -> None:
        """Make our offer, with all its candidates."""
        connection = self._connection
        connection.addTransceiver('audio', 'sendrecv')
        connection.addTransceiver('video', 'recvonly')
        share_credentials(connection)
        gather_on(connection, self._network)
        self._progress.wait_for('our own offer')
        await connection.setLocalDescription(await connection.createOffer())
        servers = [each.url for each in self._network.ice_servers]
        if any(url.startswith('turn') for url in servers) and not has_relay(connection):
            self._progress.note(f'expected a relay of the TURN server, got none ({servers})')

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state in ('failed', 'closed'):
            self._lost(f'the peer connection is {state}')

    def _lost(self, what: str) -> None:
        if self._is_closing:
            return
        reason = f'expected {self._missing_step()}, but {what}'
        if not self._channel.fail(self._progress.unreachable(reason)):
            self._put(LinkLost(f'{self.robot}: {what}'))

    def _on_bug(self, failed: asyncio.Future[None]) -> None:
        if error := failed.exception():
            self._put(error)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.start(self._pump(track))

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
        packet = self._intake.take(raw, self._now())
        if isinstance(packet, Message):
            self._handle(packet, len(raw))
            self._put(value_of(packet))
        elif packet is not None:
            self._put(packet)

    def _handle(self, message: Message, size: int) -> None:
        if message.type is MessageType.RESPONSE:
            self._requests.resolve(message)
            return
        try:
            self._channel.handle(message, size, self._may_echo)
        except LinkRefused as error:
            if not self._channel.fail(error):
                self._put(error)

    def _may_echo(self, unsent: int) -> bool:
        return self._intake.may_echo(unsent, self._now())

    def _put(self, item: Received | BaseException) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(item)


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
    link = await _open(signaling, timeout, motion, Progress(signaling.robot, is_news))
    try:
        yield link
    finally:
        await link.close()
        # aiortc's parts refer to each other: without this, memory grew with the links.
        del link
        gc.collect()


async def _open(signaling: Signaling, timeout: float, motion: Motion, progress: Progress) -> Link:
    """Return an open link, or leave nothing behind; whatever went wrong is a LinkError."""
    link = None
    try:
        async with signaling:
            network = await progress.within(timeout, signaling.prepare(progress))
            link = Link(progress, network, motion)
            await progress.within(timeout, link.open(signaling), progress.begun)
    except BaseException as error:
        if link is not None:
            await link.close()
        if isinstance(error, Go2Error) or not isinstance(error, Exception):
            raise
        raise progress.unexpected(error) from error
    return link


def _configuration(network: Network) -> RTCConfiguration:
    return RTCConfiguration(
        [
            RTCIceServer(each.url, each.username or None, each.password or None)
            for each in network.ice_servers
        ]
    )
