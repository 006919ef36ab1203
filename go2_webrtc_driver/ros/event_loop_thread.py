"""The one place where the executor's threads and the asyncio thread meet."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar('T')


class EventLoopThread:
    """
    An asyncio loop in a thread of its own.

    All connection state lives on the loop; other threads only hand work over.
    """

    def __init__(self, name: str) -> None:
        """Start the thread, named ``name``."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function(*args)`` soon on the loop, unless that has ended; never blocks."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *args)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """
        Run a coroutine on the loop and wait for its result.

        Args:
            coroutine: what to run.
            timeout: longest wait [s].

        Raises:
            TimeoutError: no result in time; the coroutine is cancelled. Or the loop has ended.
            RuntimeError: called from the loop's own thread, which would deadlock.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError('run() would wait for its own thread')
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise TimeoutError('the loop has ended') from None
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError(f'no result within {timeout:g} s') from None

    def stop(self, timeout: float) -> None:
        """
        Cancel what still runs, let it clean up, and join the thread.

        Raises:
            TimeoutError: the thread did not end within ``timeout`` seconds.
        """
        self.run(_cancel_other_tasks(), timeout)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f'{self._thread.name} did not stop within {timeout:g} s')
        self._loop.close()


async def _cancel_other_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
