import dataclasses
from pathlib import Path

import pytest
import yaml

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.errors import ConfigError

FIELDS = dataclasses.fields(DriverConfig)
CONFIG = Path(__file__).parent.parent / 'config'


@pytest.mark.parametrize('field', FIELDS, ids=lambda field: field.name)
def test_every_parameter_is_described_and_every_number_has_a_unit_and_a_range(field):
    assert field.metadata['description']
    if isinstance(field.default, float):
        low, high = field.metadata['range']
        assert low <= field.default <= high
        assert '[' in field.metadata['description']


def test_the_shipped_file_lists_every_parameter_at_its_default():
    shipped = yaml.safe_load((CONFIG / 'go2.yaml').read_text())['/**']['ros__parameters']
    assert shipped == {field.name: field.default for field in FIELDS}


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('robot_ip', 'dog'), ('robot_ip', '1.2.3'), ('robot_ip', 7), ('connection_method', 'usb'),
        ('region', 'moon'), ('serial_number', 'B42 D'), ('serial_number', 'x' * 65),
        ('cloud_url', 'http://robot-api.example/'), ('cloud_url', 'https:///'),
        ('cloud_url', 'http://127.evil.example/'), ('cloud_url', 'https://me:word@host/'),
        ('cloud_url', 'https://host:99999/'), ('cloud_url', 'https://[::1'),
        ('cloud_url', 'https://ho st/'), ('cloud_url', 'https://host/\r'),
        ('cloud_url', 'file:///etc'), ('ice_servers', 'turn:'), ('ice_servers', 'http://x'),
        ('ice_servers', 'turn:u:p@host'),
        ('connect_timeout', 0.0),
        ('connect_timeout', float('nan')), ('connect_timeout', 10), ('max_linear_x', -1.0),
        ('max_linear_x', 99.0), ('image_encoding', 'yuv'), ('wait_for_robot', 1),
        ('camera_frame', ''), ('command_rate', float('inf')),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_its_name_and_what_came(name, value):
    with pytest.raises(ConfigError, match=name) as refusal:
        DriverConfig(**{name: value})
    assert repr(value) in str(refusal.value) or value == ''
    assert '\n' not in str(refusal.value)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('cloud_url', 'https://robot-api.example/'), ('cloud_url', 'http://127.0.0.1:8080/'),
        ('cloud_url', 'http://[::1]:8080'), ('robot_ip', 'fe80::1'), ('ice_servers', ''),
        ('ice_servers', 'stun:stun.example turn:turn.example:3478?transport=tcp turns:t.example'),
    ],
)  # fmt: skip
def test_a_good_address_is_taken(name, value):
    assert getattr(DriverConfig(**{name: value}), name) == value
