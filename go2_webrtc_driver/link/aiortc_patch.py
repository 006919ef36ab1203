"""
Closes aiortc's connect race at its root; ``docs/aiortc-race.md`` tells the whole story.

aiortc starts a background ``__connect`` from ``setLocalDescription``. If that task runs
while ``setRemoteDescription`` is suspended, it finds transports but no description and
dies with ``'NoneType' object has no attribute 'media'``. The repairs, each bounded:

- the gate: while a remote description is being applied ``__connect`` steps aside. The one
  that ``setRemoteDescription`` starts at its end then does the work, so nothing waits and
  nothing can leak. After a failed or cancelled ``setRemoteDescription`` the gate stays
  shut until one succeeds; on a closed connection ``__connect`` does nothing;
- ``__remoteRtp`` without a remote description ends its ``__connect``, at DEBUG: the
  receiver never gets a None;
- ICE transports are stopped in the background, and ``close()`` awaits them: with TURN
  those that BUNDLE makes superfluous would hold ``setRemoteDescription`` up for seconds;
- gathering of ICE candidates that is cancelled ends what it has begun, allocations and
  sockets too;
- deleting a TURN allocation takes ``TURN_DELETE_TIMEOUT`` at most, not the 63 s of its
  retries;
- datagrams that are empty, torn, or from strangers are dropped: a single empty one, from any
  host, would end the connection;
- messages that never end, RTP of ever new sources and pictures of any size have bounds
  (``aiortc_bounds.py``);
- text on a data channel that is not UTF-8 is taken with marks of replacement; it would end
  the connection too;
- a BUNDLE group that would leave a transport unknown to ``close()`` is refused.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aioice.ice
import aioice.turn
import aiortc

from ..errors import ConfigError
from ..tasks import timeout
from . import aiortc_bounds

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 1.5  # s, for the transports of a connection to stop
CANCEL_TIMEOUT = 0.1  # s, for what was cancelled to end; aioice can swallow a cancellation
TURN_DELETE_TIMEOUT = 1.0  # s
WEBRTC_STRING = 51  # what a message on a data channel says that it is (RFC 8831)
STUN_COOKIE = bytes.fromhex('2112a442')
SWITCH = 'GO2_AIORTC_PATCH'
# What link and video use besides, of aiortc's own: owner, name, parameters, whether it is async.
USED_BY_LINK = (
    ('aiortc.RTCSctpTransport', '_t3_cancel', ('self',), False),
    ('aiortc.RTCSctpTransport', '_t3_expired', ('self',), False),
    ('aiortc.RTCRtpReceiver', '_send_rtcp_pli', ('self', 'media_ssrc'), True),
    ('aiortc.jitterbuffer.JitterBuffer', 'remove', ('self', 'count'), False),
)
BOUNDS = (
    ('aiortc.RTCSctpTransport', '_receive_data_chunk', ('self', 'chunk'), True,
     aiortc_bounds.bounded_reassembly),
    ('aiortc.rtcdtlstransport.RtpRouter', 'route_rtp', ('self', 'packet'), False,
     aiortc_bounds.bounded_sources),
    ('aiortc.codecs.h264.H264Decoder', 'decode', ('self', 'encoded_frame'), False,
     aiortc_bounds.small_h264),
    ('aiortc.codecs.vpx.Vp8Decoder', 'decode', ('self', 'encoded_frame'), False,
     aiortc_bounds.small_vp8),
)  # fmt: skip
_MARK = '_go2_patched'
_GATE = '_go2_gate'


class _NoRemoteDescription(Exception):
    """``__remoteRtp`` was called before there was a remote description."""


@dataclass
class _Gate:
    """
    What the patch knows of one peer connection; kept on it, so it goes with it.

    Attributes:
        shut_by: the task whose remote description is half applied; None is open.
        closing: the one task that closes the connection.
        connects: the ``__connect`` tasks that are running.
        stops: the background stops of ICE transports.
    """

    shut_by: asyncio.Task[Any] | None = None
    closing: asyncio.Task[None] | None = None
    connects: set[asyncio.Task[Any]] = field(default_factory=set)
    stops: set[asyncio.Task[Any]] = field(default_factory=set)


@dataclass
class _Gathering:
    """
    What one gathering of ICE candidates has begun.

    Attributes:
        tasks: those that talk to STUN and TURN servers.
        protocols: of the relays that TURN servers have allocated.
        given_up: it was cancelled; nothing may begin any more.
    """

    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    protocols: list[Any] = field(default_factory=list)
    given_up: bool = False


class _Patch(NamedTuple):
    """One function of aiortc or aioice: its expected form, and what wraps it."""

    owner: str
    name: str
    parameters: tuple[str, ...]
    is_async: bool
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]]


# The tasks inside setRemoteDescription or close(): what they stop, stops in the background.
_stoppers: dict[asyncio.Task[Any], _Gate] = {}

# The gathering that the current task is part of; tasks inherit it from who starts them.
_gathering: ContextVar[_Gathering | None] = ContextVar('_gathering', default=None)


def apply() -> None:
    """
    Patch aiortc, once per process; ``GO2_AIORTC_PATCH=off`` leaves it as it is.

    Safe from any thread, in any order of imports, and if this module is loaded again.

    Raises:
        ConfigError: this aiortc does not have the internals the patch knows; nothing of it
            was changed.
    """
    with _lock():
        if os.environ.get(SWITCH, '').lower() == 'off':
            _warn_once()
            return
        patches = _patches()
        for patch in patches:
            _check(patch)
        applied = [patch.name for patch in patches if _replace(patch)]
    if applied:
        logger.debug('aiortc %s: patched %s', aiortc.__version__, ', '.join(applied))


def _lock() -> threading.Lock:
    """Return the lock that every copy of this module shares."""
    lock: threading.Lock = vars(aiortc).setdefault('_go2_patch_lock', threading.Lock())
    return lock


def _warn_once() -> None:
    mine = object()
    if vars(aiortc).setdefault('_go2_warned', mine) is mine:
        logger.warning('%s=off: connections can lose the race inside aiortc', SWITCH)


def _patches() -> list[_Patch]:
    peer, private = 'aiortc.RTCPeerConnection', '_RTCPeerConnection__'
    allocated = (
        'protocol_factory', 'server_addr', 'username', 'password', 'lifetime',
        'channel_refresh_time', 'ssl', 'transport',
    )  # fmt: skip
    asked = ('protocol', 'stun_server')
    delivered = ('self', 'stream_id', 'pp_id', 'data')
    validated = ('self', 'description', 'is_local')
    return [
        _Patch(peer, f'{private}connect', ('self',), True, _gated_connect),
        _Patch(peer, f'{private}remoteRtp', ('self', 'transceiver'), False, _checked_rtp),
        _Patch(peer, f'{private}remoteDescription', ('self',), False, _unchanged),
        _Patch(peer, f'{private}validate_description', validated, False, _shutting_validation),
        _Patch(peer, 'setRemoteDescription', ('self', 'sessionDescription'), True, _opening),
        _Patch(peer, 'close', ('self',), True, _close_to_the_end),
        _Patch('aiortc.RTCIceTransport', 'stop', ('self',), True, _stop_in_background),
        _Patch(
            'aioice.ice.StunProtocol',
            'datagram_received',
            ('self', 'data', 'addr'),
            False,
            _from_peers_only,
        ),
        _Patch('aiortc.RTCSctpTransport', '_receive', delivered, True, _decodable),
        *(
            _Patch(owner, name, parameters, is_async, wrap)
            for owner, name, parameters, is_async, wrap in BOUNDS
        ),
        *(
            _Patch(owner, name, parameters, is_async, _unchanged)
            for owner, name, parameters, is_async in USED_BY_LINK
        ),
        _Patch('aioice.ice.Connection', 'gather_candidates', ('self',), True, _gather_or_end),
        _Patch('aioice.ice', 'server_reflexive_candidate', asked, True, _listed_in_gathering),
        _Patch('aioice.turn', 'create_turn_endpoint', allocated, True, _listed_in_gathering),
        _Patch('aioice.ice.Connection', 'close', ('self',), True, _close_with_checks),
        _Patch('aioice.turn.TurnClientMixin', 'delete', ('self',), True, _bounded_delete),
        _Patch('aioice.turn.TurnClientMixin', 'connect', ('self',), True, _closing_in_vain),
    ]


def _owner(patch: _Patch) -> Any:
    root, *names = patch.owner.split('.')
    owner: Any = {'aiortc': aiortc, 'aioice': aioice}[root]
    for name in names:
        owner = getattr(owner, name, None)
    return owner


def _check(patch: _Patch) -> None:
    method = getattr(_owner(patch), patch.name, None)
    wanted = _form(patch.owner, patch.name, patch.parameters, patch.is_async)
    found = 'none'
    if callable(method):
        parameters = tuple(inspect.signature(method).parameters)
        is_async = inspect.iscoroutinefunction(inspect.unwrap(method))
        found = _form(patch.owner, patch.name, parameters, is_async)
    if found != wanted:
        raise ConfigError(
            f'aiortc {aiortc.__version__} is not one the patch knows: expected {wanted}, '
            f'found {found}; install another aiortc, or set {SWITCH}=off'
        )


def _form(owner: str, name: str, parameters: tuple[str, ...], is_async: bool) -> str:
    return f'{"async " if is_async else ""}{owner}.{name}({", ".join(parameters)})'


def _replace(patch: _Patch) -> bool:
    """Wrap the method unless it already is; say whether that was needed."""
    owner = _owner(patch)
    original = getattr(owner, patch.name)
    if patch.wrap is _unchanged or hasattr(original, _MARK):
        return False
    wrapper = functools.wraps(original)(patch.wrap(original))
    setattr(wrapper, _MARK, True)
    setattr(owner, patch.name, wrapper)
    return True


def _unchanged(method: Callable[..., Any]) -> Callable[..., Any]:
    """Stand for a method that is used, not wrapped."""
    return method


def _gated_connect(connect: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    async def gated_connect(self: Any) -> None:
        gate = _gate(self)
        if gate.closing or gate.shut_by:
            logger.debug('connect steps aside: %s', 'closed' if gate.closing else 'not ready')
            return
        with _listed(gate.connects):
            try:
                await connect(self)
            except _NoRemoteDescription:
                logger.debug('connect steps aside: the remote description is not there yet')

    return gated_connect


def _checked_rtp(remote_rtp: Callable[..., Any]) -> Callable[..., Any]:
    def checked_rtp(self: Any, transceiver: Any) -> Any:
        if self._RTCPeerConnection__remoteDescription() is None:
            raise _NoRemoteDescription
        return remote_rtp(self, transceiver)

    return checked_rtp


def _shutting_validation(validate: Callable[..., None]) -> Callable[..., Any]:
    """Shut the gate when aiortc begins to apply a description, not for one it refuses."""

    def shutting_validation(self: Any, description: Any, is_local: bool) -> None:
        validate(self, description, is_local)
        if not is_local:
            _check_bundle(description)
            _gate(self).shut_by = asyncio.current_task()

    return shutting_validation


def _check_bundle(description: Any) -> None:
    """Refuse a BUNDLE group that would leave media without a transport, or with a stopped one."""
    mids = [media.rtp.muxId for media in description.media]
    for group in description.group:
        if group.semantic != 'BUNDLE' or not group.items:
            continue
        if group.items[0] not in mids or len(set(group.items)) < len(group.items):
            raise ValueError(f'expected a BUNDLE group of the m-lines {mids}, got {group.items}')


def _opening(set_remote_description: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    async def opening(self: Any, sessionDescription: Any) -> None:
        gate = _gate(self)
        with _stopping_in_background(gate):
            await set_remote_description(self, sessionDescription)
        if gate.shut_by is asyncio.current_task():
            gate.shut_by = None

    return opening


def _close_to_the_end(close: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """
    Close in one task of its own: a cancelled caller does not leave it half done.

    Connects end first: one that ICE completes while aioice closes leaves a task behind.
    """

    async def close_and_finish(self: Any, gate: _Gate) -> None:
        try:
            await _cancel(gate.connects)
            with _stopping_in_background(gate):
                await close(self)
        finally:
            await _finish(gate.stops)

    async def close_to_the_end(self: Any) -> None:
        gate = _gate(self)
        if gate.closing is None:
            gate.closing = asyncio.ensure_future(close_and_finish(self, gate))
        await asyncio.shield(gate.closing)

    return close_to_the_end


def _stop_in_background(stop: Callable[..., Any]) -> Callable[..., Any]:
    async def stop_in_background(self: Any) -> None:
        gate = _stoppers.get(_current_task())
        if gate is None:
            await stop(self)
        else:
            gate.stops.add(asyncio.ensure_future(stop(self)))

    return stop_in_background


def _from_peers_only(receive: Callable[..., None]) -> Callable[..., Any]:
    def receive_from_peers(self: Any, data: bytes, addr: tuple[Any, ...]) -> None:
        if _is_stun(data):
            with suppress(struct.error):  # torn in the middle of an attribute
                receive(self, data, addr)
        elif data and _is_peer(self.receiver, addr):
            receive(self, data, addr)

    return receive_from_peers


def _is_stun(data: bytes) -> bool:
    """Whether a datagram is for ICE (RFC 5389): those are answered whoever sends them."""
    return data[:1] < b'\x04' and data[4:8] == STUN_COOKIE


def _is_peer(agent: Any, addr: tuple[Any, ...]) -> bool:
    return any((each.host, each.port) == addr[:2] for each in agent._remote_candidates)


def _decodable(receive: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    async def receive_decodable(self: Any, stream_id: int, pp_id: int, data: bytes) -> None:
        if pp_id == WEBRTC_STRING:
            data = data.decode(errors='replace').encode()
        await receive(self, stream_id, pp_id, data)

    return receive_decodable


def _gather_or_end(gather: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    async def gather_or_end(self: Any) -> None:
        gathering = _Gathering()
        token = _gathering.set(gathering)
        task = asyncio.ensure_future(gather(self))
        _gathering.reset(token)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            gathering.given_up = True
            await _cancel(gathering.tasks)  # then the gathering itself has nothing to wait for
            await _finish({task})
            self._protocols += [p for p in gathering.protocols if p not in self._protocols]
            raise

    return gather_or_end


def _listed_in_gathering(work: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def listed(*arguments: Any, **options: Any) -> Any:
        gathering = _gathering.get()
        if gathering is None:
            return await work(*arguments, **options)
        if gathering.given_up:
            raise asyncio.CancelledError
        with _listed(gathering.tasks):
            result = await work(*arguments, **options)
        if isinstance(result, tuple) and result[1] is not None:  # else an answer of a STUN server
            gathering.protocols.append(result[1])
        return result

    return listed


def _close_with_checks(close: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """End the checks of candidates too; aioice up to 0.10.2 repeats them on the closed socket."""

    async def close_with_checks(self: Any) -> None:
        await close(self)
        await _cancel({pair.task for pair in self._check_list if pair.task is not None})

    return close_with_checks


def _closing_in_vain(connect: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Close the socket of an allocation that was cancelled; aioice up to 0.10.2 forgets it."""

    async def connect_or_close(self: Any) -> Any:
        try:
            return await connect(self)
        except BaseException:
            self.transport.close()
            raise

    return connect_or_close


def _bounded_delete(delete: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    async def bounded_delete(self: Any) -> None:
        try:
            async with timeout(TURN_DELETE_TIMEOUT):
                await delete(self)
        except asyncio.TimeoutError:
            logger.debug('the TURN server did not confirm the end of the allocation')
            self.transport.abort()
        finally:
            self.transport.close()

    return bounded_delete


def _gate(connection: Any) -> _Gate:
    gate: _Gate = vars(connection).setdefault(_GATE, _Gate())
    return gate


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


@contextmanager
def _listed(tasks: set[asyncio.Task[Any]]) -> Iterator[None]:
    task = _current_task()
    tasks.add(task)
    try:
        yield
    finally:
        tasks.discard(task)


@contextmanager
def _stopping_in_background(gate: _Gate) -> Iterator[None]:
    task = _current_task()
    _stoppers[task] = gate
    try:
        yield
    finally:
        _stoppers.pop(task, None)


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(set(tasks), timeout=CANCEL_TIMEOUT)


async def _finish(stops: set[asyncio.Task[Any]]) -> None:
    """Await background tasks, cancel what is late, and look at how they ended."""
    if not stops:
        return
    _, late = await asyncio.wait(stops, timeout=CLOSE_TIMEOUT)
    if late:
        logger.warning('gave up %d ICE transports that did not end', len(late))
        await _cancel(late)
    for stop in stops:
        if stop.done() and not stop.cancelled() and (error := stop.exception()):
            logger.debug('an ICE transport did not end cleanly: %r', error)
    stops.clear()
