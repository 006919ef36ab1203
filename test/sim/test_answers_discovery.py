"""The simulated robot is found by its serial number."""

import asyncio
import contextlib
import itertools
import logging
import os
import socket

import pytest
from support import free_address, in_own_network, process, simulated_robot
from unitree_webrtc_connect.multicast_scanner import discover_ip_sn

from go2_webrtc_driver.protocol import discovery
from go2_webrtc_driver.protocol.discovery import Sighting
from go2_webrtc_driver.sim.wire.responder import Responder

_numbers = itertools.count()


def new_serial():
    """Return a serial number that no robot of another test has."""
    return f'TEST{os.getpid()}N{next(_numbers)}'


class Wire:
    """What a responder sends to, instead of a socket."""

    def __init__(self):
        self.sent = []

    def sendto(self, raw, to):
        self.sent.append((discovery.decode_sighting(raw), to))


class Searcher(asyncio.DatagramProtocol):
    """A client that asks on the loopback interface and keeps every reply."""

    def __init__(self):
        self.replies = asyncio.Queue()

    def datagram_received(self, raw, sender):
        self.replies.put_nowait((discovery.decode_sighting(raw), sender[0]))

    async def find(self, serial_number):
        """Return the first reply of that robot; others on this machine may reply too."""
        while True:
            reply, sender = await asyncio.wait_for(self.replies.get(), 5.0)
            if reply.serial_number == serial_number:
                return reply, sender


@contextlib.asynccontextmanager
async def searching():
    loop = asyncio.get_running_loop()
    address = free_address(), discovery.REPLY_PORT
    transport, searcher = await loop.create_datagram_endpoint(Searcher, local_addr=address)
    transport.get_extra_info('socket').setsockopt(
        socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('127.0.0.1')
    )
    searcher.ask = lambda raw: transport.sendto(raw, (discovery.GROUP, discovery.QUERY_PORT))
    try:
        yield searcher
    finally:
        transport.close()


@pytest.mark.parametrize(
    ('query', 'newer', 'answered'),
    [
        (discovery.encode_query(), False, True),
        (discovery.encode_query('MINE'), False, True),
        (discovery.encode_query('OTHER'), False, False),
        (discovery.encode_query(), True, False),
        (discovery.encode_query('MINE'), True, True),
        (b'\xff\x00', False, False),
        (b'[]', False, False),
        (b'{"name": "somebody else"}', False, False),
        (b'{"name": "unitree_dapengche", "sn": ["MINE"]}', False, False),
    ],
)
def test_only_a_query_that_means_the_robot_is_answered(query, newer, answered):
    wire = Wire()
    Responder(Sighting('MINE', '127.0.3.7'), wire, newer).datagram_received(
        query, ('127.0.0.1', 5)
    )
    reply = (Sighting('MINE', '127.0.3.7'), ('127.0.0.1', discovery.REPLY_PORT))
    assert wire.sent == ([reply] if answered else [])


def test_two_robots_both_hear_one_query_and_reply_from_their_own_address():
    async def main():
        first, second = new_serial(), new_serial()
        async with (
            simulated_robot(serial_number=first) as (_, one),
            simulated_robot(serial_number=second) as (_, other),
            searching() as searcher,
        ):
            searcher.ask(discovery.encode_query())
            assert await searcher.find(first) == (Sighting(first, one), one)
            searcher.ask(discovery.encode_query(second))
            assert await searcher.find(second) == (Sighting(second, other), other)

    asyncio.run(main())


@in_own_network()
def test_the_library_finds_robots_of_two_processes():
    async def main():
        ours, theirs, shy = new_serial(), new_serial(), new_serial()
        elsewhere = free_address()
        arguments = ('--ip', elsewhere, '--serial', theirs)
        with process('go2_webrtc_driver.sim', *arguments, ready='listens'):
            async with (
                simulated_robot(serial_number=ours) as (_, here),
                simulated_robot(serial_number=shy, ignores_untargeted=True),
            ):
                found = await asyncio.to_thread(discover_ip_sn, timeout=0.1)
        assert found[ours] == here
        assert found[theirs] == elsewhere
        assert shy not in found

    asyncio.run(main())


@in_own_network()
def test_the_library_finds_a_robot_with_newer_firmware_by_its_number():
    async def main():
        shy = new_serial()
        async with simulated_robot(serial_number=shy, ignores_untargeted=True) as (_, address):
            found = await asyncio.to_thread(discover_ip_sn, timeout=0.1, sn=shy)
        assert found[shy] == address

    asyncio.run(main())


def test_a_stopped_robot_is_not_found():
    async def main():
        gone = new_serial()
        async with simulated_robot(serial_number=gone):
            pass
        async with searching() as searcher:
            searcher.ask(discovery.encode_query(gone))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(searcher.find(gone), 0.1)

    asyncio.run(main())


def test_a_robot_starts_although_another_program_holds_the_port(monkeypatch, caplog):
    async def main():
        async with simulated_robot() as (go2, _):
            assert go2._responder is None

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('', 0))
        monkeypatch.setattr(discovery, 'QUERY_PORT', other.getsockname()[1])
        with caplog.at_level(logging.WARNING):
            asyncio.run(main())
    assert 'cannot be found by its serial number' in caplog.text
