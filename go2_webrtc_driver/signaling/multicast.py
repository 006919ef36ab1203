"""Finds a robot on the LAN by its serial number."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import ifaddr

from ..errors import DecodeError, LinkUnreachable
from ..protocol import discovery
from ..tasks import timeout

logger = logging.getLogger(__name__)

TIMEOUT = 5.0  # s
QUERY_PERIOD = 0.5  # s, between two queries: datagrams get lost
MOST_SEEN = 64  # robots and unread answers; a flood of lies takes no more memory


async def find_robot(serial_number: str) -> str:
    """
    Return the IP address of a robot, asking on every interface.

    Nothing here blocks the loop, as the library's scanner would, and the first answer of
    the robot ends it.

    Raises:
        LinkUnreachable: the robot did not answer within ``TIMEOUT``; names those that did.
    """
    others: set[str] = set()
    try:
        async with timeout(TIMEOUT):
            return await _find(serial_number, others)
    except asyncio.TimeoutError:  # an OSError itself, from Python 3.11 on
        raise LinkUnreachable(
            f'robot {serial_number}: expected an answer to discovery within {TIMEOUT:g} s, '
            f'other robots that answered: {", ".join(sorted(others)) or "none"}'
        ) from None
    except OSError as error:
        raise LinkUnreachable(
            f'robot {serial_number}: expected to hear answers to discovery on UDP port '
            f'{discovery.REPLY_PORT}, got: {error}'
        ) from error


class _Answers(asyncio.DatagramProtocol):
    """A queue of (datagram, address of its sender)."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue(MOST_SEEN)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait((data, address[0]))


async def _find(serial_number: str, others: set[str]) -> str:
    interfaces = _interfaces()
    listening = _listen(interfaces)
    transport, answers = await asyncio.get_running_loop().create_datagram_endpoint(
        _Answers, sock=listening
    )
    asking = asyncio.ensure_future(_ask(listening, interfaces, serial_number))
    try:
        while True:
            sighting, sender = _read(*await answers.queue.get())
            if sighting and sighting.serial_number == serial_number:
                has_zone = '%' in sighting.address  # which may be any text, and is ours to know
                return sender if has_zone else sighting.address or sender
            if sighting and len(others) < MOST_SEEN:
                others.add(sighting.serial_number)
    finally:
        asking.cancel()
        transport.close()


def _read(raw: bytes, sender: str) -> tuple[discovery.Sighting | None, str]:
    try:
        return discovery.decode_sighting(raw), sender
    except DecodeError as error:
        logger.debug('%s sent: %s', sender, error)
        return None, sender


def _interfaces() -> list[str]:
    """Return an IPv4 address of ours on every interface, loopback too."""
    return [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]


def _listen(interfaces: list[str]) -> socket.socket:
    """Return a socket for answers sent to us or to the group."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(('', discovery.REPLY_PORT))
    except OSError:
        listening.close()
        raise
    for interface in interfaces:
        with contextlib.suppress(OSError):  # an interface that cannot, or joined already
            membership = discovery.membership(interface)
            listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return listening


async def _ask(sending: socket.socket, interfaces: list[str], serial_number: str) -> None:
    """Ask for the robot, and for any robot, on every interface until cancelled."""
    group = (discovery.GROUP, discovery.QUERY_PORT)
    while True:
        for interface in interfaces:
            for query in (discovery.encode_query(serial_number), discovery.encode_query()):
                with contextlib.suppress(OSError):  # an interface without a route
                    sending.setsockopt(
                        socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface)
                    )
                    sending.sendto(query, group)
        await asyncio.sleep(QUERY_PERIOD)
