"""The UDP relay, between real sockets on the loopback interface."""

import asyncio
import contextlib
import socket
import time

import pytest
from networks import udp_relay
from networks.udp_relay import Impairments, UdpRelay

IP = '127.0.0.1'


class Peer(asyncio.DatagramProtocol):
    """A socket that keeps what comes, and echoes it if told to."""

    def __init__(self, echo):
        self.heard = asyncio.Queue()
        self.senders = []
        self._echo = echo

    def connection_made(self, transport):
        self._transport = transport
        self.address = transport.get_extra_info('sockname')

    def datagram_received(self, raw, sender):
        self.heard.put_nowait(raw)
        self.senders.append(sender)
        if self._echo:
            self._transport.sendto(raw, sender)

    def send(self, raw, to):
        self._transport.sendto(raw, to)

    async def hear(self, timeout=5.0):
        return await asyncio.wait_for(self.heard.get(), timeout)

    def close(self):
        self._transport.close()


async def peer(echo=False, port=0):
    loop = asyncio.get_running_loop()
    return (await loop.create_datagram_endpoint(lambda: Peer(echo), local_addr=(IP, port)))[1]


@contextlib.asynccontextmanager
async def network(seed=0):
    """Yield a relay, the echoing server behind it, and a client."""
    server, client = await peer(echo=True), await peer()
    relay = await UdpRelay.start(IP, server.address, seed)
    try:
        yield relay, server, client
    finally:
        await relay.stop()
        server.close()
        client.close()


def test_every_client_gets_its_own_answers():
    async def main():
        async with network() as (relay, server, client):
            other = await peer()
            client.send(b'one', relay.address)
            other.send(b'two', relay.address)
            assert (await client.hear(), await other.hear()) == (b'one', b'two')
            assert len(set(server.senders)) == 2
            other.close()

    asyncio.run(main())


def test_a_client_keeps_its_address_at_the_server():
    async def main():
        async with network() as (relay, server, client):
            for _ in range(3):
                client.send(b'again', relay.address)
                await client.hear()
            assert len(set(server.senders)) == 1

    asyncio.run(main())


def test_the_delay_holds_one_way_each():
    async def main():
        async with network() as (relay, _, client):
            relay.delay = 0.05
            before = time.monotonic()
            for number in b'123':
                client.send(bytes([number]), relay.address)
            assert [await client.hear() for _ in range(3)] == [b'1', b'2', b'3']
            assert 0.1 <= time.monotonic() - before < 1.0

    asyncio.run(main())


def lost(seed):
    """Return which of 100 datagrams the server does not get at a loss of 30 %."""

    async def main():
        async with network(seed) as (relay, server, client):
            relay.loss = 0.3
            server._echo = False
            for number in range(100):
                client.send(bytes([number]), relay.address)
            heard = set()
            while max(heard, default=0) < 100:  # an end mark may be lost too
                client.send(bytes([100]), relay.address)
                with contextlib.suppress(asyncio.TimeoutError):
                    heard.add((await server.hear(0.02))[0])
            return set(range(100)) - heard

    return asyncio.run(main())


def test_about_the_given_share_is_lost_and_a_seed_repeats_which():
    assert 15 < len(lost(seed=1)) < 45
    assert lost(seed=1) == lost(seed=1) != lost(seed=2)


def test_a_silent_relay_passes_nothing_and_recovers():
    async def main():
        async with network() as (relay, server, client):
            relay.silent = True
            client.send(b'unheard', relay.address)
            with pytest.raises(asyncio.TimeoutError):
                await server.hear(0.05)
            relay.silent = False
            client.send(b'heard', relay.address)
            assert await client.hear() == b'heard'

    asyncio.run(main())


def test_what_is_on_its_way_is_lost_when_the_relay_falls_silent():
    async def main():
        async with network() as (relay, server, client):
            relay.delay = 0.02
            client.send(b'asked', relay.address)
            await server.hear()
            relay.silent = True
            with pytest.raises(asyncio.TimeoutError):
                await client.hear(0.06)

    asyncio.run(main())


def test_a_server_that_comes_later_is_reached():
    async def main():
        async with network() as (relay, server, client):
            port = server.address[1]
            server.close()
            await asyncio.sleep(0)  # asyncio closes the socket in its next turn
            client.send(b'nobody there', relay.address)
            with pytest.raises(asyncio.TimeoutError):
                await client.hear(0.05)
            late = await peer(echo=True, port=port)
            client.send(b'somebody', relay.address)
            assert await client.hear() == b'somebody'
            late.close()

    asyncio.run(main())


def test_a_stopped_relay_frees_its_port_and_its_late_datagrams_harm_nobody():
    async def main():
        async with network() as (relay, server, client):
            relay.delay = 0.02
            client.send(b'late', relay.address)
            await server.hear()
            await relay.stop()
            await relay.stop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind(relay.address)
            with pytest.raises(asyncio.TimeoutError):
                await client.hear(0.04)

    asyncio.run(main())


async def hear_nothing(*peers):
    for each in peers:
        with pytest.raises(asyncio.TimeoutError):
            await each.hear(0.03)


def send_numbers(count, client, relay):
    for number in range(count):
        client.send(bytes([number]), relay.address)
    return [bytes([number]) for number in range(count)]


def test_what_is_sent_to_a_silent_relay_is_lost_even_if_it_speaks_before_the_delay_is_over():
    async def main():
        async with network() as (relay, server, client):
            relay.delay, relay.silent = 0.02, True
            client.send(b'unheard', relay.address)
            await asyncio.sleep(0.01)
            relay.silent = False
            await hear_nothing(server)

    asyncio.run(main())


@pytest.mark.parametrize('fault', [{'silent': True}, {'loss': 1.0}, {'delay': 60.0}], ids=str)
def test_each_direction_has_its_own_faults(fault):
    async def main():
        async with network() as (relay, server, client):
            change(relay.to_client, fault)
            client.send(b'there, not back', relay.address)
            assert await server.hear() == b'there, not back'
            await hear_nothing(client)
            relay.to_client.heal()
            change(relay.to_server, fault)
            client.send(b'not there', relay.address)
            await hear_nothing(server)

    asyncio.run(main())


def change(faults, changes):
    for name, value in changes.items():
        setattr(faults, name, value)


def test_jitter_lets_datagrams_overtake_each_other_and_loses_none():
    async def main():
        async with network() as (relay, server, client):
            relay.to_server.jitter = 0.05
            sent = send_numbers(30, client, relay)
            heard = [await server.hear() for _ in sent]
            assert heard != sent
            assert sorted(heard) == sent

    asyncio.run(main())


def test_duplicated_datagrams_come_twice():
    async def main():
        async with network() as (relay, server, client):
            relay.to_server.duplication, server._echo = 1.0, False
            sent = send_numbers(5, client, relay)
            assert [await server.hear() for _ in range(10)] == sorted(2 * sent)
            await hear_nothing(server)

    asyncio.run(main())


def test_two_relays_may_share_their_faults_which_heal_together():
    async def main():
        shared = Impairments(silent=True, loss=1.0, delay=60.0, jitter=60.0, duplication=1.0)
        server, client = await peer(), await peer()
        relays = [await UdpRelay.start(IP, server.address, 0, shared) for _ in range(2)]
        for each in relays:
            client.send(b'unheard', each.address)
        await hear_nothing(server)
        shared.heal()
        assert shared == Impairments()
        for each in relays:
            client.send(b'heard', each.address)
            assert await server.hear() == b'heard'
            await each.stop()
        await hear_nothing(server)

    asyncio.run(main())


def test_the_client_that_was_silent_for_longest_is_forgotten_for_a_new_one(monkeypatch):
    monkeypatch.setattr(udp_relay, 'MOST_CLIENTS', 2)

    async def main():
        async with network() as (relay, server, busy):
            silent, new = await peer(), await peer()
            for each in (silent, busy, busy, new, busy):
                each.send(b'x', relay.address)
                await each.hear()
            seen_as = [server.senders[number] for number in (1, 2, 4)]
            assert len(set(seen_as)) == 1
            assert [*relay._upstreams] == [new.address, busy.address]
            server.send(b'too late', server.senders[0])
            await hear_nothing(silent)

    asyncio.run(main())


def test_more_datagrams_than_a_relay_holds_back_are_lost(monkeypatch):
    monkeypatch.setattr(udp_relay, 'MOST_UNDERWAY', 3)

    async def main():
        async with network() as (relay, server, client):
            relay.to_server.delay = 0.03
            for _ in range(2):
                sent = send_numbers(5, client, relay)
                assert [await server.hear() for _ in range(3)] == sent[:3]
            await hear_nothing(server)

    asyncio.run(main())


def test_garbage_reaches_the_server_and_every_client_whatever_the_faults():
    async def main():
        async with network() as (relay, server, client):
            server._echo = False
            relay.send_garbage(b'1')
            assert await server.hear() == b'1'
            client.send(b'seen', relay.address)
            await server.hear()
            relay.silent = True
            relay.send_garbage(b'2')
            assert (await server.hear(), await client.hear()) == (b'2', b'2')

    asyncio.run(main())


def test_a_replay_sends_the_first_datagrams_of_both_ways_to_both_sides(monkeypatch):
    monkeypatch.setattr(udp_relay, 'FIRST', 3)

    async def main():
        async with network() as (relay, server, client):
            for raw in (b'1', b'2', b'3'):
                client.send(raw, relay.address)
                assert (await server.hear(), await client.hear()) == (raw, raw)
            server._echo = False
            relay.replay()
            for side in (server, client):
                assert [await side.hear() for _ in range(3)] == [b'1', b'1', b'2']
            await hear_nothing(server, client)

    asyncio.run(main())


def test_an_address_that_is_not_ours_is_refused():
    with pytest.raises(OSError, match='assign'):
        asyncio.run(UdpRelay.start('198.51.100.1', (IP, 9)))
