"""
A simulated robot, and the driver connected to it.

    ros2 launch go2_webrtc_driver sim.launch.py

Several at once: give each an address and a namespace, ``robot_ip:=127.0.0.2 namespace:=second``.
Both start at once: the robot listens before the driver is configured, and is tried again if not.
"""

from __future__ import annotations

from pathlib import Path

from launch.actions import DeclareLaunchArgument, Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

DRIVER = str(Path(__file__).with_name('driver.launch.py'))


def generate_launch_description() -> LaunchDescription:
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
    driver = get_launch_description_from_python_launch_file(DRIVER)
    return LaunchDescription([robot_ip, *_without_robot_ip(driver), robot])


def _without_robot_ip(driver: LaunchDescription) -> list[LaunchDescriptionEntity]:
    """Return what the driver is made of, which asks for an address of its own otherwise."""
    return [each for each in driver.entities if getattr(each, 'name', '') != 'robot_ip']


def _end_with_the_robot(_: ProcessExited, context: LaunchContext) -> Shutdown | None:
    # launch_ros complains of a second shutdown.
    return None if context.is_shutdown else Shutdown(reason='the simulated robot has ended')
