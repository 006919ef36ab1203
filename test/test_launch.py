"""The launch files, where launch_ros is installed; PyPI has no build of it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support import free_address, read_output, wait_for_output, wait_until

launch = pytest.importorskip(
    'launch_ros', reason='launch_ros is not installed: PyPI has no build of it'
)
LAUNCH = Path(__file__).parent.parent / 'launch'


def arguments_of(name):
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchContext

    description = PythonLaunchDescriptionSource(str(LAUNCH / name)).get_launch_description(
        LaunchContext()
    )
    return {argument.name for argument in description.get_launch_arguments()}


def test_driver_launch_has_its_arguments():
    assert arguments_of('driver.launch.py') == {
        'robot_ip', 'namespace', 'params_file', 'autostart',
    }  # fmt: skip


def test_sim_launch_goes_to_active_and_ends_cleanly():
    command = ['ros2', 'launch', 'go2_webrtc_driver', 'sim.launch.py',
               f'robot_ip:={free_address()}', 'namespace:=dog']  # fmt: skip
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    started.text = ''
    os.set_blocking(started.stdout.fileno(), False)
    try:
        wait_for_output(started, 'connected: the robot sends data')
    finally:
        os.killpg(started.pid, signal.SIGINT)
        wait_until(lambda: (read_output(started), started.poll() is not None)[1])
    assert 'Traceback' not in started.text
