"""A UDP relay with the faults of a network, to stand between a client and its server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

Address = tuple[str, int]
Send = Callable[[], object]

LARGEST = 65536  # bytes of a datagram
MOST_CLIENTS = 64  # of which each has a socket; one more makes the longest silent one forgotten
MOST_UNDERWAY = 4096  # datagrams that a delay holds back, each way; more are lost
FIRST = 30  # datagrams that are kept for a replay: connectivity checks and the DTLS handshake


@dataclass(slots=True)
class Impairments:
    """
    What a network does to datagrams on one way; may be changed at any time.

    Attributes:
        delay: of every datagram [s].
        jitter: of the random delay on top, at most [s]; datagrams overtake each other.
        loss: share of the datagrams that is lost, 0 to 1.
        duplication: share of the datagrams that comes twice, 0 to 1.
        silent: while True nothing passes.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    silent: bool = False

    def heal(self) -> None:
        """Have no faults any more."""
        for each in fields(self):
            setattr(self, each.name, each.default)


class _Both:
    """A fault that is set for both directions at once."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, relay: UdpRelay, value: float) -> None:
        for faults in (relay.to_server, relay.to_client):
            setattr(faults, self._name, value)


class UdpRelay:
    """
    Passes datagrams between any number of clients and one server.

    Each client has a socket of its own towards the server. ``delay``, ``jitter``, ``loss``,
    ``duplication`` and ``silent`` may be set here too, for both directions at once.

    Attributes:
        address: where clients send to.
        to_server: faults of the way from the clients to the server.
        to_client: faults of the way back.
    """

    delay, jitter, loss, duplication, silent = _Both(), _Both(), _Both(), _Both(), _Both()

    def __init__(
        self,
        listener: socket.socket,
        server: Address,
        seed: int,
        to_server: Impairments,
        to_client: Impairments,
    ) -> None:
        self.address: Address = listener.getsockname()
        self.to_server = to_server
        self.to_client = to_client
        self._listener = listener
        self._server = server
        chance = random.Random(seed).random
        self._there = _Way(to_server, chance)
        self._back = _Way(to_client, chance)
        self._upstreams: dict[Address, socket.socket] = {}
        self._first: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._on_client)

    @classmethod
    async def start(
        cls,
        listen_ip: str,
        server: Address,
        seed: int = 0,
        to_server: Impairments | None = None,
        to_client: Impairments | None = None,
    ) -> UdpRelay:
        """
        Listen on a free port of ``listen_ip`` for what goes to ``server``.

        Args:
            listen_ip: address of ours.
            server: address and port, both numbers.
            seed: of the random numbers that decide what is lost, late or doubled.
            to_server: faults that are shared with other relays; its own by default.
            to_client: likewise.

        Raises:
            OSError: the address is not ours.
        """
        listener = _socket()
        try:
            listener.bind((listen_ip, 0))
        except OSError:
            listener.close()
            raise
        return cls(listener, server, seed, to_server or Impairments(), to_client or Impairments())

    async def stop(self) -> None:
        """Stop; what is still on its way is lost. Safe to repeat."""
        for each in (self._listener, *self._upstreams.values()):
            self._close(each)
        self._upstreams.clear()

    def send_garbage(self, raw: bytes) -> None:
        """Send ``raw`` to the server and to the clients seen so far, whatever the faults."""
        for client, upstream in self._upstreams.items():
            _send(partial(upstream.send, raw))
            _send(partial(self._listener.sendto, raw, client))
        if not self._upstreams:
            _send(partial(self._listener.sendto, raw, self._server))

    def replay(self) -> None:
        """Send the first datagrams of both ways once more, each of them to both sides."""
        for raw in self._first:
            self.send_garbage(raw)

    def _on_client(self) -> None:
        with contextlib.suppress(OSError):
            raw, client = self._listener.recvfrom(LARGEST)
            self._keep(raw)
            self._there.carry(partial(self._upstream(client).send, raw))

    def _on_server(self, upstream: socket.socket, client: Address) -> None:
        with contextlib.suppress(OSError):  # nobody listens there
            raw = upstream.recv(LARGEST)
            self._keep(raw)
            self._back.carry(partial(self._listener.sendto, raw, client))

    def _keep(self, raw: bytes) -> None:
        if len(self._first) < FIRST:
            self._first.append(raw)

    def _upstream(self, client: Address) -> socket.socket:
        """Return the client's socket; the clients are kept in the order they were last heard."""
        upstream = self._upstreams.pop(client, None) or self._connect(client)
        self._upstreams[client] = upstream
        return upstream

    def _connect(self, client: Address) -> socket.socket:
        if len(self._upstreams) >= MOST_CLIENTS:
            self._close(self._upstreams.pop(next(iter(self._upstreams))))
        upstream = _socket()
        upstream.connect(self._server)
        self._loop.add_reader(upstream, self._on_server, upstream, client)
        return upstream

    def _close(self, each: socket.socket) -> None:
        if each.fileno() >= 0:
            self._loop.remove_reader(each)
            each.close()


class _Way:
    """One direction: what becomes of each datagram."""

    def __init__(self, faults: Impairments, chance: Callable[[], float]) -> None:
        self._faults = faults
        self._chance = chance
        self._underway = 0
        self._loop = asyncio.get_running_loop()

    def carry(self, send: Send) -> None:
        """Have ``send()`` called as often, and as late, as the faults say."""
        faults = self._faults
        if self._chance() < faults.loss or faults.silent:
            return
        self._carry_one(send)
        if faults.duplication and self._chance() < faults.duplication:
            self._carry_one(send)

    def _carry_one(self, send: Send) -> None:
        delay = self._faults.delay
        if self._faults.jitter:
            delay += self._chance() * self._faults.jitter
        if delay <= 0.0:
            self._deliver(send)
        elif self._underway < MOST_UNDERWAY:
            self._underway += 1
            self._loop.call_later(delay, self._arrive, send)

    def _arrive(self, send: Send) -> None:
        self._underway -= 1
        self._deliver(send)

    def _deliver(self, send: Send) -> None:
        if not self._faults.silent:
            _send(send)


def _send(send: Send) -> None:
    with contextlib.suppress(OSError):  # nobody listens there, or we have stopped
        send()


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
