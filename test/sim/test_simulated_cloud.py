"""The simulated cloud: the library's own client, unmodified, meets it."""

import asyncio
import contextlib
import json
import sys

import aiohttp
import pytest
from aiortc import RTCSessionDescription
from networks.turn_server import turn_server
from networks.udp_relay import UdpRelay
from remote import needs_coturn
from sim_client import lines, offering
from support import free_address, in_own_network, process, simulated_robot
from unitree_webrtc_connect.encryption import (
    aes_decrypt,
    aes_encrypt,
    generate_aes_key,
    rsa_encrypt,
    rsa_load_public_key,
)
from unitree_webrtc_connect.unitree_cloud import UnitreeCloud, UnitreeCloudError

from go2_webrtc_driver.protocol import cloud as calls
from go2_webrtc_driver.protocol import sealing
from go2_webrtc_driver.protocol.cloud import TurnAccount
from go2_webrtc_driver.sim.wire.cloud_server import REFUSED, CloudOptions, SimulatedCloud

SN = 'B42D1000SIM00001'
EMAIL, PASSWORD = 'dog@example.com', 'Wuff! öäü'
KEY = bytes(range(16))
TURN = TurnAccount('turn:127.0.0.1:3478', 'user', 'pass')


@contextlib.asynccontextmanager
async def simulated_cloud(turn=TURN):
    options = CloudOptions(
        ip=free_address(), email=EMAIL, password=PASSWORD, turn=turn, bound={SN: KEY, 'OLD': None}
    )
    cloud = SimulatedCloud(options)
    await cloud.start()
    try:
        yield cloud
    finally:
        await cloud.stop()


class Library:
    """The library's client of the cloud, in a thread; its own reconnecting and checking."""

    def __init__(self, url):
        self.client = UnitreeCloud()
        self.client.base_url = url

    async def log_in(self, password=PASSWORD):
        await self.call('login_email', EMAIL, password)

    async def call(self, name, *arguments):
        return await asyncio.to_thread(getattr(self.client, name), *arguments)

    async def session(self):
        """Return a new session key, and how the library sends it."""
        key = generate_aes_key()
        return key, rsa_encrypt(key, rsa_load_public_key(await self.call('get_pub_key')))

    async def exchange(self, offer):
        """Return the robot's answer to ``offer`` as the library gets it."""
        key, sealed_key = await self.session()
        sealed = aes_encrypt(json.dumps(offer), key)
        answer = await self.call('webrtc_connect', SN, sealed_key, sealed)
        return json.loads(aes_decrypt(answer, key))


@contextlib.asynccontextmanager
async def logged_in(**options):
    async with simulated_cloud(**options) as cloud:
        library = Library(cloud.url)
        await library.log_in()
        yield cloud, library


async def refused(library, name, *arguments):
    """Return the code and words of the refusal of a call."""
    with pytest.raises(UnitreeCloudError) as error:
        await library.call(name, *arguments)
    return error.value.code, error.value.msg


def test_the_library_logs_in_and_sees_the_robots_with_their_keys():
    async def main():
        async with logged_in() as (cloud, library):
            cloud.robots['OLD'] = None
            one, other = await library.call('list_devices')
            assert (one.sn, one.key, one.series, one.online) == (SN, KEY.hex(), 'Go2', False)
            assert (other.sn, other.key, other.online) == ('OLD', '', True)
            assert cloud.calls == [calls.LOGIN, calls.DEVICES]

    asyncio.run(main())


def test_a_wrong_password_is_refused():
    async def main():
        async with simulated_cloud() as cloud:
            code, words = await refused(Library(cloud.url), 'login_email', EMAIL, 'meow')
            assert (code, words) == (REFUSED, 'the email or the password is wrong')

    asyncio.run(main())


def test_a_wrong_signature_is_refused():
    async def main():
        headers = {**calls.headers('', 1, 'nonce'), 'AppTimestamp': '2'}
        async with simulated_cloud() as cloud, aiohttp.ClientSession(headers=headers) as session:
            response = await session.get(cloud.url + calls.PUBLIC_KEY)
            reply = calls.decode_reply('test', await response.text())
        assert (reply.code, reply.message) == (REFUSED, 'the signature is wrong')

    asyncio.run(main())


def test_the_library_renews_an_expired_token():
    async def main():
        async with logged_in() as (cloud, library):
            cloud.expire_tokens()
            assert len(await library.call('list_devices')) == 2
            assert cloud.calls == [calls.LOGIN, calls.DEVICES, calls.REFRESH, calls.DEVICES]

    asyncio.run(main())


def test_a_refresh_token_works_once():
    async def main():
        async with logged_in() as (cloud, library):
            spent = library.client.refresh_token
            cloud.expire_tokens()
            await library.call('list_devices')
            library.client.refresh_token = spent
            cloud.expire_tokens()
            assert (await refused(library, 'list_devices'))[0] == calls.TOKEN_EXPIRED

    asyncio.run(main())


def test_when_everything_expired_only_the_password_helps():
    async def main():
        async with logged_in() as (cloud, library):
            cloud.expire_everything()
            assert (await refused(library, 'list_devices'))[0] == calls.TOKEN_EXPIRED
            await library.log_in()
            assert len(await library.call('list_devices')) == 2

    asyncio.run(main())


def test_the_library_unseals_the_turn_account():
    async def main():
        async with logged_in() as (_, library):
            key, sealed_key = await library.session()
            account = await library.call('webrtc_account', SN, sealed_key)
            assert json.loads(aes_decrypt(account, key)) == TURN.as_json()
            assert calls.decode_turn_account(account, key) == TURN

    asyncio.run(main())


def test_a_robot_of_somebody_else_gets_no_turn_account_and_no_offer():
    async def main():
        async with logged_in() as (_, library):
            key, sealed_key = await library.session()
            wrong = REFUSED, 'the robot is not bound to the account'
            assert await refused(library, 'webrtc_account', 'X', sealed_key) == wrong
            offer = aes_encrypt('{}', key)
            assert await refused(library, 'webrtc_connect', 'X', sealed_key, offer) == wrong

    asyncio.run(main())


def test_a_bound_robot_that_is_not_online_is_offline():
    async def main():
        async with logged_in() as (_, library):
            with pytest.raises(UnitreeCloudError) as error:
                await library.exchange({})
            assert error.value.code == calls.DEVICE_OFFLINE

    asyncio.run(main())


@pytest.mark.parametrize(
    ('seal', 'key'),
    [
        (lambda text, key: 'no base64!', None),
        (lambda text, key: aes_encrypt(text, generate_aes_key()), None),
        (lambda text, key: aes_encrypt('no JSON', key), None),
        (lambda text, key: aes_encrypt('{"sdp": 1, "type": "offer"}', key), None),
        (lambda text, key: aes_encrypt('{"sdp": "v=0", "type": "offer"}', key), None),
        (aes_encrypt, 'bm8ga2V5'),
    ],
    ids=['text', 'other key', 'no JSON', 'no SDP', 'empty SDP', 'no session key'],
)
def test_a_bad_offer_is_refused_and_the_robot_stays_free(seal, key):
    async def main():
        async with logged_in() as (cloud, library), simulated_robot() as (go2, _):
            cloud.robots[SN] = go2
            session_key, sealed_key = await library.session()
            sealed = seal('{}', session_key)
            code, _ = await refused(library, 'webrtc_connect', SN, key or sealed_key, sealed)
            assert code == REFUSED
            assert go2.client is None

    asyncio.run(main())


def test_a_robot_that_does_not_answer_in_time_is_offline():
    async def main():
        async with logged_in() as (cloud, library), simulated_robot() as (go2, _):
            cloud.robots[SN] = go2
            go2.answer = lambda offer: asyncio.Event().wait()
            key, sealed_key = await library.session()
            arguments = SN, sealed_key, aes_encrypt('{}', key), 0.05
            assert (await refused(library, 'webrtc_connect', *arguments))[0] == (
                calls.DEVICE_OFFLINE
            )

    asyncio.run(main())


def test_an_offer_through_the_cloud_opens_the_data_channel_and_a_second_one_is_rejected():
    async def main():
        async with (
            logged_in() as (cloud, library),
            simulated_robot() as (go2, _),
            offering() as (peer, offer, heard),
        ):
            cloud.robots[SN] = go2
            answer = await library.exchange(offer)
            assert await library.exchange(offer) == {'sdp': 'reject', 'type': 'answer'}
            await peer.setRemoteDescription(RTCSessionDescription(**answer))
            assert json.loads(await asyncio.wait_for(heard, 5.0))['type'] == 'validation'

    asyncio.run(main())


@needs_coturn
def test_a_robot_without_a_direct_path_is_reached_through_the_turn_server():
    async def main():
        ip = free_address()
        with turn_server(ip, TURN.username, TURN.password) as server:
            relay = await UdpRelay.start(ip, server)
            turn = TurnAccount(f'turn:{ip}:{relay.address[1]}', TURN.username, TURN.password)
            async with (
                logged_in(turn=turn) as (cloud, library),
                simulated_robot(relay_only=True) as (go2, _),
                offering(turn) as (peer, offer, heard),
            ):
                cloud.robots[SN] = go2
                answer = await library.exchange(offer)
                kinds = {line.split()[7] for line in lines(answer['sdp'], 'a=candidate:')}
                assert kinds == {'relay'}
                await peer.setRemoteDescription(RTCSessionDescription(**answer))
                assert json.loads(await asyncio.wait_for(heard, 5.0))['type'] == 'validation'
            await relay.stop()

    asyncio.run(main())


def test_the_program_serves_a_cloud_with_its_robot_online():
    ip = free_address()
    with process(
        'go2_webrtc_driver.sim', '--ip', ip, '--serial', 'MINE', '--cloud-port', '0',
        '--cloud-email', EMAIL, '--cloud-password', PASSWORD, '--data2', '3',
        '--turn', TURN.url, '--turn-username', 'user', '--turn-password', 'pass',
        ready='simulated cloud listens on http',
    ) as robot:  # fmt: skip
        url = robot.text.split('simulated cloud listens on ')[1].split()[0]

        async def main():
            library = Library(url)
            await library.log_in()
            (device,) = await library.call('list_devices')
            assert (device.sn, device.online, device.key) == ('MINE', True, '00' * 16)
            key, sealed_key = await library.session()
            account = await library.call('webrtc_account', 'MINE', sealed_key)
            assert json.loads(aes_decrypt(account, key)) == TURN.as_json()

        asyncio.run(main())


CLIENT = """
import asyncio, logging, sys
from unitree_webrtc_connect import UnitreeWebRTCConnection, WebRTCConnectionMethod
from unitree_webrtc_connect.unitree_cloud import BASE_URLS
BASE_URLS['global'], email, password, serial_number = sys.argv[1:]

async def main():
    robot = UnitreeWebRTCConnection(WebRTCConnectionMethod.Remote, serialNumber=serial_number,
                                    username=email, password=password)
    await robot.connect()
    print('ICE', robot.pc.iceConnectionState, robot.datachannel.data_channel_opened)
    await robot.disconnect()

asyncio.run(main())
"""


@needs_coturn
@in_own_network()
def test_the_library_alone_connects_remotely():
    """In a network of its own: the library asks a STUN server of Google."""

    async def main():
        with turn_server(free_address(), TURN.username, TURN.password) as server:
            turn = TurnAccount('turn:{}:{}'.format(*server), TURN.username, TURN.password)
            async with (
                simulated_cloud(turn) as cloud,
                simulated_robot(relay_only=True) as (go2, _),
            ):
                cloud.robots[SN] = go2
                client = await asyncio.create_subprocess_exec(
                    sys.executable, '-c', CLIENT, cloud.url, EMAIL, PASSWORD, SN,
                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                )  # fmt: skip
                output, _ = await asyncio.wait_for(client.communicate(), 30.0)
                assert b'ICE completed True' in output, output.decode()
                assert cloud.calls == [
                    calls.LOGIN, calls.PUBLIC_KEY, calls.ACCOUNT, calls.CONNECT,
                ]  # fmt: skip

    asyncio.run(main())


def test_the_public_key_comes_as_base64_of_pem():
    async def main():
        async with simulated_cloud() as cloud:
            text = await Library(cloud.url).call('get_pub_key')
            assert sealing.from_base64('test', text).startswith(b'-----BEGIN PUBLIC KEY-----')
            assert sealing.decode_public_key('test', text).key_size == 2048

    asyncio.run(main())
