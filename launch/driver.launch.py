"""The driver node, configured and activated unless ``autostart:=false``."""

from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from launch import LaunchDescription

PACKAGE = 'go2_webrtc_driver'


def generate_launch_description():
    driver = LifecycleNode(
        package=PACKAGE,
        executable='driver',
        name='go2_driver',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            LaunchConfiguration('params_file'),
            {'robot_ip': LaunchConfiguration('robot_ip')},
        ],
        output='screen',
        emulate_tty=True,
    )
    autostart = IfCondition(LaunchConfiguration('autostart'))
    return LaunchDescription([
        *arguments(),
        driver,
        # Handlers before the first event: the node may answer at once.
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=driver,
                start_state='configuring',
                goal_state='inactive',
                entities=[change_state(driver, Transition.TRANSITION_ACTIVATE)],
            ),
            condition=autostart,
        ),
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=driver,
                start_state='activating',
                goal_state='inactive',
                entities=[LogInfo(msg='go2_driver could not be activated: see its error above')],
            ),
        ),
        change_state(driver, Transition.TRANSITION_CONFIGURE, condition=autostart),
    ])  # fmt: skip


def arguments():
    default = PathJoinSubstitution([FindPackageShare(PACKAGE), 'config', 'go2.yaml'])
    return [
        DeclareLaunchArgument(
            'robot_ip', default_value='192.168.12.1', description='IP address of the robot'
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='namespace of all topics and services'
        ),
        DeclareLaunchArgument(
            'params_file', default_value=default, description='parameters of the driver'
        ),
        DeclareLaunchArgument(
            'autostart', default_value='true', description='configure and activate the node'
        ),
    ]


def change_state(node, transition, condition=None):
    event = ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
    return EmitEvent(event=event, condition=condition)
