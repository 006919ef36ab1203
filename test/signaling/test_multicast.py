import asyncio
import contextlib
import itertools
import json
import os
import socket

import pytest
from support import simulated_robot

from go2_webrtc_driver.errors import LinkUnreachable
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol import discovery
from go2_webrtc_driver.signaling import multicast as module
from go2_webrtc_driver.signaling.lan import STA_OFFER, LanSignaling
from go2_webrtc_driver.signaling.multicast import find_robot

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def on_loopback_alone(monkeypatch):
    monkeypatch.setattr(module, '_interfaces', lambda: ['127.0.0.1'])


def serial_number():
    """Return one that no other test, also of another run on this machine, uses."""
    return f'TEST{os.getpid()}N{next(_numbers)}'


@contextlib.asynccontextmanager
async def liar(*replies):
    """Answer every query with the same bytes."""
    loop = asyncio.get_running_loop()

    class Liar(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, sender):
            for reply in replies:
                self.transport.sendto(reply, (sender[0], discovery.REPLY_PORT))

    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((discovery.GROUP, discovery.QUERY_PORT))
    membership = discovery.membership('127.0.0.1')
    listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    transport, _ = await loop.create_datagram_endpoint(Liar, sock=listening)
    try:
        yield
    finally:
        transport.close()


def test_a_robot_is_found_by_its_serial_number_among_others():
    async def main():
        ours, other = serial_number(), serial_number()
        async with (
            simulated_robot(serial_number=other),
            simulated_robot(serial_number=ours) as (_, ip),
        ):
            assert await find_robot(ours) == ip

    asyncio.run(main())


def test_a_robot_that_only_answers_to_its_name_is_found():
    async def main():
        ours = serial_number()
        async with simulated_robot(serial_number=ours, ignores_untargeted=True) as (_, ip):
            assert await find_robot(ours) == ip

    asyncio.run(main())


def test_a_robot_that_is_started_late_is_found():
    async def main():
        ours = serial_number()
        finding = asyncio.ensure_future(find_robot(ours))
        await asyncio.sleep(0)
        async with simulated_robot(serial_number=ours) as (_, ip):
            assert await finding == ip

    asyncio.run(main())


def test_a_link_opens_by_serial_number():
    async def main():
        ours = serial_number()
        async with (
            simulated_robot(serial_number=ours) as (go2, _),
            open_link(LanSignaling('', ours, None, STA_OFFER), 10.0),
        ):
            assert go2.client is not None

    asyncio.run(main())


def test_a_robot_that_does_not_answer_is_unreachable_and_the_others_are_named(monkeypatch):
    monkeypatch.setattr(module, 'TIMEOUT', 0.6)

    async def main():
        ours, other = serial_number(), serial_number()
        async with simulated_robot(serial_number=other):
            with pytest.raises(LinkUnreachable, match=rf'{ours}.*within 0\.6 s.*{other}'):
                await find_robot(ours)

    asyncio.run(main())


def test_without_any_robot_discovery_is_unreachable_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(module, 'TIMEOUT', 0.2)

    async def main():
        before = len(os.listdir('/proc/self/fd'))
        with pytest.raises(LinkUnreachable, match='an answer to discovery'):
            await find_robot(serial_number())
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(os.listdir('/proc/self/fd')) == before

    asyncio.run(main())


def test_lies_and_garbage_are_passed_over():
    ours = serial_number()
    lies = [
        b'', b'\xff\xfe', b'[]', b'{}', b'{"sn": 7}', b'{"sn": ""}', b'{"sn": "' + b'x' * 9000,
        json.dumps({'sn': ours, 'ip': 'not an address'}).encode(),
        json.dumps({'sn': ours, 'ip': 7}).encode(),
        b'[' * 2000,
    ]  # fmt: skip

    async def main():
        async with liar(*lies), simulated_robot(serial_number=ours) as (_, ip):
            assert await find_robot(ours) == ip

    asyncio.run(main())


def test_a_robot_that_gives_no_address_is_where_its_answer_came_from():
    ours = serial_number()

    async def main():
        async with liar(json.dumps({'sn': ours}).encode()):
            assert (await find_robot(ours)).startswith('127.')

    asyncio.run(main())


@pytest.mark.parametrize('zone', ['eth0', '\n[ERROR] all is lost', '\ud800', 'x' * 2000])
def test_an_address_with_a_zone_is_passed_over_because_a_zone_may_be_any_text(zone):
    ours = serial_number()

    async def main():
        async with liar(json.dumps({'sn': ours, 'ip': f'fe80::1%{zone}'}).encode()):
            assert (await find_robot(ours)).startswith('127.')

    asyncio.run(main())


def test_a_port_that_another_program_holds_is_unreachable_and_says_so():
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            try:
                other.bind(('', discovery.REPLY_PORT))
            except OSError:
                pytest.skip('another program on this machine listens for robots')
            with pytest.raises(LinkUnreachable, match='UDP port 10134, got: '):
                await find_robot(serial_number())

    asyncio.run(main())
