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
        ('robot_ip', 'dog'), ('robot_ip', ''), ('robot_ip', 7), ('connect_timeout', 0.0),
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
