r"""
The driver: its node, configured and activated.

    ros2 launch go2_webrtc_driver driver.launch.py robot_ip:=192.168.1.42

Over the cloud, with the account in a file that only you can read:

    ros2 launch go2_webrtc_driver driver.launch.py connection_method:=remote \
        serial_number:=B42D1000P5AB12CD credentials_file:=$HOME/.config/go2.yaml

With ``autostart:=false`` the node stays unconfigured, for a lifecycle manager of your own.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

PACKAGE = 'go2_webrtc_driver'
PARAMETERS = Path(get_package_share_directory(PACKAGE)) / 'config' / 'go2.yaml'
# Arguments that are parameters of the node; an empty one leaves it to params_file.
PASSED_ON = {
    'connection_method': 'way to the robot: local_sta, local_ap or remote',
    'robot_ip': 'IP address of the robot',
    'serial_number': 'serial number of the robot',
    'frame_prefix': 'what all names of frames begin with',
    'base_frame': "frame of the robot's body",
    'credentials_file': 'yaml file with email, password, token and aes_key, as far as needed',
}
FAILURES = (
    (
        'configuring',
        'unconfigured',
        'go2_driver is not configured: correct what it names, then launch it again',
    ),
    (
        'activating',
        'inactive',
        'go2_driver is not active: when the robot can be reached, activate it with '
        '"ros2 lifecycle set" or launch it again',
    ),
)


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*_arguments(), OpaqueFunction(function=_driver)])


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        *(
            DeclareLaunchArgument(
                name, default_value='', description=f'{text}; empty: as in params_file'
            )
            for name, text in PASSED_ON.items()
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='namespace of the node and its topics'
        ),
        DeclareLaunchArgument(
            'params_file', default_value=str(PARAMETERS), description='parameters of the node'
        ),
        DeclareLaunchArgument(
            'autostart',
            default_value='true',
            choices=['true', 'false'],
            description='configure and activate the node',
        ),
    ]


def _driver(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    parameters = [LaunchConfiguration('params_file')]
    for name in PASSED_ON:
        if value := LaunchConfiguration(name).perform(context):
            parameters.append({name: ParameterValue(value, value_type=str)})
    node = LifecycleNode(
        package=PACKAGE,
        executable='driver',
        name='go2_driver',
        namespace=LaunchConfiguration('namespace'),
        parameters=parameters,
        output='screen',
    )
    return [*_explain_failure(node), _activate_when_configured(node), node, _configure(node)]


def _configure(node: LifecycleNode) -> EmitEvent:
    return EmitEvent(
        event=_change(node, Transition.TRANSITION_CONFIGURE),
        condition=IfCondition(LaunchConfiguration('autostart')),
    )


def _activate_when_configured(node: LifecycleNode) -> RegisterEventHandler:
    activate = EmitEvent(event=_change(node, Transition.TRANSITION_ACTIVATE))
    return RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state='configuring',
            goal_state='inactive',
            entities=[activate],
        ),
        condition=IfCondition(LaunchConfiguration('autostart')),
    )


def _explain_failure(node: LifecycleNode) -> list[RegisterEventHandler]:
    """Say what to do next; the node's own error line, just above, says what is wrong."""
    return [
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state=start,
                goal_state=goal,
                entities=[LogInfo(msg=text)],
            )
        )
        for start, goal, text in FAILURES
    ]


def _change(node: LifecycleNode, transition: int) -> ChangeState:
    return ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
