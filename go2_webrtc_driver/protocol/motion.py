"""
The three ways a velocity reaches the robot, each with what enables and what undoes it.

None was tried on a robot by us. ``sport`` is what most drivers use; it is not filtered by
the robot's obstacle avoidance (go2_robot issue 15). ``obstacle_avoidance`` is; a robot
left with its flag on ignores its owner's remote (go2_ros2_sdk issue 234). ``joystick`` is
what some robots walk by that do not follow Move (dimos issue 1439); its sticks are not in
m/s, and how fast a full stick is depends on the robot (dimos issue 1969).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import commands
from .commands import Command, Publish, Request
from .topics import ObstaclesAvoidApi, SportApi, Topic

FULL_STICK = (1.0, 0.5, 1.0)  # m/s, m/s, rad/s: taken as what a full stick does; no source


@dataclass(frozen=True)
class Motion:
    """
    One way to walk the robot.

    Attributes:
        move: makes the command of (x [m/s], y [m/s], yaw [rad/s]).
        enable: requests before the first command, in order.
        undo: requests after the last command, in order.
    """

    move: Callable[[float, float, float], Command]
    enable: tuple[Request, ...] = ()
    undo: tuple[Request, ...] = ()


def _avoiding_move(x: float, y: float, yaw: float) -> Command:
    parameter = {'x': x, 'y': y, 'yaw': yaw, 'mode': 0}
    return Request(Topic.OBSTACLES_AVOID_REQUEST, ObstaclesAvoidApi.MOVE, parameter)


def _use_api(on: bool) -> Request:
    return Request(
        Topic.OBSTACLES_AVOID_REQUEST,
        ObstaclesAvoidApi.USE_REMOTE_COMMAND_FROM_API,
        {'is_remote_commands_from_api': on},
    )


def avoid_obstacles(on: bool) -> Request:
    """Return the request to switch the robot's obstacle avoidance."""
    return Request(Topic.OBSTACLES_AVOID_REQUEST, ObstaclesAvoidApi.SWITCH_SET, {'enable': on})


def _stick(x: float, y: float, yaw: float) -> Command:
    forward, left, turn = (
        max(-1.0, min(1.0, speed / full))
        for speed, full in zip((x, y, yaw), FULL_STICK, strict=True)
    )
    # A stick's x is positive to the right, and turning right is clockwise.
    sticks = {'lx': -left, 'ly': forward, 'rx': -turn, 'ry': 0.0, 'keys': 0}
    return Publish(Topic.WIRELESS_CONTROLLER, {k: v or 0 for k, v in sticks.items()})


MOTIONS = {
    'sport': Motion(commands.move),
    'obstacle_avoidance': Motion(
        _avoiding_move, (avoid_obstacles(True), _use_api(True)), (_use_api(False),)
    ),
    'joystick': Motion(
        _stick, (Request(Topic.SPORT_REQUEST, SportApi.SWITCH_JOYSTICK, {'data': True}),)
    ),
}
