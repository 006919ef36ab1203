"""
Closes aiortc's connect race at its root; ``docs/aiortc-race.md`` tells the whole story.

aiortc starts a background ``__connect`` from ``setLocalDescription``. If that task runs
while ``setRemoteDescription`` is suspended, it finds transports but no description and
dies with ``'NoneType' object has no attribute 'media'``. Three repairs, each bounded:

- the gate: ``__connect`` does nothing until a remote description is completely set. The
  one that ``setRemoteDescription`` starts at its end then does the work. After a failed
  or cancelled ``setRemoteDescription`` the gate stays shut;
- transports that BUNDLE makes superfluous are stopped in the background and awaited in
  ``close()``: with TURN they would hold ``setRemoteDescription`` up for seconds;
- deleting a TURN allocation may take ``TURN_DELETE_TIMEOUT``, not the 63 s of its retries.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import aioice.turn
import aiortc
from aiortc import RTCPeerConnection, RTCSessionDescription

from ..errors import ConfigError

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 1.5  # s, for the transports still stopping when a connection closes
TURN_DELETE_TIMEOUT = 1.0  # s
SWITCH = 'GO2_AIORTC_PATCH'
_MARK = '_go2_race_closed'
_CONNECT = '_RTCPeerConnection__connect'
_REMOTE_DESCRIPTION = '_RTCPeerConnection__remoteDescription'
_applying = threading.Lock()


@dataclass
class _Gate:
    """One peer connection's gate, and the transports it still has to stop."""

    shut: bool = False
    stops: set[asyncio.Task[None]] = field(default_factory=set)


_gates: WeakKeyDictionary[RTCPeerConnection, _Gate] = WeakKeyDictionary()


def apply() -> None:
    """
    Patch aiortc, once per process; ``GO2_AIORTC_PATCH=off`` leaves it as it is.

    Raises:
        ConfigError: this aiortc does not have the internals the patch knows.
    """
    if os.environ.get(SWITCH, '').lower() == 'off':
        logger.warning('%s=off: connections can lose the race inside aiortc', SWITCH)
        return
    with _applying:
        if getattr(RTCPeerConnection, _MARK, False):
            return
        _check_internals()
        _patch_peer_connection()
        _patch_turn()
        setattr(RTCPeerConnection, _MARK, True)
    logger.debug('closed the connect race of aiortc %s', aiortc.__version__)


def _check_internals() -> None:
    expected = {
        _CONNECT: ['self'],
        _REMOTE_DESCRIPTION: ['self'],
        'setRemoteDescription': ['self', 'sessionDescription'],
        'close': ['self'],
    }
    for name, parameters in expected.items():
        method = getattr(RTCPeerConnection, name, None)
        if method is None or list(inspect.signature(method).parameters) != parameters:
            raise ConfigError(
                f'aiortc {aiortc.__version__}: expected RTCPeerConnection.{name}'
                f'({", ".join(parameters)}); run check_aiortc, or set {SWITCH}=off'
            )


def _patch_peer_connection() -> None:
    patched: Any = RTCPeerConnection
    connect = getattr(patched, _CONNECT)
    set_remote_description = patched.setRemoteDescription
    close = patched.close

    async def gated_connect(self: RTCPeerConnection) -> None:
        if _gate(self).shut or getattr(self, _REMOTE_DESCRIPTION)() is None:
            logger.debug('connect task steps aside: the remote description is not set yet')
            return
        await connect(self)

    async def gated_set_remote_description(
        self: RTCPeerConnection, sessionDescription: RTCSessionDescription
    ) -> None:
        gate = _gate(self)
        gate.shut = True
        with _stopping_in_background(self, gate):
            await set_remote_description(self, sessionDescription)
        gate.shut = False

    async def close_with_stops(self: RTCPeerConnection) -> None:
        try:
            await close(self)
        finally:
            await _finish(_gate(self).stops)

    setattr(patched, _CONNECT, gated_connect)
    patched.setRemoteDescription = gated_set_remote_description
    patched.close = close_with_stops


def _patch_turn() -> None:
    mixin: Any = aioice.turn.TurnClientMixin
    delete = mixin.delete

    async def bounded_delete(self: Any) -> None:
        try:
            await asyncio.wait_for(delete(self), TURN_DELETE_TIMEOUT)
        except asyncio.TimeoutError:
            logger.debug('the TURN server did not confirm the end of the allocation')
        finally:
            self.transport.close()

    mixin.delete = bounded_delete


def _gate(connection: RTCPeerConnection) -> _Gate:
    return _gates.setdefault(connection, _Gate())


@contextmanager
def _stopping_in_background(connection: RTCPeerConnection, gate: _Gate) -> Iterator[None]:
    """While inside, ``stop()`` of the connection's transports returns at once."""
    owners: list[Any] = [each.receiver for each in connection.getTransceivers()]
    if connection.sctp is not None:
        owners.append(connection.sctp)
    transports = {owner.transport for owner in owners}
    for transport in transports:
        _shadow_stop(transport, gate)
    try:
        yield
    finally:
        for transport in transports:
            del transport.stop, transport.transport.stop


def _shadow_stop(dtls: Any, gate: _Gate) -> None:
    """Hide the two ``stop`` methods of a transport behind one background task."""
    stop_dtls, stop_ice = dtls.stop, dtls.transport.stop

    async def stop_both() -> None:
        await stop_dtls()
        await stop_ice()

    async def start_to_stop() -> None:
        gate.stops.add(asyncio.ensure_future(stop_both()))

    async def leave_to_the_task() -> None:
        """The task that stops the DTLS transport stops its ICE transport too."""

    dtls.stop = start_to_stop
    dtls.transport.stop = leave_to_the_task


async def _finish(stops: set[asyncio.Task[None]]) -> None:
    """Await the background stops, cancel what is late, and look at how they ended."""
    if not stops:
        return
    _, late = await asyncio.wait(stops, timeout=CLOSE_TIMEOUT)
    for task in late:
        task.cancel()
    for result in await asyncio.gather(*stops, return_exceptions=True):
        if isinstance(result, BaseException):
            logger.debug('a superfluous transport did not stop cleanly: %r', result)
    stops.clear()
