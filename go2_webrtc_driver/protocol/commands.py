"""What the driver asks the robot to do, as requests on the data channel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .messages import build_message
from .topics import MessageType, SportApi, Topic


@dataclass(frozen=True)
class Request:
    """
    A request to one of the robot's services.

    Attributes:
        topic: the service's request topic.
        api_id: what is asked for.
        parameter: its arguments; None for none.
    """

    topic: Topic
    api_id: int
    parameter: Any = None


STOP_MOVE = Request(Topic.SPORT_REQUEST, SportApi.STOP_MOVE)
STAND_UP = Request(Topic.SPORT_REQUEST, SportApi.STAND_UP)


def move(x: float, y: float, yaw: float) -> Request:
    """
    Return the request to walk; the robot drops it after about 1 s (vendor's notice, V1.1.6).

    Args:
        x: forward speed [m/s].
        y: leftward speed [m/s].
        yaw: turn rate, counterclockwise positive [rad/s].
    """
    return Request(Topic.SPORT_REQUEST, SportApi.MOVE, {'x': x, 'y': y, 'z': yaw})


def build_request(request: Request, identity: int) -> str:
    """Return the message text; the robot's response carries the same ``identity``."""
    parameter = '' if request.parameter is None else json.dumps(request.parameter)
    header = {'identity': {'id': identity, 'api_id': request.api_id}}
    return build_message(
        MessageType.REQUEST, request.topic.value, {'header': header, 'parameter': parameter}
    )
