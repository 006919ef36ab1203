import asyncio
import gc
import os
import resource
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from support import free_address, lan, process, simulated_robot, source_of, until

from go2_webrtc_driver.errors import (
    CommandRejected,
    InvalidCommand,
    LinkBusy,
    LinkError,
    LinkLost,
    LinkRefused,
)
from go2_webrtc_driver.errors import LinkUnreachable as Unreachable
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol import offer_answer as signaling
from go2_webrtc_driver.protocol.commands import Request
from go2_webrtc_driver.protocol.offer_answer import Answer, Notice
from go2_webrtc_driver.protocol.topics import SportApi, Topic
from go2_webrtc_driver.sim.brain.robot import LYING
from go2_webrtc_driver.velocity import Velocity

KEY = bytes(range(16))
SPORT = Topic.SPORT_MODE_STATE.value


async def next_packet(link, topic):
    async for packet in link.received():
        if source_of(packet) == topic:
            return packet


ROBOTS = [
    {'scheme': 1}, {'scheme': 2}, {'scheme': 3, 'device_key': KEY}, {'old_signaling': True},
]  # fmt: skip


@pytest.mark.parametrize('options', ROBOTS, ids=str)
def test_a_link_opens_and_carries_data_and_pictures(options):
    async def main():
        async with (
            simulated_robot(**options) as (_, ip),
            open_link(lan(ip, KEY), 10.0) as link,
        ):
            link.subscribe(SPORT)
            link.switch_video(True)
            packet = await asyncio.wait_for(next_packet(link, SPORT), 10.0)
            frame = await asyncio.wait_for(link.frames.get(), 10.0)
            assert packet.value.error_code == 100
            assert (frame.width, frame.height) == (1280, 720)

    asyncio.run(main())


@pytest.mark.parametrize(
    ('key', 'why'), [(None, 'none is configured'), (bytes(16), 'cannot be decrypted')]
)
def test_a_robot_with_a_key_of_its_own_refuses_who_does_not_have_it(key, why):
    async def main():
        async with simulated_robot(scheme=3, device_key=KEY) as (_, ip):
            with pytest.raises(LinkRefused, match=f'robot {ip}: con_notify: .*{why}') as error:
                async with open_link(lan(ip, key), 10.0):
                    pass
            assert KEY.hex() not in str(error.value)

    asyncio.run(main())


def test_an_old_robot_that_serves_another_client_is_busy():
    async def main():
        async with simulated_robot(old_signaling=True) as (_, ip), open_link(lan(ip), 10.0):
            with pytest.raises(LinkBusy, match=ip):
                async with open_link(lan(ip), 10.0):
                    pass

    asyncio.run(main())


def test_a_move_reaches_the_robot_and_a_stop_is_confirmed():
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            link.move(Velocity(0.5, 0.1, -0.2))
            await link.stop_and_confirm()
            sent = [(api, parameter) for _, api, parameter, _ in go2.requests]
            assert sent == [
                (SportApi.MOVE, '{"x": 0.5, "y": 0.1, "z": -0.2}'),
                (SportApi.MOVE, '{"x": 0.0, "y": 0.0, "z": 0.0}'),
                (SportApi.STOP_MOVE, ''),
            ]

    asyncio.run(main())


def test_a_refused_request_is_rejected_with_the_robots_code():
    async def main():
        async with simulated_robot(posture=LYING) as (_, ip), open_link(lan(ip), 10.0) as link:
            with pytest.raises(CommandRejected, match='4101'):
                await link.request(Request(Topic.SPORT_REQUEST, SportApi.HELLO), 5.0)

    asyncio.run(main())


def test_a_request_without_a_response_is_bounded():
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            go2.muted = True
            with pytest.raises(LinkLost, match=r'response to request 1016 within 0\.2 s'):
                await link.request(Request(Topic.SPORT_REQUEST, SportApi.HELLO), 0.2)

    asyncio.run(main())


def test_a_second_client_is_told_that_the_robot_is_busy_and_the_slot_is_freed():
    async def main():
        async with simulated_robot() as (go2, ip):
            async with open_link(lan(ip), 10.0):
                with pytest.raises(LinkBusy, match=ip):
                    async with open_link(lan(ip), 10.0):
                        pass
            await until(lambda: go2.client is None)
            async with open_link(lan(ip), 10.0):
                pass

    asyncio.run(main())


def test_a_robot_that_goes_away_ends_the_packets_with_link_lost():
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            await go2.client.close()
            with pytest.raises(LinkLost, match=ip):
                await asyncio.wait_for(next_packet(link, 'never'), 10.0)
            with pytest.raises(LinkLost):
                link.move(Velocity(0.1))

    asyncio.run(main())


def test_a_robot_that_never_validates_is_link_refused():
    async def main():
        async with simulated_robot(validates=False) as (_, ip):
            with pytest.raises(LinkRefused, match='Validation'):
                async with open_link(lan(ip), 10.0):
                    pass

    asyncio.run(main())


def test_garbage_on_the_data_channel_is_an_error_in_the_stream_and_the_link_lives_on():
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            for garbage in (
                'x', b'\xff', '{"type":"err"}', '{"type":"rtc_inner_req"}', '{"type":"res"}',
                '{"type":"validation","data":{}}', '{"type":"heartbeat"}', '{"type":"errors"}',
            ):  # fmt: skip
                go2.client.send(garbage)
            link.subscribe(SPORT)
            assert await asyncio.wait_for(next_packet(link, SPORT), 10.0)
            await link.stop_and_confirm()

    asyncio.run(main())


def test_an_answer_that_comes_while_a_link_closes_is_no_error_in_the_background():
    """The library sets the result of a future that closing has cancelled."""

    async def main():
        errors = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: errors.append(context)
        )
        async with simulated_robot() as (_, ip), open_link(lan(ip), 10.0) as link:
            done, library = asyncio.Event(), link._channel._library.pub_sub

            def resolve(message):
                done.set()
                future = asyncio.get_running_loop().create_future()
                future.cancel()
                future.set_result(message)

            library.run_resolve = resolve
            link._on_message('{"type": "rtc_inner_req", "info": {}}')
            await done.wait()
            await until(
                lambda: (
                    not [
                        each
                        for each in link._tasks._running
                        if each.get_coro().__name__ == '_run_library'
                    ]
                )
            )
        gc.collect()
        await asyncio.sleep(0)
        assert not errors

    asyncio.run(main())


@asynccontextmanager
async def scripted_robot(notify, exchange=None):
    """Serve two scripted replies, each a function of the request, on the signaling port."""
    app = web.Application()
    app.router.add_post('/con_notify', notify)
    app.router.add_post('/{path:con_ing_.*}', exchange or notify)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    ip = free_address()
    await web.TCPSite(runner, ip, signaling.PORT).start()
    try:
        yield ip
    finally:
        await runner.cleanup()


def private_key():
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


PRIVATE_KEY = private_key()


async def good_notice(_):
    notice = Notice(PRIVATE_KEY.public_key(), '12345')
    return web.Response(text=signaling.encode_notice(notice, 1, b'', b''))


def says(text, status=200):
    async def reply(_):
        return web.Response(text=text, status=status)

    return reply


def answers(sdp):
    async def reply(request):
        _, key = signaling.decode_offer(await request.text(), PRIVATE_KEY)
        return web.Response(text=signaling.encode_answer(Answer(sdp, 'answer'), key))

    return reply


async def answers_under_another_key(_):
    return web.Response(text=signaling.encode_answer(Answer('v=0', 'answer'), 'f' * 32))


async def never(_):
    await asyncio.Event().wait()


SDP = 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n'
BAD = {
    'silent notify': (never, None, 'an answer to con_notify within 1 s, nothing came'),
    'garbage notify': (says('%%%'), None, 'con_notify: expected base64'),
    'missing notify': (says('', 404), None, 'status 200, got 404'),
    'huge notify': (says('x' * 300_000), None, 'expected at most'),
    'silent exchange': (good_notice, never, 'an answer to our offer within 1 s, nothing came'),
    'garbage exchange': (good_notice, says('garbage'), 'con_ing_: expected'),
    'server error': (good_notice, says('', 500), 'status 200, got 500'),
    'no sdp': (good_notice, answers('nonsense'), 'expected video in the SDP answer'),
    'empty sdp': (good_notice, answers(SDP), 'expected video in the SDP answer, got no media'),
    'other media': (
        good_notice,
        answers(SDP + 'm=text 9 RTP/AVP 0\r\n'),
        'expected video in the SDP answer, got text',
    ),
    'a redirect': (says('', 302), None, 'status 200, got 302'),
    'an answer under another key': (good_notice, answers_under_another_key, 'con_ing_: expected'),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_a_bad_signaling_answer_is_unreachable_and_says_what_was_expected(case):
    notify, exchange, message = BAD[case]

    async def main():
        async with scripted_robot(notify, exchange) as ip:
            with pytest.raises(Unreachable, match=message) as error:
                async with open_link(lan(ip), 1.0):
                    pass
            assert ip in str(error.value)
            assert '\n' not in str(error.value)

    asyncio.run(main())


def test_an_error_that_nobody_expected_is_unreachable_with_one_traceback(monkeypatch, caplog):
    """Whatever a library raises at what came from outside may not end the process."""

    def fail(*arguments):
        raise KeyError('inside of a library')

    async def main():
        async with scripted_robot(good_notice, answers(SDP)) as ip:
            with pytest.raises(Unreachable, match=f'{ip}: expected .* got KeyError'):
                async with open_link(lan(ip), 2.0):
                    pass
            with pytest.raises(Unreachable):
                async with open_link(lan(ip), 2.0, is_news=False):
                    pass

    monkeypatch.setattr('go2_webrtc_driver.link.link.apply_answer', fail)
    asyncio.run(main())
    said = [each for each in caplog.records if each.exc_info and each.levelname == 'ERROR']
    assert len(said) == 1


def test_a_bug_in_a_task_of_the_link_ends_it_at_once():
    async def main():
        async with simulated_robot() as (_, ip), open_link(lan(ip), 10.0) as link:
            link.frames.put = lambda frame: 1 / 0
            link.switch_video(True)
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(next_packet(link, 'never'), 10.0)

    asyncio.run(main())


def test_a_message_that_is_too_long_for_the_robot_is_refused_and_the_link_lives_on():
    async def main():
        async with simulated_robot() as (_, ip), open_link(lan(ip), 10.0) as link:
            with pytest.raises(InvalidCommand, match='expected a shorter message'):
                await link.request(Request(Topic.SPORT_REQUEST, 1, 'x' * 300_000), 5.0)
            link.subscribe(SPORT)
            assert await asyncio.wait_for(next_packet(link, SPORT), 10.0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ('silent', 'step'),
    [('ICE', 'a network path'), ('validation', "the robot's validation of our data channel")],
)
def test_the_error_of_an_attempt_names_the_step_that_hangs(silent, step, monkeypatch):
    async def main():
        async with simulated_robot() as (go2, ip):
            if silent == 'ICE':
                monkeypatch.setattr(
                    'aioice.ice.StunProtocol.datagram_received', lambda self, data, addr: None
                )
            go2.muted = True
            with pytest.raises(Unreachable, match=f'{ip}: expected {step}.* within 1 s'):
                async with open_link(lan(ip), 1.0):
                    pass

    asyncio.run(main())


def test_no_file_descriptor_left_for_a_knock_is_not_the_end():
    async def main(limit):
        waiting = asyncio.ensure_future(lan('127.0.0.1').wait_for_return())
        await asyncio.sleep(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files(), limit[1]))
        try:
            await asyncio.wait({waiting}, timeout=0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(main(resource.getrlimit(resource.RLIMIT_NOFILE)))


def test_a_closed_port_is_unreachable_at_once():
    async def main():
        ip = free_address()
        refused = f'{ip}: expected signaling on port 9991 or 8081, got: Connection refused'
        with pytest.raises(Unreachable, match=refused) as error:
            async with open_link(lan(ip), 10.0):
                pass
        assert 'ssl' not in str(error.value)  # a word of the HTTP library

    asyncio.run(main())


def test_an_address_without_a_route_is_unreachable(monkeypatch):
    async def main():
        with pytest.raises(Unreachable, match='expected a route'):
            async with open_link(lan('255.255.255.255'), 5.0):
                pass

    asyncio.run(main())


def open_files():
    gc.collect()
    return len(os.listdir('/proc/self/fd'))


def threads():
    return len(os.listdir('/proc/self/task'))


@asynccontextmanager
async def mute_robot():
    """Accept connections on the signaling port and never answer."""

    async def swallow(reader, writer):
        while await reader.read(1000):
            pass
        writer.close()

    ip = free_address()
    server = await asyncio.start_server(swallow, ip, signaling.PORT)
    try:
        yield ip
    finally:
        server.close()


async def fail_in_every_way(good, busy, silent):
    for ip, timeout in ((busy, 5.0), (silent, 0.3), (free_address(), 5.0)):
        with pytest.raises(LinkError):
            async with open_link(lan(ip), timeout):
                pass
    opening = asyncio.ensure_future(open_link(lan(good), 10.0).__aenter__())
    await asyncio.sleep(0.05)  # somewhere in the middle
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)


def test_nothing_is_left_behind_by_failures():
    """The robots are processes of their own: what is counted is ours alone."""

    async def main(good, busy):
        async with mute_robot() as silent, open_link(lan(busy), 10.0):
            left = []
            for _ in range(4):
                await fail_in_every_way(good, busy, silent)
                await asyncio.sleep(0.2)  # sockets end in the turns after their close
                left.append((len(asyncio.all_tasks()), open_files(), threads()))
            assert left[-1] <= left[0], left

    good, busy = free_address(), free_address()
    with (
        process('go2_webrtc_driver.sim', '--ip', good, ready='listens'),
        process('go2_webrtc_driver.sim', '--ip', busy, ready='listens'),
    ):
        asyncio.run(main(good, busy))
