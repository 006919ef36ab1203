"""Independent proof: unitree_webrtc_connect's own client, unmodified, meets its robot."""

import asyncio
import json
import re
import socket
import subprocess
import sys

import aiohttp
import pytest
from aiortc import RTCSessionDescription, rtcdtlstransport
from cryptography.hazmat.primitives import hashes
from sim_client import lines, offering
from support import free_address, interrupt, process, simulated_robot
from unitree_webrtc_connect.unitree_auth import (
    send_sdp_to_local_peer,
    send_sdp_to_local_peer_old_method,
)

from go2_webrtc_driver.errors import DecodeError
from go2_webrtc_driver.peer import ice_agents
from go2_webrtc_driver.protocol import offer_answer as signaling

CLIENT = """
import asyncio, json, logging, sys
from unitree_webrtc_connect import UnitreeWebRTCConnection, WebRTCConnectionMethod
logging.disable(logging.CRITICAL)
LIDAR = 'rt/utlidar/voxel_map_compressed'

async def main():
    found = {}
    robot = UnitreeWebRTCConnection(WebRTCConnectionMethod.LocalSTA, ip=sys.argv[1],
                                    aes_128_key='00' * 16)
    await robot.connect()
    channel = robot.datachannel
    frame = asyncio.get_running_loop().create_future()

    async def on_video(track):
        picture = await track.recv()
        frame.set_result([picture.width, picture.height, picture.format.name])

    robot.video.add_track_callback(on_video)
    channel.switchVideoChannel(True)
    for topic in ('rt/lf/sportmodestate', 'rt/lf/lowstate', 'rt/utlidar/robot_pose',
                  'rt/multiplestate'):
        found[topic] = await first(channel, topic)
    found['traffic'] = await channel.disableTrafficSaving(True)
    for decoder in ('libvoxel', 'native'):
        channel.set_decoder(decoder)
        cloud = (await first(channel, LIDAR))['data']['data']
        found[decoder] = int(cloud['point_count'] if decoder == 'libvoxel'
                             else len(cloud['points']))
    found['hello'] = await channel.pub_sub.publish_request_new(
        'rt/api/sport/request', {'api_id': 1016})
    found['unknown'] = await channel.pub_sub.publish_request_new(
        'rt/api/sport/request', {'api_id': 9999})
    found['frame'] = await asyncio.wait_for(frame, 10)
    while not channel.rtc_inner_req.network_status.network_status:
        await asyncio.sleep(0.05)
    found['network'] = channel.rtc_inner_req.network_status.network_status
    while channel.heartbeat.heartbeat_response is None:
        await asyncio.sleep(0.05)
    await robot.disconnect()
    print('FOUND ' + json.dumps(found))

async def first(channel, topic):
    message = asyncio.get_running_loop().create_future()
    channel.pub_sub.subscribe(topic, lambda m: message.done() or message.set_result(m))
    found = await asyncio.wait_for(message, 10)
    channel.pub_sub.unsubscribe(topic)
    return found

asyncio.run(main())
"""


@pytest.mark.parametrize(
    'firmware', ['--data2 1', '--data2 2', '--data2 3', '--old-signaling'], ids=lambda f: f[2:]
)
def test_the_library_alone_connects_and_gets_everything(firmware):
    ip = free_address()
    options = ('--ip', ip, *firmware.split())
    with process('go2_webrtc_driver.sim', *options, ready='listens') as robot:
        client = subprocess.run(
            [sys.executable, '-c', CLIENT, ip], capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        lines = [line for line in client.stdout.splitlines() if line.startswith('FOUND ')]
        assert lines, client.stdout + client.stderr
        found = json.loads(lines[0].removeprefix('FOUND '))
        assert found['frame'] == [1280, 720, 'yuv420p']
        assert found['rt/lf/sportmodestate']['data']['error_code'] == 100
        assert len(found['rt/lf/lowstate']['data']['motor_state']) == 20
        assert found['rt/utlidar/robot_pose']['data']['header']['frame_id'] == 'odom'
        assert isinstance(found['rt/multiplestate']['data'], str)
        assert found['traffic'] is True
        assert found['libvoxel'] == found['native'] > 1000
        assert found['hello']['data']['header']['status']['code'] == 0
        assert found['unknown']['data']['header']['status']['code'] == 3203
        assert found['network'] == 'STA-L'
        status, _, output = interrupt(robot)
        assert (status, 'Traceback' in output) == (0, False), output


def test_two_robots_live_on_two_addresses_and_one_address_has_one_robot():
    first, second = free_address(), free_address()
    with (
        process('go2_webrtc_driver.sim', '--ip', first, ready='listens'),
        process('go2_webrtc_driver.sim', '--ip', second, ready='listens'),
        process('go2_webrtc_driver.sim', '--ip', first, ready='cannot listen') as third,
    ):
        assert third.wait(10) == 1


def test_the_library_finds_the_old_signaling_and_the_data_channel_opens():
    async def main():
        async with (
            simulated_robot(old_signaling=True) as (_, ip),
            offering() as (peer, offer, heard),
        ):
            answer = await asyncio.to_thread(send_sdp_to_local_peer, ip, json.dumps(offer))
            await peer.setRemoteDescription(RTCSessionDescription(**json.loads(answer)))
            assert json.loads(await asyncio.wait_for(heard, 5.0))['type'] == 'validation'

    asyncio.run(main())


def test_a_busy_robot_with_old_signaling_says_reject():
    async def main():
        async with (
            simulated_robot(old_signaling=True) as (_, ip),
            offering() as (_, offer, _),
        ):
            exchange = send_sdp_to_local_peer_old_method, ip, json.dumps(offer)
            assert json.loads(await asyncio.to_thread(*exchange))['sdp'].startswith('v=0')
            assert json.loads(await asyncio.to_thread(*exchange)) == {
                'sdp': 'reject', 'type': 'answer',
            }  # fmt: skip

    asyncio.run(main())


@pytest.mark.parametrize('old', [True, False])
def test_a_robot_has_one_port_for_its_signaling(old):
    async def main():
        async with simulated_robot(old_signaling=old) as (_, ip):
            for port in (signaling.OLD_PORT, signaling.PORT):
                with socket.socket() as probe:
                    refused = await asyncio.to_thread(probe.connect_ex, (ip, port))
                assert bool(refused) is (old is not (port == signaling.OLD_PORT))

    asyncio.run(main())


@pytest.mark.parametrize('body', ['no JSON', '[]', '{}', '{"sdp": "v=0", "type": "offer"}'])
def test_a_bad_offer_gets_no_answer_and_the_robot_stays_free(body):
    async def main():
        async with (
            simulated_robot(old_signaling=True) as (go2, ip),
            aiohttp.ClientSession() as session,
        ):
            response = await session.post(f'http://{ip}:8081/offer', data=body)
            assert (response.status, go2.client) == (400, None)

    asyncio.run(main())


@pytest.mark.parametrize(
    'changed',
    [
        {'turnserver': 'turn:host'},
        {'turnserver': {'realm': 'turn:host'}},
        {'turnserver': {'realm': 'host', 'user': '', 'passwd': ''}},
        {'type': 'answer'},
        {'sdp': None},
    ],
)
def test_an_offer_with_a_bad_part_is_refused_with_a_reason(changed):
    async def main():
        async with simulated_robot() as (go2, _), offering() as (_, offer, _):
            with pytest.raises(DecodeError, match=r'^offer: '):
                await go2.answer({**offer, **changed})
            assert go2.client is None

    asyncio.run(main())


OLD_FORM = ['m=application PORT DTLS/SCTP 5000', 'a=sctpmap:5000 webrtc-datachannel 65535']
ALGORITHMS = {  # of aiortc alone; the library takes all but the first away
    'sha-256': hashes.SHA256(),
    'sha-384': hashes.SHA384(),
    'sha-512': hashes.SHA512(),
}
NEW_FORM = ['m=application PORT UDP/DTLS/SCTP webrtc-datachannel', 'a=sctp-port:5000']


def application(sdp):
    """Return what tells the form of the application section; its port is that of ICE."""
    found = [each for start in ('m=application', 'a=sctp') for each in lines(sdp, start)]
    return [re.sub(r'^m=application \d+', 'm=application PORT', each) for each in found]


@pytest.mark.parametrize(
    ('legacy', 'fingerprints', 'form'),
    [
        (True, ['sha-256'], OLD_FORM),
        (False, ['sha-256'], NEW_FORM),
        (True, ['sha-256', 'sha-384'], NEW_FORM),
        (True, ['sha-256', 'sha-512'], NEW_FORM),
        (False, ['sha-256', 'sha-384', 'sha-512'], NEW_FORM),
    ],
)
def test_long_fingerprints_make_the_robot_answer_in_the_newer_sctp_form(
    legacy, fingerprints, form, monkeypatch
):
    kept = {name: ALGORITHMS[name] for name in fingerprints}
    monkeypatch.setattr(rtcdtlstransport, 'X509_DIGEST_ALGORITHMS', kept)

    async def main():
        async with simulated_robot() as (go2, _), offering(legacy=legacy) as (peer, offer, heard):
            assert bool(lines(offer['sdp'], 'a=sctpmap:')) is legacy
            assert len(lines(offer['sdp'], 'a=fingerprint:')) == 3 * len(fingerprints)
            answer = await go2.answer(offer)
            assert application(answer.sdp) == form
            assert lines(answer.sdp, 'a=max-message-size:')
            await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, answer.type))
            assert json.loads(await asyncio.wait_for(heard, 5.0))['type'] == 'validation'

    asyncio.run(main())


def test_a_robot_with_neither_turn_server_nor_direct_path_offers_no_candidates():
    async def main():
        async with simulated_robot(relay_only=True) as (go2, _), offering() as (_, offer, _):
            assert lines((await go2.answer(offer)).sdp, 'a=candidate:') == []

    asyncio.run(main())


def test_a_robot_offers_its_own_address_alone_and_asks_no_stun_server():
    async def main():
        async with simulated_robot() as (go2, ip), offering() as (_, offer, _):
            sdp = (await go2.answer(offer)).sdp
            found = {tuple(line.split()[4:8:3]) for line in lines(sdp, 'a=candidate:')}
            assert found == {(ip, 'host')}

    asyncio.run(main())


def test_a_client_closes_once_however_many_ask_and_whoever_gives_up():
    async def main():
        async with simulated_robot() as (go2, _), offering() as (_, offer, _):
            await go2.answer(offer)
            client = go2.client
            impatient = asyncio.ensure_future(client.close())
            await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.wait_for(asyncio.gather(client.close(), client.close()), 1.0)
            assert client._watch.done()
            assert go2.client is None

    asyncio.run(main())


def test_a_handshake_that_ends_after_close_starts_nothing_that_lasts():
    async def main():
        async with simulated_robot() as (go2, _), offering() as (_, offer, _):
            await go2.answer(offer)
            agents = ice_agents(go2.client._connection)
            await go2.client.close()
            for agent in agents:
                await asyncio.wait_for(agent.query_consent(), 1.0)

    asyncio.run(main())
