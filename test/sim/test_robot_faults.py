"""What goes wrong with the simulated robot itself, switched on while it runs."""

import asyncio
import contextlib
import json
import math
import signal
import time

import pytest
from aiortc.mediastreams import MediaStreamError
from sim_client import talking
from support import free_address, lan, process, simulated_robot, source_of, until

from go2_webrtc_driver.errors import LinkBusy, LinkLost, LinkRefused
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol import messages
from go2_webrtc_driver.protocol.decoders import Sample
from go2_webrtc_driver.protocol.topics import Topic
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.wire.camera import CameraTrack
from go2_webrtc_driver.velocity import Velocity

SPORT, POSE = Topic.SPORT_MODE_STATE.value, Topic.ROBOT_POSE.value
VOXELS = Topic.VOXEL_MAP.value
PROBE = 'rtt_probe_send_from_mechine'
YEAR = 365 * 24 * 3600.0


async def packet(link, topic=SPORT):
    async for each in link.received():
        if source_of(each) == topic:
            return each


def is_refusal(message):
    return message['type'] == 'err' and message['info'] == messages.VALIDATION_NEEDED


def is_acceptance(message):
    return message['type'] == 'validation' and message['data'] == messages.VALIDATION_OK


def is_sport(message):
    return message.get('topic') == SPORT


def validate(talk, go2):
    talk.send('validation', data=messages.validation_answer(go2.client._key))


def test_a_frozen_camera_sends_no_pictures_while_data_goes_on_and_thaws():
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            link.subscribe(SPORT)
            link.switch_video(True)
            await asyncio.wait_for(link.frames.get(), 10.0)
            go2.camera_frozen = True
            await packet(link)  # by then a picture in the making is out
            sent = go2.client.camera.frames_sent
            for _ in range(5):
                await packet(link)
            assert go2.client.camera.frames_sent <= sent + 1
            go2.camera_frozen = False
            await until(lambda: go2.client.camera.frames_sent > sent + 2)

    asyncio.run(main())


def test_a_camera_stays_frozen_for_the_next_client():
    async def main():
        async with simulated_robot() as (go2, ip):
            go2.camera_frozen = True
            for _ in range(2):
                async with open_link(lan(ip), 10.0) as link:
                    link.subscribe(SPORT)
                    link.switch_video(True)
                    for _ in range(5):
                        await packet(link)
                    assert go2.client.camera.frames_sent == 0
                await until(lambda: go2.client is None)

    asyncio.run(main())


def test_a_frozen_camera_ends_when_it_is_stopped():
    async def main():
        asked = asyncio.Event()

        def is_frozen():
            asked.set()
            return True

        track = CameraTrack(Pose, is_frozen)
        track.switch(True)
        picture = asyncio.ensure_future(track.recv())
        await asked.wait()
        track.stop()
        with pytest.raises(MediaStreamError):
            await asyncio.wait_for(picture, 5.0)

    asyncio.run(main())


def test_a_client_whose_validation_is_revoked_gets_nothing_until_it_validates_again():
    async def main():
        async with simulated_robot() as (go2, _), talking(go2) as (talk, _):
            await talk.topic(SPORT)
            camera = go2.client.camera
            talk.send('vid', data='on')
            await until(lambda: camera.frames_sent > 0)
            go2.revoke()
            sent = camera.frames_sent
            talk.send('heartbeat')
            await talk.hear(is_refusal)
            await talk.hear_nothing_like(lambda m: not is_refusal(m), 0.2)
            assert camera.frames_sent <= sent + 1  # one was in the making
            talk.send('subscribe', SPORT)
            await talk.hear(is_refusal)
            validate(talk, go2)
            await talk.hear(is_acceptance)
            await talk.topic(SPORT)

    asyncio.run(main())


def test_a_validation_that_is_given_again_starts_no_second_row_of_probes():
    async def main():
        async with simulated_robot() as (go2, _), talking(go2) as (talk, _):
            first = go2.client._probe
            validate(talk, go2)
            await talk.hear(is_acceptance)
            assert go2.client._probe is first
            go2.revoke()
            await until(first.done)
            validate(talk, go2)
            await talk.hear(lambda m: m.get('info', {}).get('req_type') == PROBE)

    asyncio.run(main())


def test_a_robot_that_no_longer_validates_refuses_whoever_it_was():
    async def main():
        async with simulated_robot() as (go2, ip):
            async with talking(go2) as (talk, _):
                go2.validates = False
                go2.revoke()
                for _ in range(2):
                    validate(talk, go2)
                    await talk.hear(is_refusal)
            await go2.client.close()
            with pytest.raises(LinkRefused):
                async with open_link(lan(ip), 10.0):
                    pass
            await until(lambda: go2.client is None)
            go2.validates = True
            async with open_link(lan(ip), 10.0):
                pass

    asyncio.run(main())


def test_a_closed_channel_leaves_the_peer_connection_and_the_pictures():
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            link.switch_video(True)
            await asyncio.wait_for(link.frames.get(), 10.0)
            go2.close_channel()
            with pytest.raises(LinkLost, match='the data channel was closed'):
                await asyncio.wait_for(packet(link), 10.0)
            sent = go2.client.camera.frames_sent
            await until(lambda: go2.client.camera.frames_sent > sent + 2)
            assert link._connection.connectionState == 'connected'

    asyncio.run(main())


def test_faults_of_a_client_are_nothing_without_one():
    async def main():
        async with simulated_robot() as (go2, _):
            go2.revoke()
            go2.close_channel()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(go2.flood('x'), 0.05)

    asyncio.run(main())


def stamp(received):
    """Return the robot's clock in what a link has received [s]."""
    if isinstance(received, Sample):
        return received.value.stamp
    content = json.loads(received.data) if isinstance(received.data, str) else received.data
    found = content['stamp']
    return found if isinstance(found, float) else found['sec'] + found['nanosec'] / 1e9


def is_at(expected):
    return pytest.approx(expected, abs=30.0)


@pytest.mark.parametrize('offset', [YEAR, -YEAR])
def test_a_clock_that_jumps_shows_in_every_stamp(offset):
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            link.subscribe(SPORT)
            assert (await packet(link)).value.stamp == is_at(time.time())
            go2.clock_offset = offset
            link.switch_traffic_saving(False)
            for topic in (SPORT, POSE, Topic.LIDAR_STATE.value):
                link.subscribe(topic)
                await packet(link, topic)  # may be of before the jump
                assert stamp(await packet(link, topic)) == is_at(time.time() + offset)
            go2.add_fault(300, 1)
            assert go2.faults[0].time == is_at(time.time() + offset)

    asyncio.run(main())


def test_a_clock_that_jumped_shows_in_the_probes_of_the_round_trip():
    async def main():
        async with simulated_robot() as (go2, _):
            go2.clock_offset = YEAR
            async with talking(go2) as (talk, _):
                probe = await talk.hear(lambda m: m.get('info', {}).get('req_type') == PROBE)
                assert probe['info']['time'] / 1000 == is_at(time.time() + YEAR)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def flooding(go2, message, rate):
    task = asyncio.ensure_future(go2.flood(message, rate))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_flood_of_a_given_rate_keeps_it():
    async def main():
        async with simulated_robot() as (go2, _), talking(go2) as (talk, _):
            begun = time.monotonic()
            async with flooding(go2, '{"type": "drop"}', 200.0):
                for _ in range(100):
                    await talk.hear(lambda m: m['type'] == 'drop')
                assert time.monotonic() - begun >= 99 / 200.0

    asyncio.run(main())


@pytest.mark.parametrize('message', ['{"type": "drop"}', b'\x00' * 20_000], ids=['text', 'bytes'])
def test_a_flood_without_a_rate_starves_nobody_and_is_bounded(message):
    async def main():
        async with simulated_robot() as (go2, _), talking(go2) as (talk, _):
            async with flooding(go2, message, math.inf):
                for _ in range(20):
                    await talk.hear(lambda m: m['type'] in ('drop', 'frame'))
                assert go2.client._channel.bufferedAmount < 64 * 1024
            status, _ = await talk.ask(Topic.SPORT_REQUEST.value, 1003)
            assert status == 0

    asyncio.run(main())


def test_the_speed_is_that_of_now():
    async def main():
        async with simulated_robot() as (go2, ip), open_link(lan(ip), 10.0) as link:
            assert go2.speed == 0.0
            link.move(Velocity(-0.3, 0.1, 0.2))
            await until(lambda: go2.speed > 0.25)
            assert go2.speed <= 0.3
            await until(lambda: go2.speed == 0.0)  # a Move lasts a second

    asyncio.run(main())


async def speed(link):
    """Return the largest component of the velocity that the robot reports next."""
    link.subscribe(SPORT)
    state = (await asyncio.wait_for(packet(link), 10.0)).value
    return max(map(abs, (*state.velocity, state.yaw_speed)))


async def speed_told_to_the_next(ip):
    """Return what a new client is told, as soon as the robot has noticed that the old left."""
    while True:
        with contextlib.suppress(LinkBusy):
            async with open_link(lan(ip), 10.0) as link:
                return await speed(link)


def test_a_robot_that_was_stopped_serves_a_new_client_and_stands_still():
    async def main(robot, ip):
        async with open_link(lan(ip), 10.0) as link:
            link.move(Velocity(0.5))
            while await speed(link) < 0.3:
                pass
            robot.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.2)  # a Move lasts a second
        robot.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(speed_told_to_the_next(ip), 20.0) < 0.02

    ip = free_address()
    with process('go2_webrtc_driver.sim', '--ip', ip, ready='listens') as robot:
        asyncio.run(main(robot, ip))


def test_a_robot_that_was_killed_leaves_its_address_to_the_next():
    async def main(ip):
        async with open_link(lan(ip), 10.0) as link:
            assert await speed(link) == 0.0

    ip = free_address()
    for _ in range(2):
        with process('go2_webrtc_driver.sim', '--ip', ip, ready='listens') as robot:
            asyncio.run(main(ip))
            robot.kill()
