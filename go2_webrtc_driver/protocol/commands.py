"""What the driver asks the robot to do, as requests on the data channel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .messages import build_message
from .topics import MessageType, SportApi, Topic, VuiApi


@dataclass(frozen=True)
class Request:
    """
    A request to one of the robot's services.

    Attributes:
        topic: the service's request topic.
        api_id: what is asked for.
        parameter: its arguments; None for none.
    """

    topic: str
    api_id: int
    parameter: Any = None


@dataclass(frozen=True)
class Publish:
    """
    A message to one of the robot's topics; nobody answers it.

    Attributes:
        topic: of the robot.
        data: content.
    """

    topic: Topic
    data: Any


Command = Request | Publish

STOP_MOVE = Request(Topic.SPORT_REQUEST, SportApi.STOP_MOVE)


def move(x: float, y: float, yaw: float) -> Request:
    """
    Return the request to walk; the robot drops it after about 1 s (vendor's notice, V1.1.6).

    Args:
        x: forward speed [m/s].
        y: leftward speed [m/s].
        yaw: turn rate, counterclockwise positive [rad/s].
    """
    return Request(Topic.SPORT_REQUEST, SportApi.MOVE, {'x': x, 'y': y, 'z': yaw})


def set_speed_level(level: int) -> Request:
    """Return the request for the robot's own speed level, -1 to 1."""
    return Request(Topic.SPORT_REQUEST, SportApi.SPEED_LEVEL, {'data': level})


def set_brightness(brightness: int) -> Request:
    """Return the request for the head light, 0 to 10."""
    return Request(Topic.VUI_REQUEST, VuiApi.SET_BRIGHTNESS, {'brightness': brightness})


def set_volume(volume: int) -> Request:
    """Return the request for the loudspeaker, 0 to 10."""
    return Request(Topic.VUI_REQUEST, VuiApi.SET_VOLUME, {'volume': volume})


def switch_lidar(on: bool) -> Publish:
    """Return the message that starts or stops the lidar."""
    return Publish(Topic.LIDAR_SWITCH, 'ON' if on else 'OFF')


def build(command: Command, identity: int) -> str:
    """Return the message text of a command; ``identity`` is for a request's response."""
    if isinstance(command, Publish):
        return build_message(MessageType.MESSAGE, command.topic.value, command.data)
    return build_request(command, identity)


def build_request(request: Request, identity: int) -> str:
    """Return the message text; the robot's response carries the same ``identity``."""
    parameter = '' if request.parameter is None else json.dumps(request.parameter)
    header = {'identity': {'id': identity, 'api_id': request.api_id}}
    return build_message(
        MessageType.REQUEST, request.topic, {'header': header, 'parameter': parameter}
    )
