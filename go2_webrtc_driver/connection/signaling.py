"""Exchanges our offer for the robot's answer, over HTTP on the LAN."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import aiohttp

from ..errors import DecodeError, LinkUnreachable
from ..protocol import signaling
from ..protocol.signaling import Answer

LARGEST_BODY = 256 * 1024  # bytes; an answer has about 6 000


async def exchange_offer(
    address: str, offer: dict[str, Any], on_step: Callable[[str], None]
) -> Answer:
    """
    Return the robot's answer to ``offer``. The caller bounds the time.

    Args:
        address: IP address of the robot.
        offer: SDP, type, id and token.
        on_step: told what is waited for, before each wait.

    Raises:
        LinkUnreachable: nobody answered, or not what a robot answers.
    """
    session_key = secrets.token_hex(16)
    base = f'http://{_host(address)}:{signaling.PORT}/'
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        try:
            on_step(f'an answer to {signaling.NOTIFY}')
            notice = signaling.decode_notice(await _post(http, base + signaling.NOTIFY, None))
            on_step('an answer to our offer')
            body = signaling.encode_offer(offer, notice.public_key, session_key)
            reply = await _post(http, base + signaling.EXCHANGE + notice.path, body)
            return signaling.decode_answer(reply, session_key)
        except DecodeError as error:
            raise LinkUnreachable(f'robot {address}: {error}') from error
        except (aiohttp.ClientError, OSError) as error:
            raise LinkUnreachable(
                f'robot {address}: expected signaling on port {signaling.PORT}, got: {error}'
            ) from error


def _host(address: str) -> str:
    return f'[{address}]' if ':' in address else address


async def _post(http: aiohttp.ClientSession, url: str, body: str | None) -> str:
    headers = {'Content-Type': 'application/x-www-form-urlencoded'}
    async with http.post(url, data=body, headers=headers, allow_redirects=False) as response:
        if response.status != 200:
            raise DecodeError(url, f'expected HTTP status 200, got {response.status}')
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > LARGEST_BODY:
                raise DecodeError(url, f'expected at most {LARGEST_BODY} bytes, got more')
    return content.decode('utf-8', 'replace')
