"""
A network with faults between a client and a robot, neither of which knows of it.

It listens where the client looks for the robot and passes the offer on. In offer and
answer a relay stands in the place of every candidate, so that all datagrams pass one:

    client <-> relay for a candidate of the robot <-> robot
    robot  <-> relay for a candidate of the client <-> client
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web
from networks.udp_relay import Address, Impairments, UdpRelay

from go2_webrtc_driver.errors import DecodeError, LinkRefused, show
from go2_webrtc_driver.protocol import offer_answer as signaling
from go2_webrtc_driver.protocol.offer_answer import Answer
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.lan_server import LanServer

logger = logging.getLogger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=8.0, sock_connect=1.0)  # s, of each of two requests
MOST_CANDIDATES = 16  # of one side; each has a relay

_CANDIDATE = re.compile(r'(a=candidate:\S+ \d+ udp \d+) ([\d.]+) (\d{1,5}) (typ host.*)', re.I)
_PORT = re.compile(r'^(m=\w+) (?!0 )\d+ ')
_DISCARD, _NOWHERE = r'\1 9 ', 'c=IN IP4 0.0.0.0'  # RFC 8838: the candidates alone count


class FaultyNetwork:
    """
    Stands between a client and a robot on the LAN.

    Attributes:
        to_robot: faults on the way to the robot, of this connection and of all later ones.
        to_client: faults on the way to the client, likewise.
    """

    def __init__(self, listen_ip: str, robot_ip: str, seed: int) -> None:
        """Made by :meth:`start`."""
        self.to_robot = Impairments()
        self.to_client = Impairments()
        self._listen_ip = listen_ip
        self._robot_ip = robot_ip
        self._random = random.Random(seed)
        self._relays: list[UdpRelay] = []
        self._server = LanServer(Options(ip=listen_ip), self._answer)

    @classmethod
    async def start(cls, listen_ip: str, robot_ip: str, seed: int = 0) -> FaultyNetwork:
        """
        Listen as if it were the robot.

        Args:
            listen_ip: where the client looks for the robot.
            robot_ip: where the robot is; it may come later, and go.
            seed: of the random numbers that the faults need.

        Raises:
            OSError: ``listen_ip`` is not ours, or not free.
        """
        network = cls(listen_ip, robot_ip, seed)
        await network._server.start()
        return network

    async def stop(self) -> None:
        """Stop listening, and pass nothing any more; safe to repeat."""
        await self._server.stop()
        for relay in self._relays:
            await relay.stop()

    @property
    def signaling_blocked(self) -> bool:
        """While True the client's HTTP requests are taken and not answered."""
        return self._server.silent

    @signaling_blocked.setter
    def signaling_blocked(self, blocked: bool) -> None:
        self._server.silent = blocked

    def block(self) -> None:
        """Pass nothing from now on, as if a cable were pulled."""
        self.to_robot.silent = self.to_client.silent = self.signaling_blocked = True

    def heal(self) -> None:
        """Have no faults any more."""
        self.to_robot.heal()
        self.to_client.heal()
        self.signaling_blocked = False

    def throw(self, raw: bytes) -> None:
        """Send ``raw`` to the ports of both sides, as if the other had; no fault holds it up."""
        for relay in self._relays:
            relay.send_garbage(raw)

    def replay(self) -> None:
        """Send the connection's first datagrams, its handshakes, once more to both sides."""
        for relay in self._relays:
            relay.replay()

    async def _answer(self, offer: Mapping[str, Any]) -> Answer:
        """Have the robot answer; relays of an offer that it refused live no longer than that."""
        relays: list[UdpRelay] = []
        try:
            answer = await self._pass_on(offer, relays)
            if answer.sdp != signaling.REJECT:
                self._relays, relays = relays, self._relays
            return answer
        finally:
            for relay in relays:
                await relay.stop()

    async def _pass_on(self, offer: Mapping[str, Any], relays: list[UdpRelay]) -> Answer:
        """Return the robot's answer for the client; the relays it needs are added."""
        sdp = offer.get('sdp')
        if not isinstance(sdp, str):
            raise DecodeError('offer', f'expected an SDP, got {show(sdp)}')
        rerouted = await self._reroute(sdp, self.to_client, self.to_robot, relays)
        answer = await _ask(self._robot_ip, {**offer, 'sdp': rerouted})
        if answer.sdp == signaling.REJECT:
            return answer
        sdp = await self._reroute(answer.sdp, self.to_robot, self.to_client, relays)
        return Answer(sdp, answer.type)

    async def _reroute(
        self, sdp: str, towards: Impairments, back: Impairments, relays: list[UdpRelay]
    ) -> str:
        """Return ``sdp`` with relays in the place of its candidates."""
        table: dict[Address, Address] = {}
        for address in candidates(sdp)[:MOST_CANDIDATES]:
            seed = self._random.getrandbits(32)
            relay = await UdpRelay.start(self._listen_ip, address, seed, towards, back)
            relays.append(relay)
            table[address] = relay.address
        return replace_candidates(sdp, table)


def candidates(sdp: str) -> list[Address]:
    """Return the addresses of the UDP host candidates in ``sdp``, each once."""
    found = filter(None, map(_CANDIDATE.fullmatch, sdp.splitlines()))
    return list(dict.fromkeys((each[2], int(each[3])) for each in found))


def replace_candidates(sdp: str, table: Mapping[Address, Address]) -> str:
    """Return ``sdp`` with the addresses in ``table`` replaced, and without all others."""
    lines = [_replace(line, table) for line in sdp.splitlines()]
    return ''.join(f'{line}\r\n' for line in lines if line)


def _replace(line: str, table: Mapping[Address, Address]) -> str:
    if line.startswith('c='):
        return _NOWHERE
    if not line.startswith('a=candidate:'):
        return _PORT.sub(_DISCARD, line)
    found = _CANDIDATE.fullmatch(line)
    address = table.get((found[2], int(found[3]))) if found else None
    return f'{found[1]} {address[0]} {address[1]} {found[4]}' if found and address else ''


async def _ask(robot_ip: str, offer: dict[str, Any]) -> Answer:
    """Return the robot's answer; without one the client is told of a bad gateway."""
    try:
        return await _exchange(f'http://{robot_ip}:{signaling.PORT}', offer)
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError, DecodeError, LinkRefused) as error:
        logger.info('the robot at %s did not answer an offer: %r', robot_ip, error)
        raise web.HTTPBadGateway from error


async def _exchange(url: str, offer: dict[str, Any]) -> Answer:
    session_key = secrets.token_hex(16)
    async with aiohttp.ClientSession(timeout=TIMEOUT, raise_for_status=True) as http:
        async with http.post(f'{url}/{signaling.NOTIFY}') as response:
            notice = signaling.decode_notice(await response.text())
        body = signaling.encode_offer(offer, notice.public_key, session_key)
        async with http.post(f'{url}/{signaling.EXCHANGE}{notice.path}', data=body) as response:
            return signaling.decode_answer(signaling.EXCHANGE, await response.text(), session_key)
