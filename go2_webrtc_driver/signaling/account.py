"""Our account at the Unitree cloud, and the calls in its name."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from curl_cffi import CurlOpt
from curl_cffi.curl import CURL_WRITEFUNC_ERROR
from curl_cffi.requests import AsyncSession
from curl_cffi.requests.exceptions import RequestException

from ..errors import DecodeError, LinkRefused, LinkUnreachable
from ..protocol import cloud
from ..protocol.cloud import Tokens
from .attempt import Progress
from .credentials import Credentials, blot_out

LARGEST_BODY = 256 * 1024  # bytes
CALL_TIMEOUT = 15.0  # s; the cloud itself waits up to 5 s for the robot
MOST_HIDDEN = 16  # secrets, the newest ones, that are blotted out besides those in use
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
        self._transfers: list[asyncio.Future[Any]] = []
        self._hidden: deque[str] = deque(maxlen=MOST_HIDDEN)

    async def __aenter__(self) -> Cloud:
        """Open the HTTP session."""
        # A proxy of the environment would be sent the login in clear where the cloud is http;
        # that is on this machine only, where nobody needs one.
        is_here = self._url.startswith('http:')
        self._http: AsyncSession[Any] = AsyncSession(
            impersonate=BROWSER,
            timeout=CALL_TIMEOUT,
            trust_env=not is_here,
            curl_options={CurlOpt.NOPROXY: '*'} if is_here else {},
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close the HTTP session."""
        await self._http.close()
        await asyncio.gather(*self._transfers, return_exceptions=True)
        self._transfers.clear()

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
        self._tokens = self._new_tokens(cloud.LOGIN, self._data(cloud.LOGIN, reply))

    async def _renew(self, progress: Progress) -> None:
        """Get new tokens by the refresh token, else by logging in."""
        refresh, self._tokens = self._tokens.refresh if self._tokens else '', None
        if refresh:
            reply = await self._ask(progress, 'POST', cloud.REFRESH, {'refreshToken': refresh})
            if reply.code == cloud.OK:
                self._tokens = self._new_tokens(cloud.REFRESH, reply.data)
                return
        await self._log_in(progress)

    def _new_tokens(self, step: str, data: Any) -> Tokens:
        tokens = self.decoded(cloud.decode_tokens, step, data)
        self.hide(tokens.access, tokens.refresh)
        both = tokens.access + tokens.refresh
        if not (both.isascii() and both.isprintable()):
            raise self.unusable(f'{step}: expected tokens of printable ASCII, got others')
        return tokens

    async def _ask(
        self, progress: Progress, method: Method, step: str, fields: Fields | None
    ) -> cloud.Reply:
        progress.wait_for(f"the cloud's answer to {step}")
        headers = cloud.headers(self.access_token, int(time.time() * 1000), secrets.token_hex(16))
        body = _Body()
        try:
            response = await self._transfer(
                method, self._url + step, data=fields, headers=headers,
                content_callback=body.take, allow_redirects=False,
            )  # fmt: skip
        except RequestException as error:
            reason = body.complaint or f'expected an answer, got: {_reason(error)}'
            raise self.unusable(f'{step}: {reason}') from None
        if response.status_code != 200:
            raise self.unusable(f'{step}: expected HTTP status 200, got {response.status_code}')
        return self.decoded(cloud.decode_reply, step, body.text)

    async def _transfer(self, *arguments: Any, **options: Any) -> Any:
        """
        Make a request; where we are cancelled, it ends with the session.

        curl_cffi would free what a cancelled transfer still writes to, which ends the process.
        """
        transfer = asyncio.ensure_future(self._http.request(*arguments, **options))
        self._transfers.append(transfer)
        return await asyncio.shield(transfer)

    def _data(self, step: str, reply: cloud.Reply) -> Any:
        if reply.code == cloud.OK:
            return reply.data
        if reply.code == cloud.DEVICE_OFFLINE:
            raise self.unusable(f'{step}: the robot is not online (code {reply.code})')
        said = self._redact(reply.message)
        raise LinkRefused(f'{self.robot}: {step}: the cloud answered code {reply.code} {said!r}')

    def decoded(self, decode: Callable[..., T], *arguments: Any) -> T:
        """Return ``decode(*arguments)``; a DecodeError becomes LinkUnreachable."""
        try:
            return decode(*arguments)
        except DecodeError as error:
            raise self.unusable(str(error)) from None

    def unusable(self, reason: str) -> LinkUnreachable:
        """Return the error for an answer, or for none; secrets in ``reason`` are blotted out."""
        return LinkUnreachable(f'{self.robot}: cloud: {self._redact(reason)}')

    def hide(self, *secrets: str) -> None:
        """Never show these, that the cloud and we share, though it may say them again."""
        self._hidden.extend(secrets)

    def _redact(self, text: str) -> str:
        tokens = (self._tokens.access, self._tokens.refresh) if self._tokens else ()
        sent = cloud.hash_password(self._credentials.password)
        return blot_out((sent, *tokens, *self._hidden), self._credentials.redact(text))


class _Body:
    """
    The body of a response as it arrives; ends the call when it grows too large.

    Not curl_cffi's stream: to leave one early is to wait until the other side ends it.
    """

    def __init__(self) -> None:
        self._content = bytearray()

    def take(self, chunk: bytes) -> int:
        """Take what curl has unpacked, at most 16 KiB; return what tells it to go on."""
        self._content += chunk
        return CURL_WRITEFUNC_ERROR if self.complaint else len(chunk)

    @property
    def complaint(self) -> str:
        """What is wrong with it so far; empty if nothing is."""
        too_large = len(self._content) > LARGEST_BODY
        return f'expected at most {LARGEST_BODY} bytes, got more' if too_large else ''

    @property
    def text(self) -> str:
        """All of it."""
        return self._content.decode('utf-8', 'replace')


def _reason(error: RequestException) -> str:
    """Return curl's words without its advice where to read on."""
    return str(error).partition('. See ')[0]
