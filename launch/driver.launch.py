r"""
The driver: its node, configured and activated.

    ros2 launch go2_webrtc_driver driver.launch.py robot_ip:=192.168.1.42

Over the cloud, with the account in a file that only you can read:

    ros2 launch go2_webrtc_driver driver.launch.py connection_method:=remote \
        serial_number:=B42D1000P5AB12CD credentials_file:=$HOME/.config/go2.yaml

A robot that is not there yet is no failure: the activation is tried again until it works.
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
    TimerAction,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from launch import Condition, LaunchContext, LaunchDescription, LaunchDescriptionEntity

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
RETRY_PERIOD = 5.0  # s, between a failed activation and the next one
NOT_CONFIGURED = 'go2_driver is not configured: correct what it names, then launch it again'
NOT_ACTIVE = (
    'go2_driver is not active: when the robot can be reached, activate it with '
    '"ros2 lifecycle set" or launch it again'
)
NOT_YET_ACTIVE = (
    f'go2_driver is not active yet: the activation is tried again every {RETRY_PERIOD:g} s; '
    '"ros2 lifecycle set" with cleanup ends that'
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
    autostart = LaunchConfiguration('autostart')
    return [
        _say(node, 'configuring', 'unconfigured', NOT_CONFIGURED),
        _say(node, 'activating', 'inactive', NOT_ACTIVE, UnlessCondition(autostart)),
        _activate_when_configured(node),
        _keep_trying(node),
        node,
        _configure(node),
    ]


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


def _keep_trying(node: LifecycleNode) -> RegisterEventHandler:
    look = OpaqueFunction(function=_Retries(node).on_transition)
    return RegisterEventHandler(
        OnStateTransition(target_lifecycle_node=node, entities=[look]),
        condition=IfCondition(LaunchConfiguration('autostart')),
    )


class _Retries:
    """Activates the node again, a while after an activation has failed."""

    def __init__(self, node: LifecycleNode) -> None:
        self._activate = EmitEvent(event=_change(node, Transition.TRANSITION_ACTIVATE))
        self._waiting: TimerAction | None = None
        self._said = False

    def on_transition(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """Cancel the retry, whatever somebody does meanwhile; begin one after a failure."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        came = (context.locals.event.start_state, context.locals.event.goal_state)
        if came == ('activating', 'active'):
            self._said = False
        if came != ('activating', 'inactive') or context.is_shutdown:
            return []
        news = [] if self._said else [LogInfo(msg=NOT_YET_ACTIVE)]
        self._said = True
        self._waiting = TimerAction(period=RETRY_PERIOD, actions=[self._activate])
        return [*news, self._waiting]


def _say(
    node: LifecycleNode, start: str, goal: str, text: str, condition: Condition | None = None
) -> RegisterEventHandler:
    """Say what to do next; the node's own error line, just above, says what is wrong."""
    return RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state=start,
            goal_state=goal,
            entities=[LogInfo(msg=text)],
        ),
        condition=condition,
    )


def _change(node: LifecycleNode, transition: int) -> ChangeState:
    return ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
