"""Signaling over the cloud, to a robot that is anywhere."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from typing import Any

from ..errors import LinkUnreachable, show
from ..protocol import cloud, sealing
from ..protocol.cloud import TurnAccount
from ..protocol.offer_answer import Answer, decode_answer
from .account import Cloud
from .attempt import IceServer, Network, Progress
from .lan import local_address_towards


class RemoteSignaling:
    """
    The way to a robot over the cloud and, where there is no direct path, its TURN server.

    Attributes:
        robot: what messages call the robot.
    """

    def __init__(
        self, account: Cloud, serial_number: str, ice_servers: tuple[IceServer, ...]
    ) -> None:
        """
        Args:
            account: ours at the cloud.
            serial_number: of the robot.
            ice_servers: before the TURN server that the cloud names; of each kind aiortc
                uses the first.
        """
        self.robot = account.robot
        self._cloud = account
        self._serial_number = serial_number
        self._ice_servers = ice_servers

    async def __aenter__(self) -> RemoteSignaling:
        """Open the HTTP session."""
        await self._cloud.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close the HTTP session."""
        await self._cloud.__aexit__()

    async def prepare(self, progress: Progress) -> Network:
        """
        Log in where that is needed, and get a TURN account.

        Raises:
            LinkUnreachable, LinkRefused: as ``Cloud.call``.
        """
        key = await self._cloud.call(progress, 'GET', cloud.PUBLIC_KEY)
        self._public_key = self._cloud.decoded(sealing.decode_public_key, cloud.PUBLIC_KEY, key)
        self._turn = await self._turn_account(progress)
        server = IceServer(self._turn.url, self._turn.username, self._turn.password)
        address = await _local_address_towards(server)
        return Network(address, (*self._ice_servers, server), exclusive=False)

    async def exchange(self, sdp: str, progress: Progress) -> Answer:
        """
        Return the robot's answer to our offer.

        Raises:
            LinkUnreachable, LinkRefused: as ``Cloud.call``.
        """
        session_key = secrets.token_hex(16)
        offer = {
            'id': '', 'turnserver': self._turn.as_json(), 'sdp': sdp, 'type': 'offer',
            'token': self._cloud.access_token,
        }  # fmt: skip
        fields = self._sealed_fields(session_key)
        fields['data'] = sealing.seal(json.dumps(offer), session_key)
        fields['timeout'] = cloud.CONNECT_TIMEOUT
        data = await self._cloud.call(progress, 'POST', cloud.CONNECT, fields)
        return self._cloud.decoded(decode_answer, cloud.CONNECT, data, session_key)

    async def wait_for_return(self) -> None:
        """Never return: the cloud tells only who asks whether the robot is online."""
        await asyncio.Event().wait()

    async def _turn_account(self, progress: Progress) -> TurnAccount:
        session_key = secrets.token_hex(16)
        data = await self._cloud.call(
            progress, 'POST', cloud.ACCOUNT, self._sealed_fields(session_key)
        )
        account = self._cloud.decoded(cloud.decode_turn_account, data, session_key)
        self._cloud.hide(account.password)
        if not (account.username + account.password).isprintable():
            raise self._cloud.unusable(f'{cloud.ACCOUNT}: expected printable user and passwd')
        if not _can_be_looked_up(IceServer(account.url)):
            raise self._cloud.unusable(
                f'{cloud.ACCOUNT}: expected the name of a TURN server, got {show(account.url)}'
            )
        return account

    def _sealed_fields(self, session_key: str) -> dict[str, Any]:
        return {
            'sn': self._serial_number,
            'sk': sealing.seal_key(session_key, self._public_key),
        }


def _can_be_looked_up(server: IceServer) -> bool:
    """Whether the name in it has the form that a resolver takes; others raise UnicodeError."""
    try:
        server.host.encode('idna')
    except UnicodeError:
        return False
    return True


async def _local_address_towards(server: IceServer) -> str:
    """
    Return our address on the interface that leads to a TURN server; empty if none does.

    That its name resolves is no condition: there may be a direct path to the robot.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)
        return local_address_towards(*found[0][4][:2])
    except (OSError, LinkUnreachable):
        return ''
