"""The driver and a simulated robot for it, on a loopback address."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

PACKAGE = 'go2_webrtc_driver'


def generate_launch_description():
    driver = PathJoinSubstitution([FindPackageShare(PACKAGE), 'launch', 'driver.launch.py'])
    return LaunchDescription([
        DeclareLaunchArgument(
            'robot_ip',
            default_value='127.0.0.1',
            description='loopback address of the simulated robot',
        ),
        Node(
            package=PACKAGE,
            executable='sim_robot',
            arguments=['--ip', LaunchConfiguration('robot_ip')],
            output='screen',
        ),
        # The other arguments (namespace, params_file, autostart) pass through by themselves.
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(driver),
            launch_arguments={'robot_ip': LaunchConfiguration('robot_ip')}.items(),
        ),
    ])  # fmt: skip
