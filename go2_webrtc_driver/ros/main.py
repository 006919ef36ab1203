"""``driver``: the node in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import rclpy
from rclpy.executors import MultiThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from .event_loop_thread import start_threads
from .log_bridge import PACKAGE
from .node import Go2Driver, share_directory
from .shared_memory import use_large_shared_memory

logger = logging.getLogger(PACKAGE)  # __name__ is __main__ where this runs as a module

# s, after which a thread has to let another one run. With Python's 5 ms the executor's threads
# held the loop up: of 30 pictures a second 5 % were lost, with this 1 %.
SWITCH_INTERVAL = 0.0005
THREADS = 40  # at most: every service may wait for the robot in one, and none holds up a velocity
M_ARENA_MAX, ARENAS = -8, 2  # of mallopt(3)
POLL = 0.1  # s, within which a signal is noticed
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: its terminal is gone


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until a signal to stop, a crash, or its own end; return the exit status."""
    share_heaps()
    sys.setswitchinterval(SWITCH_INTERVAL)
    shared_memory = use_large_shared_memory(share_directory() / 'config')
    # Not rclpy's own handlers: they shut the context down while the robot still walks.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    received: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, frame: received.append(number))
    node = Go2Driver()
    node.shared_memory = shared_memory
    if shared_memory is not None:
        shared_memory.tell()
    gc.freeze()  # what is there by now stays: no collection has to look at it again
    executor = MultiThreadedExecutor(num_threads=THREADS)
    start_threads(executor._executor, THREADS)
    executor.add_node(node)
    try:
        while rclpy.ok() and not received and not node.finished:
            executor.spin_once(timeout_sec=POLL)
    finally:
        _shut_down(node, executor)
        gc.unfreeze()  # what is frozen at the exit keeps Fast DDS 3's participant, and its segment
    return 1 if node.finished else 0


def share_heaps() -> None:
    """
    Let all threads share two heaps; glibc makes more for new threads, and keeps them.

    Each link has threads of its own for decoding: memory is 20 MB lower with this.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def _shut_down(node: Go2Driver, executor: Any) -> None:
    """Stop the robot first; a second Ctrl-C may not interrupt that, it is bounded."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    node.stop()
    executor.shutdown(timeout_sec=1.0)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
