"""The camera's calibration from a file that anybody may have named."""

import os
from pathlib import Path

import pytest
import yaml

from go2_webrtc_driver.errors import ConfigError
from go2_webrtc_driver.ros import calibration
from go2_webrtc_driver.ros.calibration import LARGEST_FILE, load_calibration, load_calibrations

CONFIG = Path(__file__).parents[2] / 'config'
SHIPPED = CONFIG / 'camera_1280x720.yaml'
PASSWORD = 'hunter2-secret'


def changed(tmp_path, **fields):
    """Write the shipped calibration with other fields; None: without it; a list: as data."""
    content = yaml.safe_load(SHIPPED.read_text())
    for name, value in fields.items():
        if value is None:
            del content[name]
        elif isinstance(value, list):
            content[name]['data'] = value
        else:
            content[name] = value
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump(content))
    return path


ZEROS = {
    'camera_matrix': [0.0] * 9,
    'rectification_matrix': [0.0] * 9,
    'projection_matrix': [0.0] * 12,
}


@pytest.mark.parametrize(
    ('fields', 'complaint'),
    [
        ({'image_width': 0}, 'image_width: expected 1 to 16384 pixels, got 0'),
        ({'image_height': -720}, 'image_height: expected 1 to 16384 pixels, got -720'),
        ({'image_width': 10**9}, 'image_width: expected 1 to 16384 pixels'),
        ({'image_height': 720.5}, 'image_height: expected 1 to 16384 pixels, got no number'),
        ({'image_width': True}, 'image_width: expected 1 to 16384 pixels'),
        ({'image_width': None}, 'image_width: expected 1 to 16384 pixels'),
        ({'distortion_model': ''}, 'distortion_model: expected one of plumb_bob'),
        ({'distortion_model': 7}, 'distortion_model: expected one of plumb_bob'),
        ({'distortion_model': 'equidistant'}, 'distortion_coefficients: expected 4 numbers'),
        ({'distortion_coefficients': []}, 'distortion_coefficients: expected 5 numbers, got 0'),
        ({'distortion_coefficients': None}, 'distortion_coefficients: expected 5 numbers'),
        ({'camera_matrix': ['a'] * 9}, 'camera_matrix: expected numbers'),
        ({'camera_matrix': [10**400] * 9}, 'camera_matrix: expected numbers'),
        ({'camera_matrix': [float('nan')] * 9}, 'camera_matrix: expected finite numbers'),
        ({'camera_matrix': 3}, 'camera_matrix: expected 9 numbers'),
        *(({name: data}, f'{name}: expected') for name, data in ZEROS.items()),
        (ZEROS, 'camera_matrix: expected focal lengths above 0'),
        ({'rectification_matrix': [2, 0, 0, 0, 1, 0, 0, 0, 1]}, 'expected a rotation'),
        ({'rectification_matrix': [-1, 0, 0, 0, 1, 0, 0, 0, 1]}, 'expected a rotation'),
    ],
)
def test_every_field_is_checked(tmp_path, fields, complaint):
    file = changed(tmp_path, **fields)
    with pytest.raises(ConfigError, match=complaint) as caught:
        load_calibration(file)
    assert str(caught.value).startswith(f'camera_info_file {file}: ')


@pytest.mark.parametrize(
    'text',
    [
        f'email: me@example.com\npassword: {PASSWORD}\n',
        f'password: "{PASSWORD}',
        f'[{PASSWORD}',
        PASSWORD,
        f'%{PASSWORD}',
        f'distortion_model: {PASSWORD}\nimage_width: {PASSWORD}\n',
        f'distortion_model: plumb_bob\nimage_width: {PASSWORD}\n',
        f'image_width: 1\nimage_height: 1\ndistortion_model: plumb_bob\n'
        f'distortion_coefficients: {{data: [{PASSWORD}, 1, 1, 1, 1]}}\n',
        f'!!python/object:{PASSWORD} {{}}',
        f'\t{PASSWORD}: \t',
    ],
)
def test_a_text_of_the_file_is_never_shown(tmp_path, text):
    file = tmp_path / 'credentials.yaml'
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_calibration(file)
    error = caught.value
    while error is not None:
        assert PASSWORD not in str(error)
        error = error.__cause__


def test_a_pipe_is_refused_and_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(ConfigError, match='pipe: expected a regular file'):
        load_calibration(tmp_path / 'pipe')


@pytest.mark.parametrize('file', ['/dev/zero', '/dev/null'])
def test_a_device_is_refused(file):
    with pytest.raises(ConfigError, match=f'{file}: expected a regular file'):
        load_calibration(file)


@pytest.mark.parametrize(
    ('make', 'complaint'),
    [
        (lambda path: path.mkdir(), 'Is a directory'),
        (lambda path: path.write_bytes(b' ' * (LARGEST_FILE + 1)), 'expected at most 65536 bytes'),
        (lambda path: path.write_bytes(b'\xff\xfe'), 'it is not UTF-8 text'),
        (lambda path: path.write_text('- ' * 20_000), 'expected valid yaml'),
        (lambda path: None, 'No such file'),
    ],
)
def test_what_is_no_such_file_is_one_error(tmp_path, make, complaint):
    make(tmp_path / 'camera.yaml')
    with pytest.raises(ConfigError, match=complaint):
        load_calibration(tmp_path / 'camera.yaml')


def test_a_name_with_a_zero_in_it_is_one_error():
    with pytest.raises(ConfigError, match='no name of a file'):
        load_calibration('/tmp/a\0b')


def test_the_forms_of_camera_info_manager_are_understood(monkeypatch, tmp_path):
    wanted = load_calibration(SHIPPED)
    (tmp_path / 'my camera.yaml').write_text(SHIPPED.read_text())
    monkeypatch.setenv('HOME', str(tmp_path))
    shares = {'mine': str(tmp_path)}
    monkeypatch.setattr(calibration, 'get_package_share_directory', shares.__getitem__)
    for file in (
        '~/my camera.yaml',
        f'file://{tmp_path}/my%20camera.yaml',
        'package://mine/my camera.yaml',
    ):
        assert load_calibration(file) == wanted, file


@pytest.mark.parametrize(
    ('file', 'complaint'),
    [
        ('http://example.com/camera.yaml', 'expected a path, file:// or package://'),
        ('package://no_such_package/camera.yaml', 'a package that is installed'),
        ('package://', 'a package that is installed'),
        ('package://../../etc/passwd', 'a package that is installed'),
    ],
)
def test_other_forms_are_refused(file, complaint):
    with pytest.raises(ConfigError, match=complaint):
        load_calibration(file)


def test_without_a_file_there_are_the_shipped_ones():
    found = load_calibrations('', CONFIG)
    assert [(each.width, each.height) for each in found] == [(1280, 720), (1920, 1080)]
    assert load_calibrations(str(SHIPPED), Path('/none')) == [found[0]]
