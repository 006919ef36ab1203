"""The robot's side of the signaling on the LAN: takes offers over HTTP."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from ...errors import DecodeError
from ...protocol import offer_answer as signaling
from ...protocol import sealing
from ...protocol.offer_answer import Answer
from ..options import Options

logger = logging.getLogger(__name__)

LONGEST_SILENCE = 60.0  # s; a request that nobody reads must not stay for ever
STOP_TIMEOUT = 0.5  # s, for requests that are being answered


class LanServer:
    """
    Listens as a robot does, and has offers answered.

    Its key and path stay the same over any number of starts and stops.
    """

    def __init__(
        self, options: Options, answer: Callable[[Mapping[str, Any]], Awaitable[Answer]]
    ) -> None:
        """
        Args:
            options: say where it listens, and in which of the robot's ways.
            answer: returns the answer to an offer; raises DecodeError if it is not one.
        """
        self._options = options
        self._answer = answer
        self._private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._path = ''.join(secrets.choice('0123456789') for _ in range(5))
        self._awake = asyncio.Event()
        self._awake.set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; raises OSError if the address is not free."""
        app = web.Application()
        if self._options.old_signaling:
            app.router.add_post(f'/{signaling.OLD_EXCHANGE}', self._old_exchange)
        else:
            app.router.add_post(f'/{signaling.NOTIFY}', self._notify)
            app.router.add_post(f'/{signaling.EXCHANGE}{self._path}', self._exchange)
        self._runner = web.AppRunner(app, shutdown_timeout=STOP_TIMEOUT)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._options.ip, self._options.port).start()

    async def stop(self) -> None:
        """Stop listening; safe to repeat."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def silent(self) -> bool:
        """While True requests are taken and not answered; then whose client still waits, are."""
        return not self._awake.is_set()

    @silent.setter
    def silent(self, silent: bool) -> None:
        if silent:
            self._awake.clear()
        else:
            self._awake.set()

    async def _notify(self, request: web.Request) -> web.Response:
        await self._wake()
        options = self._options
        notice = signaling.Notice(self._private_key.public_key(), self._path)
        key = options.device_key if options.scheme == 3 else signaling.SHARED_KEY
        nonce = secrets.token_bytes(12)
        return web.Response(text=signaling.encode_notice(notice, options.scheme, key, nonce))

    async def _exchange(self, request: web.Request) -> web.Response:
        await self._wake()
        try:
            offer, key = signaling.decode_offer(await request.text(), self._private_key)
            answer = await self._answer(offer)
        except DecodeError as error:
            return _refusal(error)
        return web.Response(text=signaling.encode_answer(answer, key))

    async def _old_exchange(self, request: web.Request) -> web.Response:
        await self._wake()
        try:
            offer = sealing.json_object(signaling.OLD_EXCHANGE, await request.text())
            answer = await self._answer(offer)
        except DecodeError as error:
            return _refusal(error)
        return web.Response(
            text=signaling.encode_plain_answer(answer), content_type='application/json'
        )

    async def _wake(self) -> None:
        """Return when the server is not silent; a client that left till then has no body."""
        try:
            await asyncio.wait_for(self._awake.wait(), LONGEST_SILENCE)
        except asyncio.TimeoutError:
            raise web.HTTPServiceUnavailable from None


def _refusal(error: DecodeError) -> web.Response:
    logger.warning('refused an offer: %s', error)
    return web.Response(status=400)
