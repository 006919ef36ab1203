"""What a link does with a robot that sends too much, too large, or too often."""

import asyncio
import contextlib
import json
import socket
from types import SimpleNamespace

import pytest
from support import free_address, lan, simulated_robot, source_of, until, warned

from go2_webrtc_driver.errors import DecodeError, LinkRefused
from go2_webrtc_driver.link import intake
from go2_webrtc_driver.link.channel import LARGEST_ECHO
from go2_webrtc_driver.link.link import MOST_PIXELS, open_link
from go2_webrtc_driver.protocol.messages import VALIDATION_NEEDED, VALIDATION_OK, build_message
from go2_webrtc_driver.protocol.topics import MessageType, SportApi, Topic
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.peer import SimulatedGo2
from go2_webrtc_driver.velocity import Velocity

NEEDED = build_message(MessageType.ERROR, None, info=VALIDATION_NEEDED)
TORN_STUN = bytes.fromhex('0001 0008 2112a442') + bytes(12) + bytes.fromhex('0024 0000') + bytes(4)
OK = build_message(MessageType.VALIDATION, data=VALIDATION_OK)
SPORT = Topic.SPORT_MODE_STATE.value


def run(scenario):
    """Run a scenario with a link to a simulated robot, once it is open."""

    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            await asyncio.wait_for(scenario(go2, link), 20.0)

    asyncio.run(main())


def is_validation(packet):
    return getattr(packet, 'type', None) is MessageType.VALIDATION


async def next_of(link, wanted):
    async for packet in link.received():
        if wanted(packet):
            return packet


async def no_more(frames):
    """Wait until no more picture comes."""
    with contextlib.suppress(asyncio.TimeoutError):
        while True:
            await asyncio.wait_for(frames.get(), 0.5)


def probe(size):
    info = {'req_type': 'rtt_probe_send_from_mechine', 'pad': 'x' * size}
    return build_message(MessageType.INNER_REQUEST, info=info)


def heard_by(go2):
    """Return what the robot is sent from now on."""
    heard, take = [], go2.client._on_message

    def on_message(raw):
        heard.append(json.loads(raw))
        take(raw)

    go2.client._channel.remove_all_listeners('message')
    go2.client._channel.on('message', on_message)
    return heard


def count(heard, kind):
    return sum(message['type'] == kind for message in heard)


def echoes(heard):
    """Return the padding of each of our probes that came back; the robot sends its own, too."""
    return [message['data']['pad'] for message in heard if 'pad' in str(message.get('data'))]


@pytest.mark.parametrize('limit', ['MOST_MESSAGES', 'MOST_OF_A_KIND'])
def test_of_a_flood_only_so_many_messages_pass_and_the_link_lives_on(monkeypatch, caplog, limit):
    monkeypatch.setattr(intake, limit, 50.0)

    async def scenario(go2, link):
        for number in range(500):
            go2.client.send(build_message(MessageType.MESSAGE, 'flood', number))
        last = await next_of(link, lambda packet: 'expected at most' in caplog.text)
        assert last.data < 200
        link.subscribe(SPORT)
        await next_of(link, lambda packet: source_of(packet) == SPORT)
        assert warned(caplog, 'expected at most 50 a second') == 1

    run(scenario)


def test_a_flood_of_one_kind_leaves_the_others_alone(caplog):
    ours, now = intake.Intake(), 100.0
    flood = build_message(MessageType.MESSAGE, 'flood')
    assert sum(ours.take(flood, now) is not None for _ in range(1000)) == intake.MOST_OF_A_KIND
    assert sum(ours.take('garbage', now) is not None for _ in range(1000)) == intake.MOST_OF_A_KIND
    for topic in (SPORT, Topic.ROBOT_POSE.value):
        assert ours.take(build_message(MessageType.MESSAGE, topic), now).topic == topic
    assert ours.take(build_message(MessageType.HEARTBEAT), now).type is MessageType.HEARTBEAT


def test_so_many_probes_are_echoed_and_none_before_what_waits():
    ours = intake.Intake()
    assert sum(ours.may_echo(0, 1.0) for _ in range(100)) == intake.MOST_ECHOES
    assert not ours.may_echo(intake.ECHO_ROOM + 1, 100.0)


def test_a_robot_may_ask_for_the_validation_again_and_again_over_the_hours():
    async def scenario(go2, link):
        link.subscribe(SPORT)
        for _ in range(10):
            go2.client.send(NEEDED)
            await next_of(link, is_validation)  # our answer is right: the robot says Ok
        await next_of(link, lambda packet: source_of(packet) == SPORT)

    run(scenario)


def test_a_robot_that_refuses_the_validation_later_on_ends_the_link_as_refused():
    async def scenario(go2, link):
        go2.validates = False
        go2.revoke()
        link.subscribe(SPORT)  # it answers that with "Validation Needed.", and our answer too
        with pytest.raises(LinkRefused, match=VALIDATION_NEEDED):
            await next_of(link, lambda packet: False)

    run(scenario)


def test_a_validation_that_is_confirmed_often_starts_one_heartbeat_only():
    async def scenario(go2, link):
        heard = heard_by(go2)
        for _ in range(20):
            go2.client.send(OK)
        await until(lambda: count(heard, 'heartbeat') >= 2)
        await asyncio.sleep(0.2)
        assert count(heard, 'heartbeat') == 2

    run(scenario)


def test_a_small_probe_is_echoed_and_a_huge_one_is_not():
    async def scenario(go2, link):
        heard = heard_by(go2)
        go2.client.send(probe(LARGEST_ECHO))
        go2.client.send(probe(10))
        await until(lambda: echoes(heard))
        link.move(Velocity(0.1))
        await until(lambda: count(heard, 'req'))
        assert echoes(heard) == ['x' * 10]

    run(scenario)


def test_chunks_of_files_that_nobody_asked_for_are_not_kept():
    async def scenario(go2, link):
        chunk = {'enable_chunking': True, 'chunk_index': 1, 'total_chunk_num': 9, 'data': 'x' * 99}
        for number in range(50):
            info = {'req_type': 'request_static_file', 'req_uuid': str(number), 'file': chunk}
            go2.client.send(build_message(MessageType.INNER_REQUEST, info=info))
            data = {'uuid': str(number), 'content_info': chunk, 'data': 'x'}
            go2.client.send(build_message(MessageType.INNER_REQUEST, data=data))
        link.subscribe(SPORT)
        await next_of(link, lambda packet: source_of(packet) == SPORT)
        assert not link._channel._library.pub_sub.future_resolver.chunk_data_storage

    run(scenario)


def test_a_picture_that_is_too_large_is_dropped_with_a_warning(caplog):
    async def scenario(go2, link):
        link._take(SimpleNamespace(width=MOST_PIXELS, height=2))
        assert 'dropped a picture' in caplog.text
        link.switch_video(True)
        assert (await link.frames.get()).width == 1280

    run(scenario)


def test_a_robot_that_was_away_is_seen_to_come_back():
    async def main():
        ip = free_address()
        waiting = asyncio.ensure_future(lan(ip).wait_for_return())
        await asyncio.wait({waiting}, timeout=0.3)
        assert not waiting.done()
        go2 = SimulatedGo2(Options(ip=ip))
        await go2.start()
        await asyncio.wait_for(waiting, 5.0)
        for_ever = asyncio.ensure_future(lan(ip).wait_for_return())
        await asyncio.wait({for_ever}, timeout=0.3)
        assert not for_ever.done()  # it has not been away
        for_ever.cancel()
        await go2.stop()

    asyncio.run(main())


def test_pictures_come_again_when_a_packet_was_lost_for_good():
    async def scenario(go2, link):
        link.switch_video(True)
        await link.frames.get()
        receiver = next(
            each for each in link._connection.getReceivers() if each._track.kind == 'video'
        )
        take, lost = receiver._handle_rtp_packet, []

        async def lose_one(packet, arrival_time_ms):
            lost[:] = lost or [packet.sequence_number]
            if packet.sequence_number not in lost:
                await take(packet, arrival_time_ms)

        receiver._handle_rtp_packet = lose_one
        await until(lambda: lost)
        await no_more(link.frames)
        link.renew_video()
        for _ in range(5):
            await asyncio.wait_for(link.frames.get(), 2.0)

    run(scenario)


def test_a_stop_waits_for_no_timer_although_everything_before_it_was_lost():
    async def scenario(go2, link):
        sctp = link._connection.sctp
        send, sctp._send_chunk = sctp._send_chunk, lambda chunk: asyncio.sleep(0)
        for _ in range(3):
            link.move(Velocity(0.3))
            await asyncio.sleep(0.01)
        link.stop()
        await asyncio.sleep(0.01)
        sctp._send_chunk = send
        sctp._t3_cancel()
        sctp._t3_start = lambda: None
        link.stop_again()
        await until(lambda: [each[1] for each in go2.requests].count(SportApi.STOP_MOVE) == 2)

    run(scenario)


@pytest.mark.parametrize('raw', [b'', b'\x80' * 40, b'\x16' * 40, TORN_STUN, b'\x00'])
def test_a_datagram_from_a_stranger_does_not_reach_the_link(raw):
    errors = []

    async def scenario(go2, link):
        asyncio.get_running_loop().set_exception_handler(lambda loop, error: errors.append(error))
        (agent,) = {
            each.transport.transport.iceGatherer._connection
            for each in link._connection.getReceivers()
            if each.transport.state == 'connected'
        }
        seen, take = [], agent.data_received
        agent.data_received = lambda data, component: (seen.append(data), take(data, component))
        pair = agent._nominated[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((pair.local_addr[0], 0))
            stranger.sendto(raw, pair.local_addr)
            stranger.sendto(b'\x80' + b'last' * 5, pair.local_addr)
        link.subscribe(SPORT)
        for _ in range(3):
            await next_of(link, lambda packet: source_of(packet) == SPORT)
        assert seen
        assert not [each for each in seen if b'last' in each]
        assert raw not in seen
        assert not errors

    run(scenario)


def test_other_errors_of_the_robot_do_not_end_a_link_that_is_valid():
    async def scenario(go2, link):
        for _ in range(20):
            go2.client.send(build_message(MessageType.ERROR, None, info='Topic not found'))
        link.subscribe(SPORT)
        await next_of(link, lambda packet: source_of(packet) == SPORT)

    run(scenario)


def test_validations_again_and_again_leave_nothing_behind():
    async def scenario(go2, link):
        tasks = len(asyncio.all_tasks())
        for _ in range(20):
            go2.client.send(NEEDED)
            await next_of(link, is_validation)
        go2.client.send(build_message(MessageType.VALIDATION, 'elsewhere', 'key'))
        link.subscribe(SPORT)
        await next_of(link, lambda packet: source_of(packet) == SPORT)
        resolver = link._channel._library.pub_sub.future_resolver
        assert not [key for key in resolver.pending_callbacks if 'validation' in str(key)]
        assert len(asyncio.all_tasks()) <= tasks + 2  # the robot's stream, a network status

    run(scenario)


def test_text_that_is_not_utf_8_is_a_bad_packet_and_the_link_lives_on():
    async def scenario(go2, link):
        sctp = go2.client._connection.sctp
        sctp._data_channel_queue.append((go2.client._channel, 51, b'{"type": "\xff\xfe"}'))
        await sctp._data_channel_flush()
        await next_of(link, lambda packet: isinstance(packet, DecodeError))
        link.subscribe(SPORT)
        await next_of(link, lambda packet: source_of(packet) == SPORT)

    run(scenario)
