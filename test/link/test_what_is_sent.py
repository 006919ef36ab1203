"""What goes to the robot, and what does not, when it does not keep up or much comes at once."""

import asyncio

import pytest
from aiortc import rtcsctptransport
from support import lan, simulated_robot, until

from go2_webrtc_driver.link.channel import MOST_BUFFERED, STOP_WINDOW, Channel
from go2_webrtc_driver.link.link import MOST_QUEUED, open_link
from go2_webrtc_driver.protocol import offer_answer as offers
from go2_webrtc_driver.protocol.messages import build_message
from go2_webrtc_driver.protocol.topics import MessageType, SportApi
from go2_webrtc_driver.velocity import STOP, Velocity

ZERO = '{"x": 0.0, "y": 0.0, "z": 0.0}'


def run(scenario):
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            await asyncio.wait_for(scenario(go2, link), 20.0)

    asyncio.run(main())


def told(go2):
    return [(api, parameter) for _, api, parameter, _ in go2.requests]


def test_a_stop_is_a_zero_velocity_and_then_stop_move():
    async def scenario(go2, link):
        link.stop()
        await until(lambda: len(go2.requests) >= 2)
        assert told(go2) == [(SportApi.MOVE, ZERO), (SportApi.STOP_MOVE, '')]

    run(scenario)


def test_a_stop_waits_for_no_window_of_sctp():
    async def scenario(go2, link):
        association = link._connection.sctp
        association._cwnd = 0
        link.stop()
        assert association._cwnd >= STOP_WINDOW

    run(scenario)


def test_what_is_lost_is_sent_again_soon():
    assert rtcsctptransport.SCTP_RTO_INITIAL <= 0.5
    assert rtcsctptransport.SCTP_RTO_MIN <= 0.3
    assert rtcsctptransport.SCTP_RTO_MAX <= 2.0


def test_velocities_do_not_pile_up_before_a_robot_that_does_not_read_but_a_zero_one_goes(
    monkeypatch, caplog
):
    async def scenario(go2, link):
        monkeypatch.setattr(Channel, 'unsent', property(lambda channel: MOST_BUFFERED + 1))
        link.move(Velocity(0.3))
        link.move(STOP)
        await until(lambda: go2.requests)
        assert told(go2) == [(SportApi.MOVE, ZERO)]
        assert 'does not keep up: velocities are dropped' in caplog.text

    run(scenario)


def test_of_what_nobody_takes_the_oldest_is_dropped(monkeypatch):
    monkeypatch.setattr('go2_webrtc_driver.link.intake.MOST_OF_A_KIND', 1e9)

    async def scenario(go2, link):
        for number in range(3 * MOST_QUEUED):
            link._on_message(build_message(MessageType.MESSAGE, 'rt/x', number))
        assert link.waiting == MOST_QUEUED
        first = await anext(link.received())
        assert first.data == 2 * MOST_QUEUED

    run(scenario)


@pytest.mark.parametrize('times', [3])
def test_each_offer_is_sealed_with_a_key_of_its_own(times, monkeypatch):
    keys, decode = [], offers.decode_offer

    def noting(*arguments):
        offer, key = decode(*arguments)
        keys.append(key)
        return offer, key

    monkeypatch.setattr(offers, 'decode_offer', noting)

    async def main():
        async with simulated_robot() as (go2, ip):
            for _ in range(times):
                async with open_link(lan(ip), 10.0):
                    pass
                await until(lambda: go2.client is None)

    asyncio.run(main())
    assert len(set(keys)) == len(keys) == times
