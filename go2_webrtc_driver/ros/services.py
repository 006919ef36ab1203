"""What the robot can be asked to do, as services; they answer with its own result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from ..config import DriverConfig
from ..errors import ConfigError, Go2Error, InvalidCommand
from ..protocol import commands
from ..protocol.actions import ACTIONS, Action
from ..protocol.commands import Request
from ..protocol.messages import Message
from ..protocol.motion import avoid_obstacles
from ..protocol.topics import ObstaclesAvoidApi, SportApi, Topic
from ..session.session import RobotSession

logger = logging.getLogger(__name__)

TIMEOUT = 5.0  # s, for the robot's answer to a switch or a raw request
FULL_LIGHT = 10
ANSWERED = 'the robot answered with status 0'
SENT = 'sent; the robot does not answer this'
MOVES = {
    (Topic.SPORT_REQUEST.value, SportApi.MOVE.value),
    (Topic.OBSTACLES_AVOID_REQUEST.value, ObstaclesAvoidApi.MOVE.value),
}

# Runs work of the session and returns its result, within some seconds; raises Go2Error.
Ask = Callable[[Callable[[RobotSession], Coroutine[Any, Any, Any]], float], Any]


class Services:
    """The services of a configured node, with ``~/request`` and ``~/response``."""

    def __init__(self, node: Any, config: DriverConfig, ask: Ask) -> None:
        """
        Args:
            node: the rclpy node.
            config: ``allow_acrobatics``.
            ask: runs work of the session.
        """
        self._node = node
        self._ask = ask
        # A group for each: however often one is asked for what the robot does not answer, it
        # takes one of the executor's threads, and leaves the others to velocities, stop and damp.
        group = MutuallyExclusiveCallbackGroup
        self._services = [
            node.create_service(
                Trigger, f'~/{action.name}', partial(self._act, action), callback_group=group()
            )
            for action in ACTIONS
            if config.allow_acrobatics or not action.acrobatic
        ]  # fmt: skip
        self._services += [
            node.create_service(
                SetBool, f'~/{name}', partial(self._switch, work), callback_group=group()
            )
            for name, work in SWITCHES.items()
        ]
        self._requests = node.create_subscription(
            String, '~/request', self._on_request, 10, callback_group=group()
        )
        self._responses = node.create_publisher(String, '~/response', 10)

    def destroy(self) -> None:
        """Take everything back."""
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_subscription(self._requests)
        self._node.destroy_publisher(self._responses)

    def _respond(self, content: dict[str, Any]) -> None:
        try:
            text = json.dumps(content)
        except (ValueError, RecursionError) as error:
            text = json.dumps({'error': f'expected a response that can be shown, got: {error}'})
        with suppress(rclpy_implementation.InvalidHandle):  # the node was cleaned up meanwhile
            self._responses.publish(String(data=text))

    def publish_response(self, message: Message) -> None:
        """Publish a response of the robot on ``~/response``."""
        content = message.data if isinstance(message.data, dict) else {'data': message.data}
        self._respond({'topic': message.topic, **content})

    def _act(
        self, action: Action, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return self._answer(response, lambda session: session.act(action), action.timeout)

    def _switch(
        self, work: Switch, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        return self._answer(response, lambda session: work(session, request.data), TIMEOUT)

    def _answer(
        self,
        response: Any,
        work: Callable[[RobotSession], Coroutine[Any, Any, Any]],
        timeout: float,
    ) -> Any:
        """Fill a response with what came of the work."""
        try:
            answer = self._ask(work, timeout)
            response.success, response.message = True, SENT if answer is None else ANSWERED
        except Go2Error as error:
            response.success, response.message = False, str(error)
        return response

    def _on_request(self, message: String) -> None:
        try:
            request = parse_request(message.data)
            self._ask(lambda session: session.request(request, TIMEOUT), TIMEOUT)
        except Go2Error as error:
            logger.warning('request: %s', error)
            self._respond({'error': str(error)})


Switch = Callable[[RobotSession, bool], Coroutine[Any, Any, Any]]


async def _switch_avoidance(session: RobotSession, on: bool) -> Message:
    return await session.request(avoid_obstacles(on), TIMEOUT)


async def _switch_light(session: RobotSession, on: bool) -> Message:
    return await session.request(commands.set_brightness(FULL_LIGHT if on else 0), TIMEOUT)


async def _switch_lidar(session: RobotSession, on: bool) -> None:
    session.switch_lidar(on)


SWITCHES: dict[str, Switch] = {
    'obstacle_avoidance': _switch_avoidance,
    'light': _switch_light,
    'lidar': _switch_lidar,
}


def parse_request(text: str) -> Request:
    """
    Return the request that the JSON ``text`` describes: topic, api_id, parameter.

    Raises:
        ConfigError: it has another form.
        InvalidCommand: it is a velocity; those go through cmd_vel, which limits and ends them.
    """
    try:
        content = json.loads(text)
        json.dumps(content, allow_nan=False)
    except (ValueError, RecursionError):
        raise ConfigError(f'expected JSON without NaN and infinity, got {text[:60]!r}') from None
    if not isinstance(content, dict):
        raise ConfigError(f'expected an object with topic and api_id, got {text[:60]!r}')
    topic, number = content.get('topic'), content.get('api_id')
    if not isinstance(topic, str) or not topic.endswith('/request'):
        raise ConfigError(f'topic: expected a name that ends with /request, got {topic!r:.60}')
    if not isinstance(number, int) or isinstance(number, bool):
        raise ConfigError(f'api_id: expected a whole number, got {number!r:.60}')
    if (topic, number) in MOVES:
        raise InvalidCommand('expected anything but a velocity; publish it on cmd_vel')
    return Request(topic, number, content.get('parameter'))
