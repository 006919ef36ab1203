"""What the robot can be asked to do, as services; they answer with its own result."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from ..config import DriverConfig
from ..errors import ConfigError, Go2Error, InvalidCommand, LinkLost
from ..protocol import commands
from ..protocol.actions import ACTIONS, Action
from ..protocol.commands import Request
from ..protocol.messages import Message
from ..protocol.motion import avoid_obstacles
from ..protocol.topics import ObstaclesAvoidApi, SportApi, Topic
from ..session.session import RobotSession
from .answers import answer_later

logger = logging.getLogger(__name__)

TIMEOUT = 5.0  # s, for the robot's answer to a switch or a raw request
FULL_LIGHT = 10
ANSWERED = 'the robot answered with status 0'
SENT = 'sent; the robot does not answer this'
MOVES = {
    (Topic.SPORT_REQUEST.value, SportApi.MOVE.value),
    (Topic.OBSTACLES_AVOID_REQUEST.value, ObstaclesAvoidApi.MOVE.value),
}

# What can make a robot unusable: a shell (a reboot over it did), and what ends its walking.
SYSTEM = ('rt/api/bashrunner/request', Topic.MOTION_SWITCHER_REQUEST.value)

# What a service lets the session do with its request; None: the robot does not answer it.
Work = Callable[[RobotSession, Any], Coroutine[Any, Any, Message | None]]

# Runs work of the session, and never blocks; the future may end in a Go2Error.
Submit = Callable[[Callable[[RobotSession], Coroutine[Any, Any, Any]]], 'Future[Any]']


class Services:
    """The services of a configured node, with ``~/request`` and ``~/response``."""

    def __init__(self, node: Any, config: DriverConfig, submit: Submit) -> None:
        """
        Args:
            node: the rclpy node.
            config: ``allow_acrobatics`` and ``allow_system_requests``.
            submit: runs work of the session.
        """
        self._node = node
        self._submit = submit
        self._allow_system = config.allow_system_requests
        self._services = [
            self._serve(Trigger, action.name, partial(_act, action))
            for action in ACTIONS
            if config.allow_acrobatics or not action.acrobatic
        ] + [self._serve(SetBool, name, work) for name, work in SWITCHES.items()]
        self._requests = node.create_subscription(String, '~/request', self._on_request, 10)
        self._responses = node.create_publisher(String, '~/response', 10)

    def _serve(self, kind: Any, name: str, work: Work) -> Any:
        service = self._node.create_service(kind, f'~/{name}', lambda request, response: response)
        return answer_later(service, partial(self._answer, work))

    def destroy(self) -> None:
        """Take everything back."""
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_subscription(self._requests)
        self._node.destroy_publisher(self._responses)

    def _answer(self, work: Work, request: Any, response: Any) -> Future[Any]:
        """Return a response that is filled with what comes of the work."""
        answer: Future[Any] = Future()
        done = self._submit(lambda session: work(session, request))
        done.add_done_callback(lambda done: answer.set_result(_fill(response, done)))
        return answer

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

    def _on_request(self, message: String) -> None:
        """Send a request of the user's own; the robot's answer comes on ``~/response``."""
        try:
            request = parse_request(message.data, self._allow_system)
        except Go2Error as error:
            self._refuse(error)
            return
        done = self._submit(lambda session: session.request(request, TIMEOUT))
        done.add_done_callback(self._on_done)

    def _on_done(self, done: Future[Message]) -> None:
        error = LinkLost('the link has ended') if done.cancelled() else done.exception()
        if isinstance(error, Go2Error):
            self._refuse(error)
        elif error is not None:
            logger.critical(''.join(traceback.format_exception(error)))

    def _refuse(self, error: Go2Error) -> None:
        logger.warning('request: %s', error)
        self._respond({'error': str(error)})


def _fill(response: Any, done: Future[Message | None]) -> Any:
    error = LinkLost('the link has ended') if done.cancelled() else done.exception()
    if error is None:
        response.success, response.message = True, ANSWERED if done.result() else SENT
    else:
        response.success, response.message = False, str(error)
    return response


async def _act(action: Action, session: RobotSession, request: Trigger.Request) -> Message:
    return await session.act(action)


async def _switch_avoidance(session: RobotSession, request: SetBool.Request) -> Message:
    return await session.request(avoid_obstacles(request.data), TIMEOUT)


async def _switch_light(session: RobotSession, request: SetBool.Request) -> Message:
    brightness = FULL_LIGHT if request.data else 0
    return await session.request(commands.set_brightness(brightness), TIMEOUT)


async def _switch_lidar(session: RobotSession, request: SetBool.Request) -> None:
    session.switch_lidar(request.data)


SWITCHES: dict[str, Work] = {
    'obstacle_avoidance': _switch_avoidance,
    'light': _switch_light,
    'lidar': _switch_lidar,
}


def parse_request(text: str, allow_system: bool = False) -> Request:
    """
    Return the request that the JSON ``text`` describes: topic, api_id, parameter.

    Args:
        text: of the message.
        allow_system: take what changes or ends the robot's own system, too.

    Raises:
        ConfigError: it has another form.
        InvalidCommand: it is a velocity; those go through cmd_vel, which limits and ends them.
            Or it is one to the robot's own system, and those are not allowed.
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
    if topic in SYSTEM and not allow_system:
        raise InvalidCommand(f'expected another topic than {topic}, or allow_system_requests')
    return Request(topic, number, content.get('parameter'))
