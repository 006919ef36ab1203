"""
The robot's data channel; the only importer of unitree_webrtc_connect.

The library speaks the channel's own protocol: validation, heartbeats, network status,
round-trip probes. Everything else on the channel is ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiortc import RTCPeerConnection, rtcsctptransport
from unitree_webrtc_connect import (
    UnitreeWebRTCConnection,
    WebRTCConnectionMethod,
    WebRTCDataChannel,
    webrtc_datachannel,
)

from ..errors import InvalidCommand, LinkLost, LinkRefused
from ..protocol.messages import VALIDATION_NEEDED, VALIDATION_OK, Message
from ..protocol.topics import MessageType
from ..tasks import Tasks

logger = logging.getLogger(__name__)

MOST_BUFFERED = 2048  # bytes not yet sent, about ten Moves, beyond which one more would be stale
MOST_VALIDATIONS = 3
LARGEST_ECHO = 4096  # bytes of a message that the library sees; it sends probes back as they are
STOP_WINDOW = 16 * 1024  # bytes that may be on their way when the robot is told to stop

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


class Channel:
    """
    The data channel of one link.

    Attributes:
        valid: done when the robot has accepted our validation; or it tells why there is no link.
    """

    def __init__(
        self, connection: RTCPeerConnection, robot: str, tasks: Tasks,
        on_message: Callable[[str | bytes], None],
    ) -> None:  # fmt: skip
        """
        Args:
            connection: makes the channel; nothing was offered yet.
            robot: what messages call the robot.
            tasks: of the link.
            on_message: called with each message as it comes.
        """
        self.valid: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._robot = robot
        self._tasks = tasks
        self._refusals = 0
        library = UnitreeWebRTCConnection(WebRTCConnectionMethod.LocalSTA)
        library.pc = connection
        self._library = _DataChannel(library, connection)
        self._channel = self._library.channel
        self._listen(on_message)

    def _listen(self, on_message: Callable[[str | bytes], None]) -> None:
        """Take over the library's events before anything can fire them."""
        validation = self._library.validaton
        validation.set_on_validate_callback(self._on_valid)
        validation.publish = self._answer_validation
        self._channel.remove_all_listeners('message')
        self._channel.on('message', on_message)

    def on_close(self, work: Callable[[], None]) -> None:
        """Call ``work`` when the robot closes the channel."""
        self._channel.on('close', work)

    @property
    def is_open(self) -> bool:
        """Whether something can be sent."""
        return bool(self._channel.readyState == 'open')

    @property
    def unsent(self) -> int:
        """How much waits to be sent [bytes]."""
        return int(self._channel.bufferedAmount)

    def send(self, text: str) -> None:
        """
        Send a text.

        Raises:
            LinkLost: the channel is not open.
            InvalidCommand: the robot takes no message as long as this one.
        """
        if not self.is_open:
            raise LinkLost(f'{self._robot}: the data channel is not open')
        try:
            self._channel.send(text)
        except ValueError as error:
            raise InvalidCommand(f'{self._robot}: expected a shorter message: {error}') from None

    def send_again(self) -> None:
        """Send again what the robot has not acknowledged, and let nothing wait for a window."""
        association: Any = self._connection.sctp
        if association._sent_queue:  # in order: a lost Move would hold up the stop behind it
            association._t3_cancel()
            association._t3_expired()
        association._cwnd = max(association._cwnd, STOP_WINDOW)

    def handle(self, message: Message, size: int, may_echo: Callable[[int], bool]) -> None:
        """
        Let the library see a message that is its own.

        Args:
            message: of any type.
            size: of it [bytes].
            may_echo: whether one more probe may be sent back while so many bytes are unsent.

        Raises:
            LinkRefused: the robot asks for its validation again and again.
        """
        if message.type not in LIBRARY_TYPES or size > LARGEST_ECHO:
            return
        if self.unsent > MOST_BUFFERED:
            return
        if message.type is MessageType.INNER_REQUEST and not may_echo(self.unsent):
            return
        if message.type is MessageType.ERROR and message.info == VALIDATION_NEEDED:
            self._count_refusal()
        if message.type is MessageType.VALIDATION and message.data == VALIDATION_OK:
            self._refusals = 0  # a link may be asked for its validation again after hours
            if self.valid.done():  # the library would start one more heartbeat
                return
        self._tasks.start(self._run_library(message))

    async def _run_library(self, message: Message) -> None:
        content = {
            'type': message.type.value,
            'topic': message.topic,
            'data': message.data,
            'info': message.info,
        }
        try:
            self._library.pub_sub.run_resolve(content)
            await self._library.handle_response(content)
        except (
            AttributeError, TypeError, ValueError, LookupError,
            asyncio.InvalidStateError,  # it answers who waits no more
        ) as error:  # fmt: skip
            logger.debug('the library cannot handle %.80r: %r', content, error)
        # Chunks of files that nobody has asked for would be kept for ever.
        self._library.pub_sub.future_resolver.chunk_data_storage.clear()

    def _count_refusal(self) -> None:
        """Count "Validation Needed."; the library would answer it for ever."""
        self._refusals += 1
        if self._refusals > MOST_VALIDATIONS:
            raise LinkRefused(
                f'{self._robot}: expected "{VALIDATION_OK}", got '
                f'"{VALIDATION_NEEDED}" {self._refusals} times'
            )

    async def _answer_validation(self, topic: str, answer: str, kind: str) -> None:
        """Answer as the library does, which would wait for a reply, for ever if none comes."""
        self._library.pub_sub.publish_without_callback(topic, answer, kind)

    def _on_valid(self) -> None:
        if not self.valid.done():
            self.valid.set_result(None)

    def fail(self, error: Exception) -> bool:
        """End the wait for the validation with ``error``; return whether anyone was waiting."""
        if self.valid.done():
            return False
        self.valid.set_exception(error)
        self.valid.exception()  # seen: open() may have been cancelled before it looks
        return True

    def close(self) -> None:
        """Let the library send nothing any more, and end its waits; safe to repeat."""
        self._library.heartbeat.stop_heartbeat()
        self._library.rtc_inner_req.network_status.stop_network_status_fetch()
        for futures in self._library.pub_sub.future_resolver.pending_callbacks.values():
            for future in futures:
                future.cancel()
        self.valid.cancel()
