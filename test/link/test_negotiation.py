"""What the driver makes of a robot's SDP answer that is not as it should be."""

import asyncio
import logging
import re

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from support import lan, simulated_robot

from go2_webrtc_driver.checks.race_probe import loopback_only
from go2_webrtc_driver.errors import LinkUnreachable
from go2_webrtc_driver.link import negotiation
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.link.negotiation import apply_answer
from go2_webrtc_driver.protocol.offer_answer import Answer
from go2_webrtc_driver.signaling.attempt import Progress


def sections(sdp):
    """Return the head of an SDP and its media sections."""
    return re.split(r'(?m)^(?=m=)', sdp)


def without_video(sdp):
    return ''.join(part for part in sections(sdp) if not part.startswith('m=video'))


def rejecting(kind):
    return lambda sdp: re.sub(rf'(?m)^m={kind} \d+ ', f'm={kind} 0 ', sdp)


def replacing(old, new):
    return lambda sdp: re.sub(old, new, sdp, flags=re.MULTILINE)


SPOILT = {
    'without video': (without_video, 'expected video in the SDP answer, got audio, application'),
    'without data': (lambda sdp: ''.join(sections(sdp)[:-1]), 'expected application'),
    'video rejected': (rejecting('video'), 'expected video in the SDP answer, it is rejected'),
    'data rejected': (rejecting('application'), 'expected application .*rejected'),
    'media in another order': (
        lambda sdp: ''.join(sections(sdp)[i] for i in (0, 2, 1, 3)), 'usable SDP answer',
    ),
    'bundled under an unknown name': (replacing('BUNDLE 0', 'BUNDLE 9'), 'BUNDLE group'),
    'without ICE credentials': (replacing('^a=ice-.*\r\n', ''), 'expected'),
    'without a fingerprint': (replacing('^a=fingerprint.*\r\n', ''), 'expected'),
    'no codec of ours': (replacing('H264/90000', 'XY/90000'), 'usable SDP answer'),
    'a number that is none': (replacing('a=rtpmap:', 'a=rtpmap:x'), 'usable SDP answer'),
    'another fingerprint': (replacing('sha-256 ..:', 'sha-256 00:'), 'DTLS'),
    'another ICE password': (replacing('a=ice-pwd:.*', 'a=ice-pwd:' + 'x' * 22), 'expected'),
    'messages too short': (
        lambda sdp: sdp + 'a=max-message-size:150\r\n', 'messages of 1024 bytes, it takes 150',
    ),
    'not bundled': (replacing('^a=group:BUNDLE.*\r\n', ''), 'bundles its media'),
}  # fmt: skip


@pytest.mark.parametrize('case', SPOILT)
def test_a_spoilt_answer_is_one_error_within_the_time_and_frees_the_robot(case):
    spoil, message = SPOILT[case]

    async def main():
        async with simulated_robot() as (go2, ip):
            answer = go2.answer

            async def spoilt(offer):
                return Answer(spoil((await answer(offer)).sdp), 'answer')

            go2.answer = spoilt
            with pytest.raises(LinkUnreachable, match=message) as error:
                async with open_link(lan(ip), 2.0):
                    pass
            assert str(error.value).startswith(f'robot {ip}: ')
            assert '\n' not in str(error.value)

    asyncio.run(main())


def test_an_answer_without_sound_is_no_trouble():
    async def main():
        async with simulated_robot() as (go2, ip):
            answer = go2.answer

            async def silent(offer):
                return Answer((await answer(offer)).sdp.replace('a=sendrecv', 'a=inactive', 1),
                              'answer')  # fmt: skip

            go2.answer = silent
            async with open_link(lan(ip), 10.0) as link:
                link.switch_video(True)
                assert await asyncio.wait_for(link.frames.get(), 10.0)

    asyncio.run(main())


def test_our_offer_has_one_fingerprint_and_the_robot_keeps_the_older_data_channel_form():
    """With sha-384 or sha-512 in the offer a Go2 answers in a form its channel fails with."""

    async def main():
        async with simulated_robot() as (go2, ip):
            offers, answer = [], go2.answer

            async def noted(offer):
                offers.append(offer['sdp'])
                return await answer(offer)

            go2.answer = noted
            async with open_link(lan(ip), 10.0):
                kinds = set(re.findall(r'a=fingerprint:(\S+)', offers[0]))
                assert kinds == {'sha-256'}

    asyncio.run(main())


def test_all_ice_agents_of_a_link_share_credentials_that_no_other_link_has():
    async def main():
        offers = []
        for _ in range(2):
            async with simulated_robot() as (go2, ip):
                answer = go2.answer

                async def noted(offer, answer=answer):
                    offers.append(offer['sdp'])
                    return await answer(offer)

                go2.answer = noted
                async with open_link(lan(ip), 10.0):
                    pass
        names = [set(re.findall('a=ice-ufrag:(.*)\r', offer)) for offer in offers]
        assert [len(each) for each in names] == [1, 1]
        assert names[0] != names[1]

    asyncio.run(main())


async def offered():
    connection = RTCPeerConnection(RTCConfiguration([]))
    connection.createDataChannel('data')
    connection.addTransceiver('video', 'recvonly')
    await connection.setLocalDescription(await connection.createOffer())
    return connection


async def answered(connection):
    robot = RTCPeerConnection(RTCConfiguration([]))
    await robot.setRemoteDescription(connection.localDescription)
    await robot.setLocalDescription(await robot.createAnswer())
    return robot, Answer(robot.localDescription.sdp, 'answer')


STUCK = {
    'the offer is not in force': ('the signaling state have-local-offer', lambda pc: setattr(
        pc, '_RTCPeerConnection__signalingState', 'closed')),
    'aiortc does not take it': ('aiortc to take the SDP answer', lambda pc: setattr(
        pc, 'setRemoteDescription', lambda _: asyncio.Event().wait())),
    'signaling does not settle': ('the signaling state stable', lambda pc: setattr(
        pc, '_RTCPeerConnection__setSignalingState', lambda _: None)),
    'aiortc does not begin': ('aiortc to begin to connect', lambda pc: setattr(
        pc, '_RTCPeerConnection__connect', lambda: asyncio.sleep(0))),
}  # fmt: skip


@pytest.mark.parametrize('case', STUCK)
def test_a_step_that_does_not_end_is_bounded_and_named(case, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(negotiation, 'STEP_TIMEOUT', 0.1)
    step, stick = STUCK[case]

    async def main():
        connection = await offered()
        robot, answer = await answered(connection)
        try:
            stick(connection)
            with pytest.raises(LinkUnreachable, match=rf'robot X: expected {step} within 0\.1 s'):
                await apply_answer(connection, answer, Progress('robot X'))
            assert f'robot X: waiting for {step}' in caplog.text
        finally:
            await connection.close()
            await robot.close()

    with loopback_only():
        asyncio.run(main())
