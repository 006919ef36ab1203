"""The faulty network, between the driver's own link and the simulated robot."""

import asyncio
import contextlib
import gc
import os

import aiohttp
import aioice.ice
import pytest
from networks import faulty_network as networks
from networks.faulty_network import FaultyNetwork, candidates, replace_candidates
from networks.udp_relay import Impairments
from sim_client import lines, offering
from support import free_address, lan, process, simulated_robot, source_of, until

from go2_webrtc_driver.errors import LinkBusy, LinkLost, LinkUnreachable
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.peer import ice_agents
from go2_webrtc_driver.protocol import commands
from go2_webrtc_driver.protocol import offer_answer as signaling
from go2_webrtc_driver.protocol.offer_answer import Answer
from go2_webrtc_driver.protocol.topics import Topic
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.lan_server import LanServer

SPORT = Topic.SPORT_MODE_STATE.value
CLIENT_HELLO = b'\x16', b'\x01'  # type of the DTLS record, and of the handshake in it


@contextlib.asynccontextmanager
async def between(robot_ip):
    """Yield a network in front of the robot, and the address where it listens."""
    ip = free_address()
    network = await FaultyNetwork.start(ip, robot_ip)
    try:
        yield network, ip
    finally:
        await network.stop()


@contextlib.asynccontextmanager
async def linked():
    """Yield a network, the robot behind it, and an open link."""
    async with (
        simulated_robot() as (go2, robot_ip),
        between(robot_ip) as (network, ip),
        open_link(lan(ip), 10.0) as link,
    ):
        yield network, go2, link


async def packet(link, topic=SPORT):
    async for each in link.received():
        if source_of(each) == topic:
            return each


async def empty(link):
    while link.waiting:
        await anext(link.received())


async def unreachable(ip, timeout, match=None):
    with pytest.raises(LinkUnreachable, match=match):
        async with open_link(lan(ip), timeout):
            pass


@contextlib.contextmanager
def tapped(monkeypatch):
    """Yield what the sockets of ICE hear in this process: (local host, sender, datagram)."""
    heard = []
    receive = aioice.ice.StunProtocol.datagram_received

    def note(self, data, addr):
        heard.append((self.transport.get_extra_info('sockname')[0], addr[:2], bytes(data)))
        receive(self, data, addr)

    with monkeypatch.context() as patch:
        patch.setattr(aioice.ice.StunProtocol, 'datagram_received', note)
        yield heard


def sockets_of(network):
    """Return every address that the network's relays send from."""
    return {
        each.getsockname()
        for relay in network._relays
        for each in (relay._listener, *relay._upstreams.values())
    }


def test_data_commands_and_pictures_pass_the_network():
    async def main():
        async with linked() as (_, go2, link):
            link.subscribe(SPORT)
            link.switch_video(True)
            assert await asyncio.wait_for(packet(link), 10.0)
            assert await asyncio.wait_for(link.frames.get(), 10.0)
            await link.stop_and_confirm()
            assert go2.requests

    asyncio.run(main())


def test_client_and_robot_never_hear_each_other_but_through_relays(monkeypatch):
    async def main():
        with tapped(monkeypatch) as heard:
            async with linked() as (network, go2, link):
                await link.request(commands.STOP_MOVE, 10.0)
                relays = sockets_of(network)
                assert {host for host, _, _ in heard} == {'127.0.0.1', go2.ip}
                assert {sender for _, sender, _ in heard} <= relays

    asyncio.run(main())


def test_a_blocked_network_lets_no_link_open():
    async def main():
        async with simulated_robot() as (go2, robot_ip), between(robot_ip) as (network, ip):
            network.to_robot.silent = network.to_client.silent = True
            await unreachable(ip, 1.0, 'expected .* within 1 s')
            assert go2.client._channel is None

    asyncio.run(main())


def test_an_open_link_goes_on_when_a_block_is_over():
    async def main():
        async with linked() as (network, _, link):
            link.subscribe(SPORT)
            await packet(link)
            network.block()
            await empty(link)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(packet(link), 0.3)
            network.heal()
            assert await asyncio.wait_for(packet(link), 10.0)

    asyncio.run(main())


def test_a_way_that_is_blocked_blocks_no_other():
    async def main():
        async with linked() as (network, go2, link):
            network.to_client.silent = True
            with pytest.raises(LinkLost, match='expected a response'):
                await link.request(commands.STOP_MOVE, 0.3)
            assert len(go2.requests) == 1
            network.heal()
            network.to_robot.silent = True
            with pytest.raises(LinkLost, match='expected a response'):
                await link.request(commands.STOP_MOVE, 0.3)
            assert len(go2.requests) == 1

    asyncio.run(main())


def test_a_link_opens_and_works_in_a_bad_network():
    async def main():
        async with simulated_robot() as (go2, robot_ip), between(robot_ip) as (network, ip):
            for faults in (network.to_robot, network.to_client):
                faults.loss, faults.duplication = 0.1, 0.1
                faults.delay, faults.jitter = 0.01, 0.02
            async with open_link(lan(ip), 20.0) as link:
                await link.request(commands.STOP_MOVE, 10.0)
                assert go2.requests

    asyncio.run(main())


def test_faults_hold_for_connections_that_come_later():
    async def main():
        async with simulated_robot() as (go2, robot_ip), between(robot_ip) as (network, ip):
            async with open_link(lan(ip), 10.0):
                network.to_client.silent = True
            await go2.client.close()
            await unreachable(ip, 0.5)
            network.heal()
            await go2.client.close()
            async with open_link(lan(ip), 10.0):
                pass

    asyncio.run(main())


def test_blocked_signaling_hangs_and_what_was_given_up_never_reaches_the_robot():
    async def main():
        async with simulated_robot() as (go2, robot_ip), between(robot_ip) as (network, ip):
            network.signaling_blocked = True
            await unreachable(ip, 0.3, 'an answer to con_notify within')
            network.heal()
            async with open_link(lan(ip), 10.0):
                assert go2.client is not None

    asyncio.run(main())


def test_a_client_that_waits_long_enough_outlives_blocked_signaling():
    async def main():
        async with simulated_robot() as (_, robot_ip), between(robot_ip) as (network, ip):
            network.signaling_blocked = True
            opening = open_link(lan(ip), 10.0)
            entering = asyncio.ensure_future(opening.__aenter__())
            done, _ = await asyncio.wait([entering], timeout=0.3)
            assert not done
            network.signaling_blocked = False
            await entering
            await opening.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_network_stops_although_a_request_hangs():
    async def main():
        async with simulated_robot() as (_, robot_ip), between(robot_ip) as (network, ip):
            network.signaling_blocked = True
            opening = asyncio.ensure_future(unreachable(ip, 10.0))
            await asyncio.wait([opening], timeout=0.2)
            await asyncio.wait_for(network.stop(), 5.0)
            await opening

    asyncio.run(main())


def test_a_busy_robot_rejects_and_the_first_link_lives_on():
    async def main():
        async with (
            simulated_robot() as (_, robot_ip),
            between(robot_ip) as (network, ip),
            open_link(lan(ip), 10.0) as link,
        ):
            before = sockets_of(network)
            with pytest.raises(LinkBusy):
                async with open_link(lan(ip), 10.0):
                    pass
            await link.request(commands.STOP_MOVE, 10.0)
            assert sockets_of(network) == before

    asyncio.run(main())


def test_a_robot_that_is_not_there_is_an_error_at_once():
    async def main():
        async with between(free_address()) as (network, ip):
            await unreachable(ip, 10.0, 'status 200, got 502')
            assert network._relays == []

    asyncio.run(main())


def test_a_robot_that_does_not_answer_is_an_error_in_bounded_time(monkeypatch):
    timeout = aiohttp.ClientTimeout(total=0.2)
    monkeypatch.setattr(networks, 'TIMEOUT', timeout)

    async def main():
        robot_ip = free_address()
        silent = await asyncio.start_server(lambda *_: None, robot_ip, signaling.PORT)
        async with silent, between(robot_ip) as (_, ip):
            await unreachable(ip, 10.0, 'status 200, got 502')

    asyncio.run(main())


def test_an_offer_without_an_sdp_is_refused():
    async def main():
        async with simulated_robot() as (_, robot_ip), between(robot_ip) as (_, ip):
            with pytest.raises(aiohttp.ClientResponseError, match='400'):
                await networks._exchange(f'http://{ip}:{signaling.PORT}', {'type': 'offer'})

    asyncio.run(main())


def held():
    gc.collect()
    return len(asyncio.all_tasks()), len(os.listdir('/proc/self/fd'))


async def connect(ip):
    async with open_link(lan(ip), 10.0):
        with pytest.raises(LinkBusy):
            async with open_link(lan(ip), 10.0):
                pass


def test_nothing_grows_over_reconnects():
    """The robot is a process of its own: what is counted is the network's and the links'."""

    async def main(robot_ip):
        async with between(robot_ip) as (_, ip):
            await connect(ip)
            begin = held()
            for _ in range(4):
                await connect(ip)
            await until(lambda: all(a <= b for a, b in zip(held(), begin, strict=True)))

    robot_ip = free_address()
    with process('go2_webrtc_driver.sim', '--ip', robot_ip, ready='listens'):
        asyncio.run(main(robot_ip))


@pytest.mark.parametrize('garbage', [b'x', bytes(range(20)), b'\x16' * 1200], ids=len)
def test_garbage_hits_both_sides_and_the_link_lives_on(garbage, monkeypatch):
    async def main():
        async with linked() as (network, go2, link):
            with tapped(monkeypatch) as heard:
                network.throw(garbage)
                hosts = {'127.0.0.1', go2.ip}
                await until(lambda: {host for host, _, raw in heard if raw == garbage} == hosts)
            await link.request(commands.STOP_MOVE, 10.0)

    asyncio.run(main())


def test_a_replay_brings_the_handshake_to_both_sides_again_and_the_link_lives_on(monkeypatch):
    def hears_hello(heard, host):
        return any(
            (raw[:1], raw[13:14]) == CLIENT_HELLO for where, _, raw in heard if where == host
        )

    async def main():
        async with linked() as (network, go2, link):
            with tapped(monkeypatch) as heard:
                network.replay()
                for host in ('127.0.0.1', go2.ip):
                    await until(lambda host=host: hears_hello(heard, host))
            await link.request(commands.STOP_MOVE, 10.0)

    asyncio.run(main())


SDP = """v=0
o=- 1 1 IN IP4 0.0.0.0
m=audio 4000 UDP/TLS/RTP/SAVPF 96
c=IN IP4 127.0.0.9
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:f 1 udp 2130706431 127.0.0.9 4000 typ host
a=candidate:f 1 UDP 2130706431 127.0.0.9 4001 typ host generation 0
a=candidate:f 1 udp 2130706431 127.0.0.9 4002 typ host
a=candidate:f 1 tcp 2130706431 127.0.0.9 9 typ host tcptype active
a=candidate:f 1 udp 1694498815 127.0.0.8 4003 typ srflx raddr 127.0.0.9 rport 4000
a=candidate:f 1 udp 2130706431 fd00::2 4000 typ host
a=candidate:f 1 udp 2130706431 1b2c.local 4000 typ host
a=end-of-candidates
m=video 0 UDP/TLS/RTP/SAVPF 97
a=candidate:f 1 udp 2130706431 127.0.0.9 4000 typ host
"""


def test_candidates_are_the_udp_hosts_each_once():
    found = candidates(SDP)
    assert found == [('127.0.0.9', port) for port in (4000, 4001, 4002)]


def test_candidates_are_replaced_and_what_has_no_relay_is_left_out():
    table = {('127.0.0.9', 4000): ('127.0.0.1', 50), ('127.0.0.9', 4001): ('127.0.0.1', 51)}
    kept = replace_candidates(SDP, table)
    assert lines(kept, 'a=candidate') == [
        'a=candidate:f 1 udp 2130706431 127.0.0.1 50 typ host',
        'a=candidate:f 1 UDP 2130706431 127.0.0.1 51 typ host generation 0',
        'a=candidate:f 1 udp 2130706431 127.0.0.1 50 typ host',
    ]
    assert lines(kept, 'm=') == [
        'm=audio 9 UDP/TLS/RTP/SAVPF 96',
        'm=video 0 UDP/TLS/RTP/SAVPF 97',
    ]
    assert '127.0.0.9' not in kept
    assert kept.endswith('\r\n')


def test_neither_side_learns_an_address_of_the_other():
    async def main():
        async with simulated_robot() as (go2, robot_ip), between(robot_ip) as (network, _):
            offers, answer = [], go2.answer
            go2.answer = lambda offer: (offers.append(offer), answer(offer))[1]
            async with offering() as (_, offer, _):
                answered = await network._answer(offer)
                agents = ice_agents(go2.client._connection)
            ports = {each.port for agent in agents for each in agent.local_candidates}
            assert robot_ip not in answered.sdp
            assert not ports & {port for _, port in candidates(answered.sdp)}
            assert not {*candidates(offer['sdp'])} & {*candidates(offers[0]['sdp'])}
            assert {**offers[0], 'sdp': ''} == {**offer, 'sdp': ''}

    asyncio.run(main())


def test_a_relay_has_the_faults_of_the_way_it_stands_in():
    async def main():
        async with simulated_robot() as (_, robot_ip), between(robot_ip) as (network, _):
            async with offering() as (_, offer, _):
                await network._answer(offer)
            clients = candidates(offer['sdp'])
            assert {relay._server in clients for relay in network._relays} == {True, False}
            for relay in network._relays:
                ways = (network.to_robot, network.to_client)
                there, back = ways[::-1] if relay._server in clients else ways
                assert relay.to_server is there
                assert relay.to_client is back

    asyncio.run(main())


def test_an_offer_whose_client_gave_up_in_the_silence_is_not_answered():
    offers = []

    async def answer(offer):
        offers.append(offer)
        return Answer('v=0', 'answer')

    async def main():
        ip = free_address()
        server = LanServer(Options(ip=ip), answer)
        await server.start()
        url = f'http://{ip}:{signaling.PORT}/{signaling.EXCHANGE}{server._path}'
        key = server._private_key.public_key()
        first, second = (
            signaling.encode_offer({'number': number}, key, '0' * 32) for number in (1, 2)
        )
        async with aiohttp.ClientSession() as http:
            server.silent = True
            with pytest.raises(asyncio.TimeoutError):
                await http.post(url, data=first, timeout=aiohttp.ClientTimeout(total=0.1))
            (connection,) = server._runner.server.connections
            await until(lambda: connection.transport is None)
            server.silent = False
            await http.post(url, data=second)
        await server.stop()
        assert offers == [{'number': 2}]

    asyncio.run(main())


def test_a_healed_network_has_no_faults():
    async def main():
        async with between(free_address()) as (network, _):
            network.block()
            network.to_robot.loss = network.to_client.jitter = 1.0
            network.heal()
            assert (network.to_robot, network.to_client) == (Impairments(), Impairments())
            assert not network.signaling_blocked

    asyncio.run(main())
