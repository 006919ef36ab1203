"""Services that are answered later, so that no thread waits for the robot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation

logger = logging.getLogger(__name__)


def answer_later(service: Any, work: Callable[[Any, Any], Future[Any]]) -> Any:
    """
    Let a service be answered when a future is done; return the service.

    rclpy has coroutines for this, but it hands one that waits to a thread again and again
    (rclpy issue 1547), which takes a whole core.

    Args:
        service: of rclpy.
        work: called with (request, empty response) on the executor's thread; its future gives
            the response, on any thread.
    """
    send = service.send_response
    service.callback = work
    service.send_response = lambda answer, header: answer.add_done_callback(
        lambda done: _send(send, done, header)
    )
    return service


def _send(send: Callable[[Any, Any], None], done: Future[Any], header: Any) -> None:
    if done.cancelled():
        return
    with suppress(rclpy_implementation.InvalidHandle):  # the service was destroyed meanwhile
        send(done.result(), header)
