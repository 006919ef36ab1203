"""What the driver says, in one line, of a machine on which it cannot run."""

import os
import subprocess
import sys

from go2_webrtc_driver import start

WITHOUT_RCLPY = """
import sys
sys.modules['rclpy'] = None
from go2_webrtc_driver.start import main
sys.exit(main([]))
"""


def run(*command, **environment):
    return subprocess.run(
        [sys.executable, *command],
        env={k: v for k, v in {**os.environ, **environment}.items() if v is not None},
        capture_output=True,
        text=True,
    )


def install_older_library(folder):
    about = folder / 'go2_webrtc_connect-0.2.1.dist-info'
    about.mkdir()
    (about / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: go2-webrtc-connect\nVersion: 0.2.1\n'
    )


def test_without_rclpy_the_driver_ends_with_one_line():
    done = run('-c', WITHOUT_RCLPY)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, '')
    assert line.startswith(f'driver: {sys.executable} cannot import rclpy (')


def test_without_a_place_for_logs_the_driver_ends_with_one_line():
    done = run('-m', 'go2_webrtc_driver.start', HOME=None, ROS_HOME=None, ROS_LOG_DIR=None)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, '')
    assert line == 'driver: expected one of ROS_LOG_DIR, ROS_HOME, HOME: ROS writes its logs there'


def test_each_place_for_logs_will_do():
    for name in ('ROS_LOG_DIR', 'ROS_HOME', 'HOME'):
        assert start.what_is_missing({name: '/tmp'}) == ''


def test_the_library_that_has_our_name_is_seen(tmp_path, monkeypatch):
    assert start.namesake() == ''
    install_older_library(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert start.namesake().startswith(f'go2-webrtc-connect in {tmp_path}')
    assert '\n' not in start.namesake()


def test_the_driver_warns_of_it_and_runs(tmp_path, monkeypatch, capsys):
    install_older_library(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr('go2_webrtc_driver.ros.main.main', lambda arguments: 5)
    assert start.main([]) == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('driver: warning: go2-webrtc-connect in ')
