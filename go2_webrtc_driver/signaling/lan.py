"""Signaling on the LAN: over HTTP, straight to the robot."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from typing import Any

import aiohttp

from ..errors import DecodeError, LinkRefused, LinkUnreachable
from ..protocol import offer_answer as signaling
from ..protocol.offer_answer import Answer
from ..tasks import timeout
from .attempt import Network, Progress
from .multicast import find_robot

AP_ADDRESS = '192.168.12.1'  # of every robot, on the Wi-Fi network it makes itself
STA_OFFER, AP_OFFER = 'STA_localNetwork', ''  # what the two methods call themselves
CONNECT_TIMEOUT = 1.5  # s, for a port to accept, before the older one is tried
KNOCK_PERIOD = 0.05  # s, between two looks whether a robot that was away is back
KNOCK_TIMEOUT = 0.5  # s
LARGEST_BODY = 256 * 1024  # bytes; an answer has about 6 000


class LanSignaling:
    """
    The way to a robot on the LAN, by address or by serial number.

    Attributes:
        robot: what messages call the robot.
    """

    def __init__(
        self, address: str, serial_number: str, device_key: bytes | None, offer_id: str
    ) -> None:
        """
        Args:
            address: IP address; empty: found by ``serial_number``.
            serial_number: of the robot; may be empty if ``address`` is not.
            device_key: 16 bytes, for robots that ask for a key of their own.
            offer_id: ``STA_OFFER`` or ``AP_OFFER``.
        """
        self.robot = f'robot {address or serial_number}'
        self._address = address
        self._serial_number = serial_number
        self._device_key = device_key
        self._offer_id = offer_id

    async def __aenter__(self) -> LanSignaling:
        """Open the HTTP session."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
        # A robot may close after each response without saying so: a connection for each request.
        connector = aiohttp.TCPConnector(force_close=True)
        self._http = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close the HTTP session."""
        await self._http.close()

    async def prepare(self, progress: Progress) -> Network:
        """Find the robot's address, and ours on the interface that leads there."""
        if not self._address:
            progress.wait_for('an answer to discovery')
            self._address = await find_robot(self._serial_number)
        ours = local_address_towards(self._address, signaling.PORT)
        return Network(ours, robot=self._address)

    async def exchange(self, sdp: str, progress: Progress) -> Answer:
        """
        Return the robot's answer to our offer.

        Raises:
            LinkUnreachable: nobody answered, or not what a robot answers.
            LinkRefused: the robot asks for its AES key, and none or a wrong one is configured.
        """
        offer = {'id': self._offer_id, 'sdp': sdp, 'type': 'offer', 'token': ''}
        try:
            try:
                return await self._exchange(offer, progress)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                return await self._exchange_in_plain(offer, progress, error)
        except DecodeError as error:
            raise LinkUnreachable(f'{self.robot}: {error}') from error
        except LinkRefused as error:
            raise LinkRefused(f'{self.robot}: {error}') from error
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise LinkUnreachable(
                f'{self.robot}: expected signaling on port {signaling.PORT} or '
                f'{signaling.OLD_PORT}, got: {_reason(error)}'
            ) from error

    async def wait_for_return(self) -> None:
        """Return when the robot accepts connections, after it was seen not to."""
        was_away = False
        while True:
            is_there = bool(self._address) and await self._accepts()
            if is_there and was_away:
                return
            was_away = not is_there
            await asyncio.sleep(KNOCK_PERIOD)

    async def _accepts(self) -> bool:
        ports = (signaling.PORT, signaling.OLD_PORT)
        return any([await _accepts(self._address, port) for port in ports])

    async def _exchange(self, offer: dict[str, Any], progress: Progress) -> Answer:
        session_key = secrets.token_hex(16)
        progress.wait_for(f'an answer to {signaling.NOTIFY}')
        notice = signaling.decode_notice(
            await self._post(signaling.PORT, signaling.NOTIFY, None), self._device_key
        )
        progress.wait_for('an answer to our offer')
        body = signaling.encode_offer(offer, notice.public_key, session_key)
        reply = await self._post(signaling.PORT, signaling.EXCHANGE + notice.path, body)
        return signaling.decode_answer(signaling.EXCHANGE, reply, session_key)

    async def _exchange_in_plain(
        self, offer: dict[str, Any], progress: Progress, refused: Exception
    ) -> Answer:
        """Try the port of old firmware; if that is closed too, ``refused`` is the trouble."""
        progress.wait_for(f'an answer on port {signaling.OLD_PORT}')
        step = signaling.OLD_EXCHANGE
        try:
            reply = await self._post(signaling.OLD_PORT, step, json.dumps(offer))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise refused from None
        return signaling.decode_plain_answer(step, reply)

    async def _post(self, port: int, path: str, body: str | None) -> str:
        host = f'[{self._address}]' if ':' in self._address else self._address
        url = f'http://{host}:{port}/{path}'
        kind = 'json' if port == signaling.OLD_PORT else 'x-www-form-urlencoded'
        headers = {'Content-Type': f'application/{kind}'}
        async with self._http.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise DecodeError(url, f'expected HTTP status 200, got {response.status}')
            return await _read(url, response)


def _reason(error: Exception) -> str:
    """Return what went wrong in words of the system, not of the HTTP library."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = cause.errno if isinstance(cause, OSError) else None
    return os.strerror(number) if number else str(cause) or type(cause).__name__


async def _read(url: str, response: aiohttp.ClientResponse) -> str:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise DecodeError(url, f'expected at most {LARGEST_BODY} bytes, got more')
    return content.decode('utf-8', 'replace')


async def _accepts(address: str, port: int) -> bool:
    """Whether something listens there; the connection is closed at once."""
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(_family(address), socket.SOCK_STREAM) as knocking:
            knocking.setblocking(False)
            async with timeout(KNOCK_TIMEOUT):
                await loop.sock_connect(knocking, (address, port))
    except (OSError, asyncio.TimeoutError):
        return False
    return True


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def local_address_towards(address: str, port: int) -> str:
    """
    Return our address on the interface that reaches ``address``; sends nothing.

    Raises:
        LinkUnreachable: no interface does.
    """
    try:
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))
            found: str = probe.getsockname()[0]
    except OSError as error:
        raise LinkUnreachable(f'robot {address}: expected a route to it, got: {error}') from error
    return found
