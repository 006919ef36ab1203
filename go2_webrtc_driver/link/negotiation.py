"""
Applies the robot's answer to our peer connection, in awaited and bounded steps.

Each step waits for a state of aiortc, never for a time, and an error says which state
did not come. ``docs/aiortc-race.md`` tells where the steps come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription

from ..peer import BAD_DESCRIPTION
from ..protocol.offer_answer import Answer
from ..signaling.attempt import Progress

STEP_TIMEOUT = 5.0  # s, for each of the steps
EVENTS = ('signalingstatechange', 'iceconnectionstatechange')
NEEDED = ('video', 'application')
LONGEST_OF_OURS = 1024  # bytes; a Move has about 200


async def apply_answer(connection: RTCPeerConnection, answer: Answer, progress: Progress) -> None:
    """
    Set the remote description and wait until aiortc has begun to connect.

    Args:
        connection: whose local description is our offer.
        answer: of the robot.
        progress: told of every step.

    Raises:
        LinkUnreachable: the answer cannot be used, or a step did not end in time.
    """
    _check(answer, progress)
    await _until(lambda: connection.signalingState == 'have-local-offer', connection, progress,
                 'the signaling state have-local-offer')  # fmt: skip
    progress.wait_for('aiortc to take the SDP answer')
    await _set_remote_description(connection, answer, progress)
    await _until(lambda: connection.signalingState == 'stable', connection, progress,
                 'the signaling state stable')  # fmt: skip
    await _until(lambda: connection.remoteDescription is not None, connection, progress,
                 'a remote description')  # fmt: skip
    await _until(lambda: connection.iceConnectionState != 'new', connection, progress,
                 'aiortc to begin to connect')  # fmt: skip


def missing_step(connection: RTCPeerConnection) -> str:
    """Return which of the steps to an open link has not been made yet."""
    if connection.iceConnectionState == 'failed':
        return 'a network path to it (ICE found none)'
    if connection.iceConnectionState not in ('connected', 'completed'):
        return f'a network path to it (ICE is {connection.iceConnectionState})'
    association = connection.sctp
    if association is None or association.transport.state in ('new', 'connecting'):
        return 'a DTLS handshake'
    if association.transport.state != 'connected':
        return f'a link that stays open (DTLS is {association.transport.state})'
    if association.state != 'connected':
        return 'a data channel (SCTP)'
    return "the robot's validation of our data channel"


async def _set_remote_description(
    connection: RTCPeerConnection, answer: Answer, progress: Progress
) -> None:
    try:
        description = RTCSessionDescription(answer.sdp, answer.type)
        await progress.within(STEP_TIMEOUT, connection.setRemoteDescription(description))
    except BAD_DESCRIPTION as error:
        raise _unusable(progress, error) from error


async def _until(
    reached: Callable[[], bool], connection: RTCPeerConnection, progress: Progress, what: str
) -> None:
    """Wait until ``reached()``, which may change with the states of the connection."""
    if reached():
        return
    progress.wait_for(what)
    changed = asyncio.Event()
    for event in EVENTS:
        connection.on(event, changed.set)
    try:
        await progress.within(STEP_TIMEOUT, _wait(reached, changed))
    finally:
        for event in EVENTS:
            connection.remove_listener(event, changed.set)


async def _wait(reached: Callable[[], bool], changed: asyncio.Event) -> None:
    while not reached():
        changed.clear()
        await changed.wait()


def _check(answer: Answer, progress: Progress) -> None:
    """Refuse an answer that could only lead to a link without pictures or without data."""
    try:
        description = SessionDescription.parse(answer.sdp)
    except BAD_DESCRIPTION as error:
        raise _unusable(progress, error) from error
    kinds = {each.kind: each for each in description.media}
    for kind in NEEDED:
        if kind not in kinds:
            raise progress.unreachable(
                f'expected {kind} in the SDP answer, got {", ".join(kinds) or "no media"}'
            )
        if kinds[kind].port == 0:
            raise progress.unreachable(
                f'expected {kind} in the SDP answer, it is rejected (port 0)'
            )
    longest = getattr(kinds['application'].sctpCapabilities, 'maxMessageSize', 0)
    if 0 < longest < LONGEST_OF_OURS:
        raise progress.unreachable(
            f'expected a robot that takes messages of {LONGEST_OF_OURS} bytes, it takes {longest}'
        )
    if not any(group.semantic == 'BUNDLE' for group in description.group):
        progress.note('expected an SDP answer that bundles its media, this one does not')


def _unusable(progress: Progress, error: Exception) -> Exception:
    return progress.unreachable(f'expected a usable SDP answer, got one with: {error!r}')
