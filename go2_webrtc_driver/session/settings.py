"""What the configuration sets the robot to; the newest of each setting reaches it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from ..config import DriverConfig
from ..errors import CommandRejected, DecodeError, InvalidCommand, LinkError
from ..protocol import commands
from ..protocol.actions import GAITS
from ..protocol.commands import Request

logger = logging.getLogger(__name__)


class Settings:
    """The settings of one link: asked for one after the other, each only if it is news."""

    def __init__(self, ask: Callable[[Request], Awaitable[object]]) -> None:
        """
        Args:
            ask: sends a request and awaits the robot's answer.
        """
        self._ask = ask
        self._wanted: dict[tuple[str, int], Request] = {}
        self._told: dict[tuple[str, int], Request] = {}
        self._changed = asyncio.Event()

    def want(self, requests: Iterable[Request]) -> None:
        """Replace the settings that the robot shall have; those not sent yet are forgotten."""
        self._wanted = {(each.topic, each.api_id): each for each in requests}
        self._changed.set()

    async def run(self) -> None:
        """Send what is news, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for setting in list(self._wanted):
                await self._send(setting)

    async def _send(self, setting: tuple[str, int]) -> None:
        request = self._wanted.get(setting)
        if request is None or request == self._told.get(setting):
            return
        self._told[setting] = request
        try:
            await self._ask(request)
        except (LinkError, CommandRejected, DecodeError) as error:
            logger.warning('the robot did not accept the setting %s: %s', request.parameter, error)


def settings(config: DriverConfig, mode: str) -> list[Request]:
    """Return the requests that set a robot in ``mode`` as the configuration asks for."""
    wanted = []
    if config.speed_level >= -1:
        wanted.append(commands.set_speed_level(config.speed_level))
    if config.light_brightness >= 0:
        wanted.append(commands.set_brightness(config.light_brightness))
    if config.volume >= 0:
        wanted.append(commands.set_volume(config.volume))
    if config.gait:
        with suppress(InvalidCommand):
            wanted.append(GAITS[config.gait].request(mode))
    return wanted
