"""What a peer that lies could fill memory or time with, against the bounds of the patch."""

import asyncio
from types import SimpleNamespace

import pytest
from aiortc.rtcdtlstransport import RtpRouter
from aiortc.rtcsctptransport import DataChunk
from support import lan, simulated_robot, source_of, until

from go2_webrtc_driver.errors import LinkLost
from go2_webrtc_driver.link import aiortc_patch
from go2_webrtc_driver.link.aiortc_bounds import MOST_CHUNKS, MOST_SOURCES
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol.topics import Topic

FIRST_FRAGMENT = 2


def run(scenario):
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            await asyncio.wait_for(scenario(go2, link), 30.0)

    asyncio.run(main())


def chunk(tsn, stream, size=1):
    made = DataChunk()
    made.tsn, made.stream_id, made.flags = tsn, stream, FIRST_FRAGMENT
    made.user_data = bytes(size)
    return made


async def lost(link):
    async for _ in link.received():
        pass


def test_messages_that_never_end_end_the_link_whether_in_one_stream_or_many():
    for streams in (1, 500):

        async def scenario(go2, link, streams=streams):
            association = link._connection.sctp
            tsn = association._last_received_tsn
            for number in range(1, MOST_CHUNKS + 2):
                await association._receive_data_chunk(chunk(tsn + number, 2 + number % streams))
            with pytest.raises(LinkLost):
                await lost(link)

        run(scenario)


def test_more_than_was_offered_room_for_ends_the_link():
    async def scenario(go2, link):
        association = link._connection.sctp
        tsn = association._last_received_tsn
        for number in range(1, 20):
            await association._receive_data_chunk(chunk(tsn + number, 2, 1 << 16))
        with pytest.raises(LinkLost):
            await lost(link)

    run(scenario)


def test_a_long_message_in_many_parts_comes_through():
    async def scenario(go2, link):
        go2.client.send('x' * 200_000)
        link.subscribe(Topic.LOW_STATE.value)
        async for item in link.received():
            if source_of(item) == Topic.LOW_STATE.value:
                return

    run(scenario)


def test_rtp_of_ever_new_sources_is_dropped_and_the_known_ones_go_on():
    aiortc_patch.apply()
    router, receiver = RtpRouter(), object()
    router.register_receiver(receiver, [1], [96])
    packets = [SimpleNamespace(ssrc=ssrc, payload_type=96) for ssrc in range(1, 1000)]
    assert sum(router.route_rtp(each) is receiver for each in packets) == MOST_SOURCES
    assert router.route_rtp(packets[0]) is receiver
    assert len(router.ssrc_table) == MOST_SOURCES


def test_pictures_go_on_while_a_stranger_sends_rtp_of_new_sources():
    async def scenario(go2, link):
        link.switch_video(True)
        await link.frames.get()
        transport = link._connection.getReceivers()[0].transport
        for ssrc in range(2000):
            packet = SimpleNamespace(ssrc=ssrc, payload_type=0)
            transport._rtp_router.route_rtp(packet)
        before = link.frames.dropped
        await until(lambda: link.frames.dropped > before + 3)

    run(scenario)
