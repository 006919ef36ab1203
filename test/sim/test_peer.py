"""Independent proof: unitree_webrtc_connect's own client, unmodified, meets its robot."""

import json
import subprocess
import sys

import pytest
from support import free_address, interrupt, process

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


@pytest.mark.parametrize('scheme', ['1', '2', '3'])
def test_the_library_alone_connects_and_gets_everything(scheme):
    ip = free_address()
    with process('go2_webrtc_driver.sim', '--ip', ip, '--data2', scheme, ready='listens') as robot:
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
