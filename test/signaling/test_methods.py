import re

import pytest

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.errors import ConfigError
from go2_webrtc_driver.signaling.credentials import Credentials
from go2_webrtc_driver.signaling.methods import signaling_factory

SERIAL = 'B42D1000TEST0001'
LOGIN = Credentials(email='me@example.com', password='secret')


def make(credentials=LOGIN, **parameters):
    return signaling_factory(DriverConfig(**parameters), credentials)


@pytest.mark.parametrize(
    ('parameters', 'robot'),
    [
        ({'robot_ip': '192.168.1.5'}, '192.168.1.5'),
        ({'serial_number': SERIAL}, SERIAL),
        ({'robot_ip': '192.168.1.5', 'serial_number': SERIAL}, '192.168.1.5'),
        ({'connection_method': 'local_ap'}, '192.168.12.1'),
        ({'connection_method': 'remote', 'serial_number': SERIAL}, SERIAL),
    ],
)
def test_every_method_names_its_robot_and_makes_a_new_attempt_each_time(parameters, robot):
    factory = make(**parameters)
    assert factory().robot == f'robot {robot}'
    assert factory() is not factory()


def test_a_token_alone_is_enough_for_remote():
    make(Credentials(token='t'), connection_method='remote', serial_number=SERIAL)


@pytest.mark.parametrize(
    ('credentials', 'parameters', 'why'),
    [
        (LOGIN, {}, "expected the robot's robot_ip or serial_number, both are empty"),
        (LOGIN, {'connection_method': 'local_ap', 'robot_ip': '192.168.1.5'}, '192.168.12.1'),
        (LOGIN, {'connection_method': 'remote'}, 'expected serial_number, it is empty'),
        (
            Credentials(email='me@example.com'),
            {'connection_method': 'remote', 'serial_number': SERIAL},
            'expected a token, or email and password',
        ),
    ],
)
def test_a_method_without_what_it_needs_is_refused(credentials, parameters, why):
    with pytest.raises(ConfigError, match=re.escape(why)) as refusal:
        make(credentials, **parameters)
    assert str(refusal.value).startswith('connection_method ')
