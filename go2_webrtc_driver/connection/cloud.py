"""Our account at the Unitree cloud, and the calls in its name."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from curl_cffi.requests import AsyncSession
from curl_cffi.requests.exceptions import RequestException

from ..errors import DecodeError, LinkRefused, LinkUnreachable
from ..protocol import cloud
from ..protocol.cloud import Tokens
from .credentials import Credentials
from .signaling import Progress

LARGEST_BODY = 256 * 1024  # bytes
CALL_TIMEOUT = 15.0  # s; the cloud itself waits up to 5 s for the robot
BROWSER = 'chrome120'  # whose TLS handshake is imitated: the cloud turns others away

T = TypeVar('T')
Method = Literal['GET', 'POST']
Fields = dict[str, Any]


class Cloud:
    """
    Our account at the cloud: a context for its calls, which keeps its tokens beyond it.

    Attributes:
        robot: what messages call the robot the calls are about.
    """

    def __init__(self, url: str, serial_number: str, credentials: Credentials) -> None:
        """
        Args:
            url: of the cloud, with a slash at its end.
            serial_number: of the robot.
            credentials: a token, or email and password, or both.
        """
        self.robot = f'robot {serial_number}'
        self._url = url
        self._credentials = credentials
        self._tokens = Tokens(credentials.token, '') if credentials.token else None

    async def __aenter__(self) -> Cloud:
        """Open the HTTP session."""
        self._http: AsyncSession[Any] = AsyncSession(impersonate=BROWSER, timeout=CALL_TIMEOUT)
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close the HTTP session."""
        await self._http.close()

    @property
    def access_token(self) -> str:
        """Who we are; a secret. Empty before the first call."""
        return self._tokens.access if self._tokens else ''

    async def call(
        self, progress: Progress, method: Method, step: str, fields: Fields | None = None
    ) -> Any:
        """
        Make a call in our name and return its data; logs in when that is needed.

        Args:
            progress: told of every call that is waited for.
            method: of HTTP.
            step: which call, as ``protocol.cloud`` names it.
            fields: its form.

        Raises:
            LinkUnreachable: no usable answer, or the robot is not online.
            LinkRefused: the cloud does not know us, or does not let us.
        """
        if self._tokens is None:
            await self._log_in(progress)
        reply = await self._ask(progress, method, step, fields)
        if reply.code == cloud.TOKEN_EXPIRED:
            await self._renew(progress)
            reply = await self._ask(progress, method, step, fields)
        return self._data(step, reply)

    async def _log_in(self, progress: Progress) -> None:
        known = self._credentials
        if not (known.email and known.password):
            raise LinkRefused(
                f'{self.robot}: the token of the cloud has expired, '
                'and there is no email and password to log in with'
            )
        fields = {'email': known.email, 'password': cloud.hash_password(known.password)}
        reply = await self._ask(progress, 'POST', cloud.LOGIN, fields)
        self._tokens = self.decoded(
            cloud.decode_tokens, cloud.LOGIN, self._data(cloud.LOGIN, reply)
        )

    async def _renew(self, progress: Progress) -> None:
        """Get new tokens by the refresh token, else by logging in."""
        refresh, self._tokens = self._tokens.refresh if self._tokens else '', None
        if refresh:
            reply = await self._ask(progress, 'POST', cloud.REFRESH, {'refreshToken': refresh})
            if reply.code == cloud.OK:
                self._tokens = self.decoded(cloud.decode_tokens, cloud.REFRESH, reply.data)
                return
        await self._log_in(progress)

    async def _ask(
        self, progress: Progress, method: Method, step: str, fields: Fields | None
    ) -> cloud.Reply:
        progress.wait_for(f"the cloud's answer to {step}")
        headers = cloud.headers(self.access_token, int(time.time() * 1000), secrets.token_hex(16))
        try:
            response = await self._http.request(
                method, self._url + step, data=fields, headers=headers, stream=True,
                allow_redirects=False,
            )  # fmt: skip
            try:
                body = await self._read(step, response)
            finally:
                await response.aclose()
        except RequestException as error:
            raise self._unreachable(f'{step}: expected an answer, got: {_reason(error)}') from None
        return self.decoded(cloud.decode_reply, step, body)

    async def _read(self, step: str, response: Any) -> str:
        if response.status_code != 200:
            raise self._unreachable(
                f'{step}: expected HTTP status 200, got {response.status_code}'
            )
        content = bytearray()
        async for chunk in response.aiter_content():
            content += chunk
            if len(content) > LARGEST_BODY:
                raise self._unreachable(f'{step}: expected at most {LARGEST_BODY} bytes, got more')
        return content.decode('utf-8', 'replace')

    def _data(self, step: str, reply: cloud.Reply) -> Any:
        if reply.code == cloud.OK:
            return reply.data
        if reply.code == cloud.DEVICE_OFFLINE:
            raise self._unreachable(f'{step}: the robot is not online (code {reply.code})')
        said = self._redact(reply.message)
        raise LinkRefused(f'{self.robot}: {step}: the cloud answered code {reply.code} {said!r}')

    def decoded(self, decode: Callable[..., T], *arguments: Any) -> T:
        """Return ``decode(*arguments)``; a DecodeError becomes LinkUnreachable."""
        try:
            return decode(*arguments)
        except DecodeError as error:
            raise self._unreachable(str(error)) from None

    def _unreachable(self, reason: str) -> LinkUnreachable:
        return LinkUnreachable(f'{self.robot}: cloud: {self._redact(reason)}')

    def _redact(self, text: str) -> str:
        for secret in (self._tokens.access, self._tokens.refresh) if self._tokens else ():
            text = text.replace(secret, '***') if secret else text
        return self._credentials.redact(text)


def _reason(error: RequestException) -> str:
    """Return curl's words without its advice where to read on."""
    return str(error).partition('. See ')[0]
