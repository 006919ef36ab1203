"""How an attempt to connect reaches the robot: what every way there has in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ..errors import LinkUnreachable, show
from ..protocol.offer_answer import Answer
from ..tasks import timeout

logger = logging.getLogger(__name__)

T = TypeVar('T')
PORT, TLS_PORT = 3478, 5349  # of STUN and TURN, where a URL names none (RFC 8656)


@dataclass(frozen=True)
class IceServer:
    """
    A STUN or TURN server.

    Attributes:
        url: as ``stun:host:port`` or ``turn:host:port``.
        username: of our account on it; empty: none is needed.
        password: of the account.
    """

    url: str
    username: str = ''
    password: str = field(default='', repr=False)

    @property
    def host(self) -> str:
        """Its name or address."""
        return self.url.partition(':')[2].partition('?')[0].partition(':')[0]

    @property
    def port(self) -> int:
        """Its port."""
        given = self.url.partition(':')[2].partition('?')[0].partition(':')[2]
        return int(given or (TLS_PORT if self.url.startswith(('stuns', 'turns')) else PORT))


@dataclass(frozen=True)
class Network:
    """
    What ICE may use.

    Attributes:
        address: our address on the interface that leads to the robot, or to the TURN server.
        ice_servers: STUN and TURN servers; none on the LAN.
        exclusive: offer candidates on ``address`` alone, not on every interface.
        robot: its address, near which its candidates are; empty: it may be anywhere.
    """

    address: str
    ice_servers: tuple[IceServer, ...] = ()
    exclusive: bool = True
    robot: str = ''


class Progress:
    """
    Logs what an attempt to connect waits for, and names it if it takes too long.

    Attributes:
        robot: what messages call the robot.
        begun: when the attempt began, on the loop's clock [s].
        notes: what went wrong so far without ending the attempt.
    """

    def __init__(self, robot: str, is_news: bool = True) -> None:
        """
        Args:
            robot: what messages call the robot.
            is_news: whether to say it at INFO and WARNING; else at DEBUG.
        """
        self.robot = robot
        self.begun = asyncio.get_running_loop().time()
        self.notes: list[str] = []
        self._missing: Callable[[], str] = lambda: 'the link'
        self._is_news = is_news

    def wait_for(self, what: str, missing: Callable[[], str] | None = None) -> None:
        """
        Log what is waited for from now on.

        Args:
            what: that.
            missing: returns the part of it that has not come yet; by default ``what``.
        """
        self._log(logging.INFO, '%s: waiting for %s', what)
        self._missing = missing or (lambda: what)

    def note(self, trouble: str) -> None:
        """Warn of what may be why the attempt fails in the end."""
        self._log(logging.WARNING, '%s: %s', trouble)
        self.notes.append(trouble)

    def _log(self, level: int, text: str, what: str) -> None:
        logger.log(level if self._is_news else logging.DEBUG, text, self.robot, what)

    def unreachable(self, reason: str) -> LinkUnreachable:
        """Return the error for ``reason``, with the notes so far."""
        return LinkUnreachable(f'{self.robot}: {"; ".join([reason, *self.notes])}')

    def unexpected(self, error: Exception) -> LinkUnreachable:
        """Return the error for what no step of the attempt should raise; tell where it was."""
        level = logging.ERROR if self._is_news else logging.DEBUG
        logger.log(level, '%s: unexpected error', self.robot, exc_info=error)
        kind = type(error).__name__
        return self.unreachable(f'expected {self._missing()}, got {kind}: {show(str(error))}')

    async def within(self, limit: float, work: Awaitable[T], begun: float | None = None) -> T:
        """
        Await ``work`` for at most ``limit`` seconds.

        Args:
            limit: in seconds, from ``begun``.
            work: what to await.
            begun: on the loop's clock [s]; now by default.

        Raises:
            LinkUnreachable: it took longer; names what was waited for.
        """
        now = asyncio.get_running_loop().time()
        try:
            async with timeout(limit if begun is None else begun + limit - now):
                return await work
        except asyncio.TimeoutError:
            raise self.unreachable(
                f'expected {self._missing()} within {limit:g} s, nothing came'
            ) from None


class Signaling(Protocol):
    """
    One exchange of an offer for the robot's answer; used once, as a context.

    Whoever uses it bounds the time. All errors are LinkErrors.
    """

    @property
    def robot(self) -> str:
        """What messages call the robot."""

    async def __aenter__(self) -> Signaling:
        """Make ready; nothing is sent."""

    async def __aexit__(self, *exception: object) -> None:
        """Free what was used."""

    async def prepare(self, progress: Progress) -> Network:
        """Find the robot, or what leads there."""

    async def exchange(self, sdp: str, progress: Progress) -> Answer:
        """Return the robot's answer to our offer."""

    async def wait_for_return(self) -> None:
        """
        Return when a robot that was away is back; never if that cannot be seen.

        Not part of an attempt: called outside of the context, between two of them.
        """
