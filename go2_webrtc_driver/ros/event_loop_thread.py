"""The one place where the executor's thread and the asyncio thread meet."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar('T')


class EventLoopThread:
    """
    An asyncio loop in a thread of its own.

    All connection state lives on the loop; other threads only hand work over.
    """

    def __init__(
        self, name: str, on_crash: Callable[[BaseException], None] = lambda error: None
    ) -> None:
        """
        Start the thread.

        Args:
            name: of the thread.
            on_crash: called, on the loop's thread, with what a posted function raised.
        """
        self._on_crash = on_crash
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_log_what_nobody_awaits)
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function(*args)`` soon on the loop, unless that has ended; never blocks."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._call, function, args)

    def _call(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - a thread border: nothing above us looks
            self._on_crash(error)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop; never blocks. Raises TimeoutError if the loop has ended."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise TimeoutError('the loop has ended') from None

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
        future = self.submit(coroutine)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError(f'no result within {timeout:g} s') from None
        except concurrent.futures.CancelledError:
            raise TimeoutError('the loop has ended') from None

    def stop(self, timeout: float) -> None:
        """
        Cancel what still runs, let it clean up, and join the thread; wait for no name lookup.

        Raises:
            TimeoutError: the thread did not end within ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        with suppress(TimeoutError):
            self.run(_cancel_other_tasks(timeout / 2), timeout)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            raise TimeoutError(f'{self._thread.name} did not stop within {timeout:g} s')
        self._loop.close()


def _log_what_nobody_awaits(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of errors inside the libraries' own tasks; asyncio would print them past ROS."""
    logger.warning('%s', context['message'], exc_info=context.get('exception'))


async def _cancel_other_tasks(timeout: float) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=timeout)
