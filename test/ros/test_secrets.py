"""
Everything a driver says over ROS, looked at for secrets: also when it is turned away.

What its process prints is looked at in every test (``secret_watch``). The cloud is in this
process, so that the tokens it hands out are known here.
"""

import contextlib

import pytest
from aiohttp import web
from diagnostic_msgs.msg import DiagnosticArray
from driver_process import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    DRIVER,
    context,
    robot_in_this_process,
    set_parameter,
    user,
)
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from remote import LOGIN, SERIAL, coturn, needs_coturn, remote_robot
from secret_watch import SECRETS
from std_msgs.msg import String
from std_srvs.srv import Trigger
from support import process, read_output, wait_for_output

from go2_webrtc_driver.protocol.cloud import Reply, encode_reply
from go2_webrtc_driver.ros.event_loop_thread import EventLoopThread
from go2_webrtc_driver.signaling.credentials import Credentials
from go2_webrtc_driver.sim.wire.cloud_server import CloudOptions, SimulatedCloud

__all__ = ['context', 'coturn', 'user']  # fixtures
RIGHT, WRONG = bytes(range(0x30, 0x40)), bytes(range(0x60, 0x70))  # AES keys
ALL = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Witness:
    """Hears all that a driver says, and looks for secrets in it."""

    def __init__(self, user):
        self._user = user
        self.heard = {'/rosout': '', '/diagnostics': '', 'go2_driver/response': ''}
        for (name, kind), qos in {
            ('/rosout', Log): ALL,
            ('/diagnostics', DiagnosticArray): 10,
            ('go2_driver/response', String): 10,
        }.items():
            user.create_subscription(
                kind, name, lambda message, n=name: self._hear(n, message), qos
            )

    def _hear(self, name, message):
        self.heard[name] += str(message)
        SECRETS.look(str(message), name)

    def wait_for(self, name, text):
        self._user.until(lambda: text in self.heard[name])

    def ask(self):
        """Ask the driver for all that it would tell anybody."""
        user = self._user
        names = user.call(ListParameters, 'list_parameters', ListParameters.Request()).result.names
        for kind in (GetParameters, DescribeParameters):
            name = 'get_parameters' if kind is GetParameters else 'describe_parameters'
            SECRETS.look(str(user.call(kind, name, kind.Request(names=names))), 'the parameters')
        SECRETS.look(str(user.call(Trigger, 'stand_up', Trigger.Request())), 'a service')
        SECRETS.look(set_parameter(user, 'cloud_url', 'ftp://x').reason, 'a refused parameter')


@contextlib.contextmanager
def in_the_background(asynchronous):
    """Enter an asynchronous context on a loop of its own."""
    loop = EventLoopThread('background')
    try:
        entered = loop.run(asynchronous.__aenter__(), 10.0)
        try:
            yield entered
        finally:
            loop.run(asynchronous.__aexit__(None, None, None), 10.0)
    finally:
        loop.stop(10.0)


@contextlib.asynccontextmanager
async def running(cloud):
    await cloud.start()
    try:
        yield cloud
    finally:
        await cloud.stop()


def driver(user, *parameters, env=None):
    """Run a driver that says all it can."""
    arguments = ['--ros-args', '-r', f'__ns:=/{user.space}']
    arguments += ['--log-level', f'{user.space}.go2_driver:=debug']
    arguments += [word for each in parameters for word in ('-p', each)]
    return process(DRIVER, *arguments, env=env)


def remote_driver(user, url, credentials, *parameters):
    """Run a driver with these credentials in its environment."""
    return driver(
        user, 'connection_method:=remote', f'serial_number:={SERIAL}', f'cloud_url:={url}',
        "ice_servers:=''", *parameters,
        env={'UNITREE_EMAIL': credentials.email, 'UNITREE_PASSWORD': credentials.password},
    )  # fmt: skip


@needs_coturn
def test_a_driver_with_an_account_tells_nobody_its_secrets(user, coturn):
    witness = Witness(user)
    with (
        in_the_background(remote_robot(coturn)) as remote,
        remote_driver(user, remote.cloud.url, LOGIN) as started,
    ):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        witness.wait_for('/diagnostics', 'connected')
        witness.wait_for('/rosout', 'connected: the robot sends data')
        witness.ask()
        witness.wait_for('go2_driver/response', 'status')
        remote.cloud.expire_everything()
        assert user.transition(DEACTIVATE)
        remote.cloud.robots.clear()
        assert not user.transition(ACTIVATE)
        witness.wait_for('/rosout', 'not online')
        read_output(started)
        assert SECRETS.take() == []
        (token,) = remote.cloud._access_tokens
        SECRETS.look(token, 'this test')
        assert SECRETS.take(), 'the tokens of this cloud are not known'


class EchoingCloud(SimulatedCloud):
    """Turns everybody away, and says in its words all that it was told."""

    async def _log_in(self, form):
        reply = Reply(1005, ' '.join(map(str, form.values())))
        raise web.HTTPOk(text=encode_reply(reply))  # past the log of this cloud


def test_a_driver_with_a_wrong_password_does_not_show_it(user):
    witness, wrong = Witness(user), Credentials('me@example.com', 'wrong-password')
    with (
        in_the_background(running(EchoingCloud(CloudOptions()))) as cloud,
        remote_driver(user, cloud.url, wrong) as started,
    ):
        assert user.transition(CONFIGURE)
        assert not user.transition(ACTIVATE)
        witness.wait_for('/rosout', "the cloud answered code 1005 '*** ***'")
        witness.ask()
        wait_for_output(started, 'code 1005')
        assert SECRETS.take() == []


def test_a_wrong_password_is_not_shown_by_the_diagnostics_either(user):
    witness, wrong = Witness(user), Credentials('me@example.com', 'wrong-password')
    with (
        in_the_background(running(EchoingCloud(CloudOptions()))) as cloud,
        remote_driver(user, cloud.url, wrong, 'wait_for_robot:=false'),
    ):
        assert user.transition(CONFIGURE)
        assert user.transition(ACTIVATE)
        witness.wait_for('/diagnostics', 'code 1005')
        assert SECRETS.take() == []


def test_a_wrong_aes_key_is_not_shown_nor_is_the_right_one(user):
    witness = Witness(user)
    SECRETS.learn(RIGHT, 'the AES key')
    with (
        robot_in_this_process(scheme=3, device_key=RIGHT) as (go2, _),
        driver(user, f'robot_ip:={go2.ip}', env={'UNITREE_AES_128_KEY': WRONG.hex()}),
    ):
        assert user.transition(CONFIGURE)
        assert not user.transition(ACTIVATE)
        witness.wait_for('/rosout', 'cannot be decrypted with the configured AES key')
        witness.ask()
        assert SECRETS.take() == []


@pytest.mark.parametrize('mode', [0o644, 0o600])
def test_a_bad_file_of_secrets_is_refused_without_showing_them(user, tmp_path, mode):
    witness = Witness(user)
    SECRETS.learn('password-in-a-file', 'a password')
    path = tmp_path / 'credentials.yaml'
    path.write_text('password-in-a-file: password-in-a-file\n')
    path.chmod(mode)
    with driver(user, 'robot_ip:=127.0.0.1', f'credentials_file:={path}'):
        assert not user.transition(CONFIGURE)
        witness.wait_for('/rosout', f'credentials_file {path}: expected')
        assert SECRETS.take() == []
        assert set_parameter(user, 'credentials_file', '').successful
        assert user.transition(CONFIGURE)
        assert user.transition(CLEANUP)


def test_a_token_in_the_environment_is_not_shown(user):
    witness = Witness(user)
    with (
        in_the_background(running(SimulatedCloud())) as cloud,
        driver(
            user, 'connection_method:=remote', f'serial_number:={SERIAL}',
            f'cloud_url:={cloud.url}',
            env={'UNITREE_TOKEN': 'token-of-before'},
        ),
    ):  # fmt: skip
        assert user.transition(CONFIGURE)
        assert not user.transition(ACTIVATE)
        witness.wait_for('/rosout', 'token of the cloud has expired')
        assert SECRETS.take() == []
