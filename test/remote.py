"""A simulated robot behind a simulated cloud and a real TURN server, for tests."""

import contextlib
from dataclasses import dataclass

import pytest
from networks import turn_server
from networks.udp_relay import UdpRelay
from support import free_address

from go2_webrtc_driver.protocol.cloud import TurnAccount
from go2_webrtc_driver.signaling.account import Cloud
from go2_webrtc_driver.signaling.credentials import Credentials
from go2_webrtc_driver.signaling.remote import RemoteSignaling
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.cloud_server import CloudOptions, SimulatedCloud
from go2_webrtc_driver.sim.wire.peer import SimulatedGo2

SERIAL = 'B42D1000TEST0001'
TURN_USER, TURN_PASSWORD = 'turn-user', 'turn-secret'  # no word of a usage text
LOGIN = Credentials(email='me@example.com', password='my-password')
needs_coturn = pytest.mark.skipif(
    not turn_server.is_installed(), reason='coturn is not installed (apt-get install coturn)'
)


@pytest.fixture(scope='module')
def coturn():
    """A real TURN server; its address and port."""
    with turn_server.turn_server('127.0.0.1', TURN_USER, TURN_PASSWORD) as server:
        yield server


def cloud_arguments(ip, coturn):
    """Return what makes ``sim_robot`` serve a cloud that lends out this TURN server."""
    return [
        '--ip', ip, '--serial', SERIAL, '--cloud-port', '0',
        '--cloud-email', LOGIN.email, '--cloud-password', LOGIN.password,
        '--turn', 'turn:{}:{}'.format(*coturn), '--turn-username', TURN_USER,
        '--turn-password', TURN_PASSWORD,
    ]  # fmt: skip


@dataclass
class Remote:
    """
    Everything between the driver and a robot that is far away.

    Attributes:
        go2: the robot.
        cloud: where it is online.
        relay: between both and the TURN server.
        account: ours at the cloud.
    """

    go2: SimulatedGo2
    cloud: SimulatedCloud
    relay: UdpRelay
    account: Cloud

    def signaling(self):
        return RemoteSignaling(self.account, SERIAL, ())


@contextlib.asynccontextmanager
async def remote_robot(coturn, *, turn_password=TURN_PASSWORD, **options):
    """Put a robot online; the TURN server is reached through ``relay``."""
    relay = await UdpRelay.start('127.0.0.1', coturn)
    turn = TurnAccount('turn:{}:{}'.format(*relay.address), TURN_USER, turn_password)
    go2 = SimulatedGo2(Options(ip=free_address(), serial_number=SERIAL, **options))
    cloud = SimulatedCloud(
        CloudOptions(email=LOGIN.email, password=LOGIN.password, turn=turn, bound={SERIAL: None})
    )
    await go2.start()
    await cloud.start()
    cloud.robots[SERIAL] = go2
    try:
        yield Remote(go2, cloud, relay, Cloud(cloud.url, SERIAL, LOGIN))
    finally:
        relay.silent = False
        await go2.stop()
        await cloud.stop()
        await relay.stop()
