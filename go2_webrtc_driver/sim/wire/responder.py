"""The simulated robot's answer to who looks for it by its serial number."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

from ...errors import DecodeError
from ...protocol import discovery
from ...protocol.discovery import Sighting

logger = logging.getLogger(__name__)

LOOPBACK, ANY = '127.0.0.1', '0.0.0.0'


class Responder(asyncio.DatagramProtocol):
    """
    Answers the queries that mean this robot, to their sender.

    It hears its own interface and the loopback one, and so do other simulated robots, in
    the same process or another.
    """

    def __init__(
        self, sighting: Sighting, replies: asyncio.DatagramTransport, ignores_untargeted: bool
    ) -> None:
        self._sighting = sighting
        self._replies = replies
        self._ignores_untargeted = ignores_untargeted
        self._queries: asyncio.BaseTransport | None = None

    @classmethod
    async def start(cls, sighting: Sighting, ignores_untargeted: bool = False) -> Responder:
        """
        Listen for queries.

        Args:
            sighting: what it replies; the replies come from that address.
            ignores_untargeted: as newer firmware does.

        Raises:
            OSError: the port of the queries, or the address, is not free for us.
        """
        loop = asyncio.get_running_loop()
        replies, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(sighting.address, 0)
        )
        try:
            _, responder = await loop.create_datagram_endpoint(
                lambda: cls(sighting, replies, ignores_untargeted),
                sock=_group_socket(sighting.address),
            )
        except OSError:
            replies.close()
            raise
        return responder

    def stop(self) -> None:
        """Fall silent."""
        self._replies.close()
        if self._queries is not None:
            self._queries.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport; called by asyncio."""
        self._queries = transport

    def datagram_received(self, raw: bytes, sender: tuple[Any, ...]) -> None:
        """Answer a query; called by asyncio."""
        try:
            wanted = discovery.decode_query(raw)
        except DecodeError as error:
            logger.debug('dropped a query of %s: %s', sender[0], error)
            return
        if self._is_meant(wanted):
            reply = discovery.encode_sighting(self._sighting)
            self._replies.sendto(reply, (sender[0], discovery.REPLY_PORT))

    def _is_meant(self, wanted: str | None) -> bool:
        if wanted is None:
            return not self._ignores_untargeted
        return wanted == self._sighting.serial_number


def _group_socket(address: str) -> socket.socket:
    """Return a socket that hears the group; others may have its port too."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((ANY, discovery.QUERY_PORT))
        for interface in {LOOPBACK, address}:
            with contextlib.suppress(OSError):  # it is the same, and joined
                _join(made, interface)
    except OSError:
        made.close()
        raise
    return made


def _join(made: socket.socket, interface: str) -> None:
    membership = discovery.membership(interface)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
