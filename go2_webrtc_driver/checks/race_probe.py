"""
Loses aiortc's connect race on purpose, on this machine alone; ``docs/aiortc-race.md``.

Two real aiortc peers on the loopback interface. Three things make the outcome certain
where a network makes it likely: the answerer lives on a loop of its own, signaling blocks
the offerer's loop, and the transports that BUNDLE makes superfluous take ``SLOW_STOP`` to
stop, as they do with a TURN server ``SLOW_STOP`` away.

``python -m go2_webrtc_driver.checks.race_probe [attempts]`` prints one line of JSON;
``check_aiortc`` turns it into an answer. The patch is process-wide, so one process tries
one variant: the environment's ``GO2_AIORTC_PATCH`` decides.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aioice.ice
import aiortc
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from ..errors import ConfigError
from ..link import aiortc_patch

ATTEMPTS = 10
PATIENCE = 5.0  # s, for one attempt to bring media
SLOW_STOP = 0.3  # s; ICE and DTLS take about 0.1 s on the loopback interface
RACE = "'NoneType' object has no attribute "

T = TypeVar('T')


@dataclass(frozen=True)
class Attempt:
    """
    What one connection brought.

    Attributes:
        errors: of the offerer's background tasks that nobody retrieved.
        first_frame: seconds from the answer to the first media frame; None is never.
    """

    errors: tuple[str, ...]
    first_frame: float | None

    @property
    def lost(self) -> bool:
        """Whether the race was lost: aiortc met a remote description that was None."""
        return any(RACE in error for error in self.errors)


class Answerer:
    """The robot's side, on a loop of its own in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._peer: RTCPeerConnection | None = None

    def answer(self, offer: RTCSessionDescription) -> RTCSessionDescription:
        """Answer ``offer``; blocks the caller's thread as a synchronous HTTP request does."""
        return self._run(self._answer(offer))

    def close(self) -> None:
        """End the peer connection."""
        if self._peer is not None:
            self._run(self._peer.close())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    async def _answer(self, offer: RTCSessionDescription) -> RTCSessionDescription:
        self._peer = peer = _peer()
        await peer.setRemoteDescription(offer)
        # After the offer: an aiortc up to 1.14 needs the tracks in the order of its m-lines.
        peer.addTrack(AudioStreamTrack())
        await peer.setLocalDescription(await peer.createAnswer())
        return peer.localDescription


def attempt() -> Attempt:
    """Connect once and say what happened; needs no running loop."""
    with loopback_only(), _answerer() as answerer:
        return asyncio.run(_attempt(answerer))


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let aioice offer candidates on the loopback interface, and on no other."""
    before = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ['127.0.0.1']
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = before


def summary(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return what ``check_aiortc`` and the benchmarks want to know, ready for JSON."""
    times = [each.first_frame for each in attempts if each.first_frame is not None]
    other = {error for each in attempts for error in each.errors if RACE not in error}
    return {
        'aiortc': aiortc.__version__,
        'attempts': len(attempts),
        'lost': sum(each.lost for each in attempts),
        'media': len(times),
        'first_frame': round(statistics.median(times), 3) if times else None,
        'other_errors': sorted(other),
    }


def main() -> None:
    """Patch as the environment says, try, print one line of JSON."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else ATTEMPTS
    try:
        aiortc_patch.apply()
    except ConfigError as error:
        found: dict[str, Any] = {'aiortc': aiortc.__version__, 'refused': str(error)}
    else:
        found = summary([attempt() for _ in range(wanted)])
    sys.stdout.write(json.dumps(found) + '\n')


async def _attempt(answerer: Answerer) -> Attempt:
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(_collector(errors))
    offerer = _peer()
    first_frame = None
    try:
        first_frame = await asyncio.wait_for(_connect(offerer, answerer), PATIENCE)
    except asyncio.TimeoutError:
        pass
    finally:
        answerer.close()
        await offerer.close()
    gc.collect()  # an exception counts as unretrieved once its task is gone
    return Attempt(tuple(errors), first_frame)


async def _connect(offerer: RTCPeerConnection, answerer: Answerer) -> float:
    """
    Offer, take the answer, and return the seconds from there to the first media frame.

    Between the two descriptions nothing may suspend, as in unitree_webrtc_connect: one
    turn of the loop, be it a ``wait_for`` around the second, lets the race be won.
    """
    frame: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    offerer.on('track', lambda track: asyncio.ensure_future(_receive(track, frame)))
    offerer.createDataChannel('data')
    offerer.addTransceiver('audio', 'sendrecv')
    offerer.addTransceiver('video', 'recvonly')
    await offerer.setLocalDescription(await offerer.createOffer())
    _slow_down_bundled_away(offerer)
    answer = answerer.answer(offerer.localDescription)
    begin = asyncio.get_running_loop().time()
    await offerer.setRemoteDescription(answer)
    await frame
    return asyncio.get_running_loop().time() - begin


async def _receive(track: MediaStreamTrack, frame: asyncio.Future[None]) -> None:
    await track.recv()
    if not frame.done():
        frame.set_result(None)


def _slow_down_bundled_away(offerer: RTCPeerConnection) -> None:
    """Delay the stop of every ICE transport but the first m-line's, which BUNDLE keeps."""
    assert offerer.sctp is not None
    superfluous: list[Any] = [offerer.getTransceivers()[1].receiver, offerer.sctp]
    for owner in superfluous:
        agent = owner.transport.transport._connection
        agent.close = _slowly(agent.close)


def _slowly(close: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Any]:
    async def slowly() -> None:
        await asyncio.sleep(SLOW_STOP)
        await close()

    return slowly


def _collector(errors: list[str]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    def collect(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        errors.append(str(context.get('exception') or context['message']))

    return collect


def _peer() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


@contextmanager
def _answerer() -> Iterator[Answerer]:
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(loop.run_forever)
        try:
            yield Answerer(loop)
        finally:
            loop.call_soon_threadsafe(loop.stop)
    loop.close()


if __name__ == '__main__':
    main()
