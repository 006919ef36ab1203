"""
A simulated robot, and the driver connected to it as soon as it listens.

    ros2 launch go2_webrtc_driver sim.launch.py

Several at once: give each an address and a namespace, ``robot_ip:=127.0.0.2 namespace:=second``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from launch.actions import DeclareLaunchArgument, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessIO
from launch.events.process import ProcessExited, ProcessIO
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

DRIVER = str(Path(__file__).with_name('driver.launch.py'))


def generate_launch_description() -> LaunchDescription:
    driver = get_launch_description_from_python_launch_file(DRIVER)
    robot = Node(
        package='go2_webrtc_driver',
        executable='sim_robot',
        arguments=['--ip', LaunchConfiguration('robot_ip')],
        output='screen',
        on_exit=_end_with_the_robot,
    )
    robot_ip = DeclareLaunchArgument(
        'robot_ip', default_value='127.0.0.1', description='loopback address of the robot'
    )
    others = [each for each in driver.get_launch_arguments() if each.name != 'robot_ip']
    ready = OnProcessIO(target_action=robot, on_stdout=_once_it_listens(driver))
    return LaunchDescription([robot_ip, *others, RegisterEventHandler(ready), robot])


def _once_it_listens(
    driver: LaunchDescription,
) -> Callable[[ProcessIO], LaunchDescription | None]:
    """Launch the driver once: its first attempt to connect must find somebody."""
    waiting = [driver]

    def on_output(event: ProcessIO) -> LaunchDescription | None:
        return waiting.pop() if waiting and b'listens on' in event.text else None

    return on_output


def _end_with_the_robot(_: ProcessExited, context: LaunchContext) -> Shutdown | None:
    # launch_ros complains of a second shutdown.
    return None if context.is_shutdown else Shutdown(reason='the simulated robot has ended')
