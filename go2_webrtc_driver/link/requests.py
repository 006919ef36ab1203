"""Requests that wait for the robot's response."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from ..errors import CommandRejected, DecodeError, LinkLost, show
from ..protocol import commands
from ..protocol.commands import Request
from ..protocol.messages import Message
from ..tasks import timeout


class Requests:
    """The requests of one link, each known by the identity that its response carries."""

    def __init__(self, robot: str, send: Callable[[str], None]) -> None:
        """
        Args:
            robot: what messages call the robot.
            send: sends a text; raises LinkLost.
        """
        self._robot = robot
        self._send = send
        self._responses: dict[int, asyncio.Future[Message]] = {}

    async def ask(self, request: Request, limit: float) -> Message:
        """
        Send a request and return the robot's response.

        Raises:
            CommandRejected: the robot answered with a status other than 0.
            LinkLost: the link is not open, or no response came within ``limit`` seconds.
        """
        identity = new_identity()
        response: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._responses[identity] = response
        try:
            self._send(commands.build_request(request, identity))
            async with timeout(limit):
                message = await response
        except asyncio.TimeoutError:
            raise LinkLost(
                f'{self._robot}: expected a response to request {request.api_id} '
                f'within {limit:g} s, nothing came'
            ) from None
        finally:
            del self._responses[identity]
        if code := _status(message):
            raise CommandRejected(request.api_id, code)
        return message

    def resolve(self, message: Message) -> None:
        """Take a response; one that nobody waits for is ignored."""
        try:
            response = self._responses.get(message.data['header']['identity']['id'])
        except (TypeError, KeyError):
            return
        if response is not None and not response.done():
            response.set_result(message)

    def close(self) -> None:
        """End every wait: there will be no response any more."""
        for response in self._responses.values():
            if not response.done():
                response.set_exception(LinkLost(f'{self._robot}: the link was closed'))


def new_identity() -> int:
    """Return a number for a request that no other client of the robot is likely to use."""
    return secrets.randbelow(2**31)


def _status(message: Message) -> int:
    try:
        code = message.data['header']['status']['code']
    except (TypeError, KeyError):
        code = None
    if not isinstance(code, int) or isinstance(code, bool):
        raise DecodeError(message.topic, f'expected a status code, got {show(code)}')
    return code
