"""A UDP relay with the faults of a network, to stand between a client and its server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from functools import partial

Address = tuple[str, int]

LARGEST = 65536  # bytes of a datagram


class UdpRelay:
    """
    Passes datagrams between any number of clients and one server.

    Each client has a socket of its own towards the server. The faults may be changed
    at any time and hold for both directions.

    Attributes:
        address: where clients send to.
        delay: one way [s].
        loss: share of the datagrams that is lost, 0 to 1.
        silent: while True nothing passes.
    """

    def __init__(self, listener: socket.socket, server: Address, seed: int) -> None:
        self.address: Address = listener.getsockname()
        self.delay = 0.0
        self.loss = 0.0
        self.silent = False
        self._listener = listener
        self._sockets = [listener]
        self._server = server
        self._upstreams: dict[Address, socket.socket] = {}
        self._random = random.Random(seed)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._on_client)

    @classmethod
    async def start(cls, listen_ip: str, server: Address, seed: int = 0) -> UdpRelay:
        """
        Listen on a free port of ``listen_ip`` for what goes to ``server``.

        Args:
            listen_ip: address of ours.
            server: address and port, both numbers.
            seed: of the random numbers that decide what is lost.

        Raises:
            OSError: the address is not ours.
        """
        listener = _socket()
        try:
            listener.bind((listen_ip, 0))
        except OSError:
            listener.close()
            raise
        return cls(listener, server, seed)

    async def stop(self) -> None:
        """Stop; what is still on its way is lost. Safe to repeat."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            self._loop.remove_reader(each)
            each.close()

    def _on_client(self) -> None:
        raw, client = self._listener.recvfrom(LARGEST)
        upstream = self._upstreams.get(client) or self._connect(client)
        self._pass(partial(upstream.send, raw))

    def _connect(self, client: Address) -> socket.socket:
        upstream = self._upstreams[client] = _socket()
        self._sockets.append(upstream)
        upstream.connect(self._server)
        self._loop.add_reader(upstream, self._on_server, upstream, client)
        return upstream

    def _on_server(self, upstream: socket.socket, client: Address) -> None:
        with contextlib.suppress(OSError):  # nobody listens there
            raw = upstream.recv(LARGEST)
            self._pass(partial(self._listener.sendto, raw, client))

    def _pass(self, send: Callable[[], object]) -> None:
        if self._random.random() < self.loss:
            return
        if self.delay > 0.0:
            self._loop.call_later(self.delay, self._deliver, send)
        else:
            self._deliver(send)

    def _deliver(self, send: Callable[[], object]) -> None:
        if self.silent:
            return
        with contextlib.suppress(OSError):  # nobody listens there, or we have stopped
            send()


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
