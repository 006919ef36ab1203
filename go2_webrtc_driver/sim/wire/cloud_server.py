"""
A simulated Unitree cloud: accounts, robots, and offers passed on to those online.

The calls stand in ``protocol.cloud``. Not known of the real cloud, and chosen here: the
code and words of a refusal, that a refresh token buys once, and what it says if a robot
is too slow.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ...protocol import cloud, sealing
from ...protocol import offer_answer as signaling
from ...protocol.cloud import Reply
from .newest import Newest
from .peer import SimulatedGo2

logger = logging.getLogger(__name__)

REFUSED = 1003  # the real cloud gives it for headers it does not like; its other codes are unknown
WITHOUT_TOKEN = {cloud.LOGIN, cloud.REFRESH, cloud.PUBLIC_KEY}

Form = Mapping[str, Any]
Act = Callable[[Form], Awaitable[Reply]]


@dataclass(frozen=True)
class CloudOptions:
    """
    What this cloud knows.

    Attributes:
        ip: address it listens on.
        port: where; 0 takes a free one.
        email: of the one account.
        password: of the account.
        turn: TURN server it lends to robot and client; without one it refuses to.
        bound: serial number of each robot of the account, with its AES key if it has one.
    """

    ip: str = '127.0.0.1'
    port: int = 0
    email: str = 'somebody@example.com'
    password: str = field(repr=False, default='secret')
    turn: cloud.TurnAccount | None = None
    bound: Mapping[str, bytes | None] = field(repr=False, default_factory=dict)


class SimulatedCloud:
    """
    A cloud that listens on the network.

    Attributes:
        robots: those that are online, by serial number.
        calls: the newest calls, answered well or not.
        url: its address, once it is started.
    """

    def __init__(self, options: CloudOptions = CloudOptions()) -> None:
        """Make the cloud; :meth:`start` puts it on the network."""
        self.robots: dict[str, SimulatedGo2] = {}
        self.calls: Newest[str] = Newest()
        self.url = ''
        self._options = options
        self._private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._access_tokens: set[str] = set()
        self._refresh_tokens: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; raises OSError if address and port are not free."""
        app = web.Application()
        for method, step, act in self._steps():
            app.router.add_route(method, f'/{step}', partial(self._serve, step, act))
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._options.ip, self._options.port)
        await site.start()
        host, port = self._runner.addresses[0]
        self.url = f'http://{host}:{port}/'

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def expire_tokens(self) -> None:
        """Let every access token expire; those for refreshing stay good."""
        self._access_tokens.clear()

    def expire_everything(self) -> None:
        """Let every token expire: only a password helps."""
        self._access_tokens.clear()
        self._refresh_tokens.clear()

    def _steps(self) -> list[tuple[str, str, Act]]:
        return [
            ('POST', cloud.LOGIN, self._log_in),
            ('POST', cloud.REFRESH, self._refresh),
            ('GET', cloud.DEVICES, self._list_devices),
            ('GET', cloud.PUBLIC_KEY, self._show_key),
            ('POST', cloud.ACCOUNT, self._lend_turn),
            ('POST', cloud.CONNECT, self._connect),
        ]

    async def _serve(self, step: str, act: Act, request: web.Request) -> web.Response:
        self.calls.append(step)
        reply = self._refusal(step, request.headers) or await _attempt(act, await request.post())
        logger.info('%s: code %d %s', step, reply.code, reply.message)
        return web.Response(text=cloud.encode_reply(reply), content_type='application/json')

    def _refusal(self, step: str, headers: Mapping[str, str]) -> Reply | None:
        timestamp, nonce = headers.get('AppTimestamp', ''), headers.get('AppNonce', '')
        if headers.get('AppSign') != cloud.sign(timestamp, nonce):
            return Reply(REFUSED, 'the signature is wrong')
        if step not in WITHOUT_TOKEN and headers.get('Token') not in self._access_tokens:
            return Reply(cloud.TOKEN_EXPIRED, 'the token has expired')
        return None

    async def _log_in(self, form: Form) -> Reply:
        expected = self._options.email, cloud.hash_password(self._options.password)
        if (form.get('email'), form.get('password')) != expected:
            return Reply(REFUSED, 'the email or the password is wrong')
        return self._new_tokens()

    async def _refresh(self, form: Form) -> Reply:
        given = form.get('refreshToken')
        if given not in self._refresh_tokens:
            return Reply(cloud.TOKEN_EXPIRED, 'the refresh token has expired')
        self._refresh_tokens.remove(given)
        return self._new_tokens()

    def _new_tokens(self) -> Reply:
        access, refresh = secrets.token_hex(16), secrets.token_hex(16)
        self._access_tokens.add(access)
        self._refresh_tokens.add(refresh)
        return _ok({'accessToken': access, 'refreshToken': refresh})

    async def _list_devices(self, form: Form) -> Reply:
        return _ok(
            [
                {
                    'sn': serial_number,
                    'alias': 'simulated',
                    'series': 'Go2',
                    'model': 'EDU',
                    'mac': '',
                    'online': serial_number in self.robots,
                    'key': key.hex() if key else '',
                }
                for serial_number, key in self._options.bound.items()
            ]
        )

    async def _show_key(self, form: Form) -> Reply:
        """Return the key as the library says the cloud does: base64 of PEM."""
        pem = self._private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return _ok(base64.b64encode(pem).decode())

    async def _lend_turn(self, form: Form) -> Reply:
        session_key = self._session_key(cloud.ACCOUNT, form)
        if form.get('sn') not in self._options.bound:
            return Reply(REFUSED, 'the robot is not bound to the account')
        if self._options.turn is None:
            return Reply(REFUSED, 'there is no TURN server')
        return _ok(cloud.encode_turn_account(self._options.turn, session_key))

    async def _connect(self, form: Form) -> Reply:
        session_key = self._session_key(cloud.CONNECT, form)
        offer = sealing.json_object(
            cloud.CONNECT, sealing.unseal(cloud.CONNECT, form.get('data'), session_key)
        )
        if form.get('sn') not in self._options.bound:
            return Reply(REFUSED, 'the robot is not bound to the account')
        robot = self.robots.get(form['sn'])
        if robot is None:
            return Reply(cloud.DEVICE_OFFLINE, 'the robot is not online')
        try:
            answer = await asyncio.wait_for(robot.answer(offer), float(form.get('timeout', '')))
        except asyncio.TimeoutError:
            return Reply(cloud.DEVICE_OFFLINE, 'the robot did not answer')
        return _ok(signaling.encode_answer(answer, session_key))

    def _session_key(self, step: str, form: Form) -> str:
        return sealing.unseal_key(step, form.get('sk'), self._private_key)


async def _attempt(act: Act, form: Form) -> Reply:
    try:
        return await act(form)
    except ValueError as error:
        return Reply(REFUSED, str(error))


def _ok(result: Any) -> Reply:
    return Reply(cloud.OK, '', result)
