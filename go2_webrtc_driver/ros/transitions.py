"""Where the node's transitions run: one after the other, and nobody else waits for them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from .answers import answer_later

logger = logging.getLogger(__name__)

T = TypeVar('T')
HOP_TIMEOUT = 10.0  # s, for the executor to do what a transition needs of it


class Transitions:
    """
    A thread for transitions, which may wait for the robot.

    What they make and destroy of the node they let the executor's thread do: rclpy ends the
    process if an entity goes while another thread waits for it (InvalidHandle).
    """

    def __init__(self, node: Any) -> None:
        """
        Args:
            node: a lifecycle node; its service ``change_state`` is answered from here.
        """
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]]
        self._waiting = queue.SimpleQueue()
        self._for_executor: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]]
        self._for_executor = queue.SimpleQueue()
        self._newest: Future[Any] | None = None
        self._guard = node.create_guard_condition(self._work_for_transitions)
        self._thread = threading.Thread(target=self._run, name='transitions', daemon=True)
        self._thread.start()
        service = node._service_change_state
        change_state = service.callback
        answer_later(service, lambda *given: self.submit(lambda: change_state(*given)))

    @property
    def are_running(self) -> bool:
        """Whether one runs or waits."""
        return self._newest is not None and not self._newest.done()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do something after the transitions that wait already."""
        future: Future[T] = Future()
        self._newest = future
        self._waiting.put((future, work))
        return future

    def in_executor(self, work: Callable[[], T]) -> T:
        """
        Do something on the executor's thread, if this is the transitions'; else at once.

        Raises:
            TimeoutError: the executor does not do it in time.
        """
        if threading.current_thread() is not self._thread:
            return work()
        future: Future[T] = Future()
        self._for_executor.put((future, work))
        self._guard.trigger()
        try:
            return future.result(HOP_TIMEOUT)
        finally:
            future.cancel()  # what was not done in time is not done later

    def _run(self) -> None:
        while True:
            _do(*self._waiting.get())

    def _work_for_transitions(self) -> None:
        while not self._for_executor.empty():
            _do(*self._for_executor.get())


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - a thread border: who waits sees it
        future.set_exception(error)
