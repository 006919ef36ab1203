"""The launch files, for real, where launch_ros is installed (PyPI has none for ROS 2)."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from support import (
    collect_output,
    end_output,
    free_address,
    interrupt,
    process,
    read_output,
    wait_for_output,
    wait_until,
)

pytest.importorskip(
    'launch_ros', reason='launch_ros is not installed: the launch files were not tried'
)
from launch.launch_description_sources import get_launch_description_from_python_launch_file

logging.setLoggerClass(logging.Logger)  # those of launch hand nothing on, and caplog sees none
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

BOTH = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
def generate_launch_description():
    return LaunchDescription([
        GroupAction([
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource({sim!r}),
                launch_arguments={{'robot_ip': ip, 'namespace': f'dog{{n}}'}}.items(),
            )
        ])
        for n, ip in enumerate({ips!r})
    ])
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
    collect_output(started)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        end_output(started)


@pytest.fixture
def call():
    """Call a service of a lifecycle node."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node('launch_test', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def ask(kind, name, request):
        client = node.create_client(kind, name)
        assert client.wait_for_service(20.0)
        future = client.call_async(request)
        wait_until(future.done, step=lambda: executor.spin_once(0.1))
        node.destroy_client(client)
        return future.result()

    yield ask
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def state_of(call):
    """Ask a lifecycle node for its state."""
    request = GetState.Request()
    return lambda name: call(GetState, f'{name}/get_state', request).current_state.label


@pytest.fixture
def change(call):
    """Change the state of a lifecycle node."""

    def change(name, transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        return call(ChangeState, f'{name}/change_state', request).success

    return change


def arguments(name):
    description = get_launch_description_from_python_launch_file(str(FOLDER / name))
    return {each.name: each for each in description.get_launch_arguments()}


@pytest.mark.parametrize('name', ['driver.launch.py', 'sim.launch.py'])
def test_a_launch_file_describes_its_arguments(name):
    declared = arguments(name)
    assert set(declared) == {
        *('connection_method', 'robot_ip', 'serial_number', 'credentials_file'),
        *(
            'frame_prefix',
            'base_frame',
            'publish_static_tf',
            'namespace',
            'params_file',
            'autostart',
        ),
    }
    assert all(each.description and each.default_value for each in declared.values())


def test_the_simulated_robot_is_driven_in_a_namespace_until_ctrl_c(state_of, tmp_path):
    given = (f'robot_ip:={free_address()}', 'namespace:=dog')
    with launched('sim.launch.py', *given, log=tmp_path) as started:
        wait_until(lambda: state_of('/dog/go2_driver') == 'active')
        status, _, output = interrupt(started)
        assert status == 0
        assert output.count('process has finished cleanly') == 2, output


def test_the_simulated_robot_is_included_twice_each_in_a_group_of_its_own(state_of, tmp_path):
    both = tmp_path / 'both.launch.py'
    both.write_text(
        BOTH.format(sim=str(FOLDER / 'sim.launch.py'), ips=(free_address(), free_address()))
    )
    with launched(both, log=tmp_path) as started:
        for name in ('/dog0/go2_driver', '/dog1/go2_driver'):
            wait_until(lambda name=name: state_of(name) == 'active')
        status, _, output = interrupt(started)
        assert status == 0
        assert output.count('process has finished cleanly') == 4, output


@pytest.mark.parametrize('text', ['True', 'true', '1'])
def test_autostart_is_written_as_elsewhere(tmp_path, text):
    given = (f'robot_ip:={free_address()}', f'autostart:={text}')
    with launched('driver.launch.py', *given, log=tmp_path) as started:
        wait_for_output(started, 'go2_driver is not active yet')


@pytest.mark.parametrize(
    ('argument', 'complaint'),
    [
        ('autostart:=maybe', "autostart: expected true or false, got 'maybe'"),
        ('params_file:=/no/mine.yaml', "expected a file, there is none at '/no/mine.yaml'"),
        ('params_file:={}', 'got something else: Sequences can only be values and not keys'),
    ],
)
@pytest.mark.parametrize('name', ['driver.launch.py', 'sim.launch.py'])
def test_a_bad_argument_is_one_line_and_nothing_starts(tmp_path, name, argument, complaint):
    broken = tmp_path / 'broken.yaml'
    broken.write_text('/**: [')
    with launched(name, argument.format(broken), log=tmp_path) as started:
        wait_until(lambda: (read_output(started), started.poll() is not None)[1])
        assert started.returncode == 1
        assert complaint in started.text
        assert started.text.count('ERROR') == 1
        assert 'process started' not in started.text


@pytest.mark.parametrize('text', ['false', 'False', '0'])
def test_without_autostart_the_node_stays_unconfigured(state_of, tmp_path, text):
    with launched('driver.launch.py', f'autostart:={text}', log=tmp_path) as started:
        assert state_of('/go2_driver') == 'unconfigured'
        assert interrupt(started)[0] == 0


def transitions(output):
    """Count what launch_ros says of every activation that has failed."""
    return output.count("Failed to make transition 'TRANSITION_ACTIVATE'")


def test_without_autostart_a_robot_that_is_away_is_named_with_what_to_do(change, tmp_path):
    ip = free_address()
    given = (f'robot_ip:={ip}', 'autostart:=false')

    def activate_in_vain():  # again: the first may come before launch hears of transitions
        assert not change('/go2_driver', Transition.TRANSITION_ACTIVATE)

    with launched('driver.launch.py', *given, log=tmp_path) as started:
        assert change('/go2_driver', Transition.TRANSITION_CONFIGURE)
        what_to_do = 'go2_driver is not active: when the robot can be reached'
        wait_until(lambda: what_to_do in read_output(started), step=activate_in_vain)
        wait_for_output(started, f'activate failed: robot {ip}')


def test_a_robot_that_comes_late_is_found_and_a_deactivation_is_respected(
    state_of, change, tmp_path
):
    ip = free_address()
    with launched('driver.launch.py', f'robot_ip:={ip}', log=tmp_path) as started:
        wait_for_output(started, f'activate failed: robot {ip}')
        wait_for_output(started, 'go2_driver is not active yet')
        wait_until(lambda: transitions(read_output(started)) == 2)
        with process('go2_webrtc_driver.sim', '--ip', ip, ready='listens'):
            wait_until(lambda: state_of('/go2_driver') == 'active')
            assert change('/go2_driver', Transition.TRANSITION_DEACTIVATE)
            stays_inactive(state_of, started)
        assert started.text.count('go2_driver is not active yet') == 1
        status, seconds, output = interrupt(started)
        assert (status, 'Traceback' in output) == (0, False), output
        assert seconds < 10.0


def stays_inactive(state_of, started):
    """Watch for longer than the launch file would wait before it tries again."""
    before, end = transitions(read_output(started)), time.monotonic() + 6.0
    while time.monotonic() < end:
        assert state_of('/go2_driver') == 'inactive'
        time.sleep(0.2)
    assert transitions(read_output(started)) == before


def test_a_cleanup_ends_the_retries(state_of, change, tmp_path):
    ip = free_address()
    with launched('driver.launch.py', f'robot_ip:={ip}', log=tmp_path) as started:
        wait_for_output(started, 'go2_driver is not active yet')
        wait_until(lambda: state_of('/go2_driver') == 'inactive')
        assert change('/go2_driver', Transition.TRANSITION_CLEANUP)
        end = time.monotonic() + 6.0
        while time.monotonic() < end:
            assert state_of('/go2_driver') == 'unconfigured'
            time.sleep(0.2)
        assert transitions(read_output(started)) == 1


@pytest.mark.parametrize('when', ['Failed to make transition', 'waiting for an answer'])
def test_ctrl_c_ends_the_retries(tmp_path, when):
    """Between two attempts, and in the middle of one: the second robot takes and says nothing."""
    ip = free_address()
    with (
        socket.create_server((ip, 9991)) if 'answer' in when else contextlib.nullcontext(),
        launched('driver.launch.py', f'robot_ip:={ip}', log=tmp_path) as started,
    ):
        wait_for_output(started, when)
        status, seconds, output = interrupt(started)
        assert (status, 'Traceback' in output) == (0, False), output
        assert seconds < 10.0


def test_the_parameters_come_from_the_file_that_is_given(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**:\n  ros__parameters:\n    image_encoding: yuv\n')
    with launched('driver.launch.py', f'params_file:={file}', log=tmp_path) as started:
        wait_for_output(started, 'configure failed: image_encoding: expected one of bgr8')
        wait_for_output(started, 'go2_driver is not configured')
        assert 'not active' not in read_output(started)


def test_everything_ends_when_the_simulated_robot_cannot_start(tmp_path):
    ip = free_address()
    with (
        process('go2_webrtc_driver.sim', '--ip', ip, ready='listens'),
        launched('sim.launch.py', f'robot_ip:={ip}', log=tmp_path) as started,
    ):
        wait_for_output(started, f'cannot listen on {ip}')
        wait_until(lambda: started.poll() is not None)
