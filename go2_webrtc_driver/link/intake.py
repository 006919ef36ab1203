"""Takes in what comes over the data channel, but never so much that it starves anything else."""

from __future__ import annotations

import logging
from collections import defaultdict

from ..complaints import Complaints
from ..errors import DecodeError
from ..protocol.decoders import Sample, decode
from ..protocol.messages import Message, parse_message
from ..protocol.topics import Topic
from .rate_limit import RateLimit

logger = logging.getLogger(__name__)

MOST_MESSAGES = 5000.0  # a second, beyond which they are not even parsed
MOST_OF_A_KIND = 200.0  # a second, of one topic; a robot sends 20, or a response to every Move
MOST_ECHOES = 10.0  # a second, of probes that are sent back; a robot sends about 2
ECHO_ROOM = 1024  # bytes not yet sent, beyond which no probe is sent back
TOPICS = frozenset(topic.value for topic in Topic)


class Intake:
    """
    Parses what comes over one link, and drops what comes too often.

    Each known topic and each type of message has a rate of its own: a flood of one kind
    leaves the robot's states and its replies alone.
    """

    def __init__(self) -> None:
        self._all = RateLimit(MOST_MESSAGES, MOST_MESSAGES)
        self._kinds: dict[str, RateLimit] = defaultdict(
            lambda: RateLimit(MOST_OF_A_KIND, MOST_OF_A_KIND)
        )
        self._echoes = RateLimit(MOST_ECHOES, MOST_ECHOES)
        self._complaints = Complaints(logger)

    def take(self, raw: str | bytes, now: float) -> Message | DecodeError | None:
        """Return what ``raw`` is at ``now`` [s, monotonic]; None if there is too much."""
        if not self._all.allows(now):
            self._complain('all kinds', self._all, MOST_MESSAGES)
            return None
        packet = _parse(raw)
        kind = _kind(packet)
        if not self._kinds[kind].allows(now):
            self._complain(kind, self._kinds[kind], MOST_OF_A_KIND)
            return None
        return packet

    def may_echo(self, unsent: int, now: float) -> bool:
        """Whether one more probe may be sent back, with ``unsent`` bytes waiting before it."""
        return unsent <= ECHO_ROOM and self._echoes.allows(now)

    def _complain(self, kind: str, rate: RateLimit, most: float) -> None:
        self._complaints.warn(
            'dropped messages (%s, %d so far): expected at most %g a second from the robot',
            kind,
            rate.refused,
            most,
        )


def _parse(raw: str | bytes) -> Message | DecodeError:
    try:
        return parse_message(raw)
    except DecodeError as error:
        return error


def value_of(message: Message) -> Sample | Message | DecodeError:
    """Return what a message carries: a sample, an error if it is none, or the message itself."""
    try:
        return decode(message)
    except DecodeError as error:
        return error


def _kind(packet: Message | DecodeError) -> str:
    """Return what counts together: the robot chooses topics, so only known ones count alone."""
    if isinstance(packet, DecodeError):
        return 'malformed'
    return packet.topic if packet.topic in TOPICS else f'type {packet.type.value}'
