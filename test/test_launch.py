"""The launch files, for real, where launch_ros is installed (PyPI has none for ROS 2)."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from support import free_address, interrupt, process, wait_for_output, wait_until

pytest.importorskip(
    'launch_ros', reason='launch_ros is not installed: the launch files were not tried'
)
from launch.launch_description_sources import get_launch_description_from_python_launch_file

FOLDER = Path(__file__).parent.parent / 'launch'
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch.actions import SetLaunchConfiguration
file, *given = sys.argv[1:]
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([
    *(SetLaunchConfiguration(*each.split(':=')) for each in given),
    get_launch_description_from_python_launch_file(file),
]))
sys.exit(service.run())
"""


@contextlib.contextmanager
def launched(name, *arguments, log):
    """Launch a file as ``ros2 launch`` does; whatever it started ends with it."""
    started = subprocess.Popen(
        [sys.executable, '-u', '-c', LAUNCH, str(FOLDER / name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'ROS_LOG_DIR': str(log)},
        start_new_session=True,
    )
    os.set_blocking(started.stdout.fileno(), False)
    started.text = ''
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        started.stdout.close()


@pytest.fixture
def state_of():
    """Ask a lifecycle node for its state."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node('launch_test', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def ask(name):
        client = node.create_client(GetState, f'{name}/get_state')
        assert client.wait_for_service(20.0)
        future = client.call_async(GetState.Request())
        wait_until(future.done, step=lambda: executor.spin_once(0.1))
        node.destroy_client(client)
        return future.result().current_state.label

    yield ask
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def arguments(name):
    description = get_launch_description_from_python_launch_file(str(FOLDER / name))
    return {each.name: each for each in description.get_launch_arguments()}


@pytest.mark.parametrize('name', ['driver.launch.py', 'sim.launch.py'])
def test_a_launch_file_describes_its_arguments(name):
    declared = arguments(name)
    assert set(declared) == {
        *('connection_method', 'robot_ip', 'serial_number', 'credentials_file'),
        *('frame_prefix', 'base_frame', 'namespace', 'params_file', 'autostart'),
    }
    assert all(each.description and each.default_value for each in declared.values())


def test_the_simulated_robot_is_driven_in_a_namespace_until_ctrl_c(state_of, tmp_path):
    given = (f'robot_ip:={free_address()}', 'namespace:=dog')
    with launched('sim.launch.py', *given, log=tmp_path) as started:
        wait_until(lambda: state_of('/dog/go2_driver') == 'active')
        status, _, output = interrupt(started)
        assert status == 0
        assert output.count('process has finished cleanly') == 2, output


def test_without_autostart_the_node_stays_unconfigured(state_of, tmp_path):
    with launched('driver.launch.py', 'autostart:=false', log=tmp_path) as started:
        assert state_of('/go2_driver') == 'unconfigured'
        assert interrupt(started)[0] == 0


def test_a_robot_that_is_away_is_named_with_what_to_do(state_of, tmp_path):
    ip = free_address()
    with launched('driver.launch.py', f'robot_ip:={ip}', log=tmp_path) as started:
        wait_for_output(started, f'activate failed: robot {ip}')
        wait_for_output(started, 'go2_driver is not active')
        assert state_of('/go2_driver') == 'inactive'


def test_the_parameters_come_from_the_file_that_is_given(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**:\n  ros__parameters:\n    image_encoding: yuv\n')
    with launched('driver.launch.py', f'params_file:={file}', log=tmp_path) as started:
        wait_for_output(started, 'configure failed: image_encoding: expected one of bgr8')
        wait_for_output(started, 'go2_driver is not configured')


def test_everything_ends_when_the_simulated_robot_cannot_start(tmp_path):
    ip = free_address()
    with (
        process('go2_webrtc_driver.sim', '--ip', ip, ready='listens'),
        launched('sim.launch.py', f'robot_ip:={ip}', log=tmp_path) as started,
    ):
        wait_for_output(started, f'cannot listen on {ip}')
        wait_until(lambda: started.poll() is not None)
