"""Tasks that belong together: the first failure is seen at once, and all end in a bound."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout

__all__ = [
    'Tasks',
    'timeout',
]  # the latter: asyncio.wait_for can swallow a cancellation before 3.12

logger = logging.getLogger(__name__)

T = TypeVar('T')


class Tasks:
    """
    The tasks of one object; made on the loop that they run on.

    Attributes:
        failed: ends with what the first task to fail has raised; else it never ends.
    """

    def __init__(self) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running: set[asyncio.Task[Any]] = set()
        self._cancelled: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work``, until it ends or :meth:`close` is called."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self._cancelled.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.failed.done():
            self.failed.set_exception(error)
            self.failed.exception()  # seen, also where nobody waits for it any more

    async def close(self, timeout: float) -> None:
        """
        Cancel what runs and wait for its end, ``timeout`` seconds at most.

        Called again it only waits: a second cancellation would break off what cleans up.
        """
        running = set(self._running)
        for task in running - self._cancelled:
            task.cancel()
        self._cancelled |= running
        if running:
            _, hanging = await asyncio.wait(running, timeout=timeout)
            for task in hanging:
                logger.error('expected %s to end within %g s, it hangs', task.get_coro(), timeout)
