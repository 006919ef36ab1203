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

import re
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition
from rclpy.context import Context
from rclpy.logging import LoggingSeverity, get_logger

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

PACKAGE = 'go2_webrtc_driver'
PARAMETERS = Path(get_package_share_directory(PACKAGE)) / 'config' / 'go2.yaml'
# Arguments that are parameters of the node; an empty one leaves it to params_file.
PASSED_ON = {
    'connection_method': (str, 'way to the robot: local_sta, local_ap or remote'),
    'robot_ip': (str, 'IP address of the robot'),
    'serial_number': (str, 'serial number of the robot'),
    'frame_prefix': (str, 'what all names of frames begin with'),
    'base_frame': (str, "frame of the robot's body"),
    'publish_static_tf': (bool, 'whether to tell where IMU and camera are on the body'),
    'credentials_file': (
        str,
        'yaml file with email, password, token and aes_key, as far as needed',
    ),
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
            for name, (_, text) in PASSED_ON.items()
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='namespace of the node and its topics'
        ),
        DeclareLaunchArgument(
            'params_file', default_value=str(PARAMETERS), description='parameters of the node'
        ),
        DeclareLaunchArgument(
            'autostart', default_value='true', description='configure and activate the node'
        ),
    ]


def _driver(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    node = LifecycleNode(
        package=PACKAGE,
        executable='driver',
        name='go2_driver',
        namespace=LaunchConfiguration('namespace'),
        parameters=_parameters(context),
        output='screen',
    )
    not_configured = _on_transition(node, 'configuring', 'unconfigured', _say(NOT_CONFIGURED))
    if not _is_true(context, 'autostart'):
        return [
            not_configured,
            _on_transition(node, 'activating', 'inactive', _say(NOT_ACTIVE)),
            node,
        ]
    return [
        not_configured,
        _on_transition(node, 'configuring', 'inactive', _activate(node)),
        _on_transition(node, None, None, OpaqueFunction(function=_Retries(node).on_transition)),
        node,
        EmitEvent(event=_change(node, Transition.TRANSITION_CONFIGURE)),
    ]


def _parameters(context: LaunchContext) -> list[str | dict[str, ParameterValue]]:
    file = LaunchConfiguration('params_file').perform(context)
    _check_parameters(file)
    parameters = [file]
    for name, (kind, _) in PASSED_ON.items():
        value = LaunchConfiguration(name)
        if value.perform(context):
            parameters.append({name: ParameterValue(value, value_type=kind)})
    return parameters


def _check_parameters(file: str) -> None:
    """Refuse what would let the node start with its default limits, or not at all."""
    if not Path(file).is_file():
        raise FileNotFoundError(f"params_file: expected a file, there is none at '{file}'")
    try:
        _parse(file)
    except RuntimeError as error:
        # ... Error: No value at line 3, at ./src/parse.c:258, at ./src/rcl/arguments.c:415
        reason = re.split(r'\s*, at ', str(error).partition('Error: ')[2] or str(error))[0]
        raise ValueError(
            f"params_file: expected parameters of ROS in '{file}', got something else: {reason}"
        ) from None


def _parse(file: str) -> None:
    """Let rcl read the file, as the node will; raises RuntimeError."""
    context, parser = Context(), get_logger('rcl')
    parser.set_level(LoggingSeverity.FATAL)  # it would say something in a line of its own
    try:
        rclpy.init(args=['--ros-args', '--params-file', file], context=context)
        rclpy.shutdown(context=context)
    finally:
        parser.set_level(LoggingSeverity.UNSET)


def _is_true(context: LaunchContext, name: str) -> bool:
    """Read an argument as other launch files do: True and true, 1."""
    value = LaunchConfiguration(name).perform(context)
    if value.strip().lower() not in ('true', '1', 'false', '0'):
        raise ValueError(f"{name}: expected true or false, got '{value}'")
    return value.strip().lower() in ('true', '1')


class _Retries:
    """Activates the node again, a while after an activation has failed."""

    def __init__(self, node: LifecycleNode) -> None:
        self._activate = _activate(node)
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


def _on_transition(
    node: LifecycleNode, start: str | None, goal: str | None, entity: LaunchDescriptionEntity
) -> RegisterEventHandler:
    return RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node, start_state=start, goal_state=goal, entities=[entity]
        )
    )


def _say(text: str) -> LogInfo:
    """Say what to do next; the node's own error line, just above, says what is wrong."""
    return LogInfo(msg=text)


def _activate(node: LifecycleNode) -> EmitEvent:
    return EmitEvent(event=_change(node, Transition.TRANSITION_ACTIVATE))


def _change(node: LifecycleNode, transition: int) -> ChangeState:
    return ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
