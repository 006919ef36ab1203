"""``driver``: the node in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from .exit import Exit
from .log_bridge import PACKAGE
from .node import Go2Driver
from .share import share_directory
from .shared_memory import use_large_shared_memory

logger = logging.getLogger(PACKAGE)  # __name__ is __main__ where this runs as a module

# s, after which a thread has to let another one run. With Python's 5 ms the executor's thread
# holds the loop up.
SWITCH_INTERVAL = 0.0005
M_ARENA_MAX, ARENAS = -8, 2  # of mallopt(3)
POLL = 0.1  # s, within which the main thread notices a signal; the robot is stopped before
TRANSITION_TIMEOUT = 1.0  # s, for one to end whose session was ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until a signal to stop, a crash, or its own end; return the exit status."""
    share_heaps()
    sys.setswitchinterval(SWITCH_INTERVAL)
    shared_memory = use_large_shared_memory(share_directory() / 'config')
    # Not rclpy's own handlers: they shut the context down while the robot still walks.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    leaving = Exit()
    node = Go2Driver()
    leaving.stop_robot = node.stop
    node.shared_memory = shared_memory
    if shared_memory is not None:
        shared_memory.tell()
    gc.freeze()  # what is there by now stays: no collection has to look at it again
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok() and not leaving.is_wanted and not node.finished:
            executor.spin_once(timeout_sec=POLL)
    finally:
        leaving.begin()
        _shut_down(node, executor)
        gc.unfreeze()  # what is frozen at the exit keeps Fast DDS 3's participant, and its segment
    leaving.status = 1 if node.finished else 0
    return leaving.status


def share_heaps() -> None:
    """
    Let all threads share two heaps; glibc makes more for new threads, and keeps them.

    Each link has threads of its own for decoding: memory is 20 MB lower with this.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def _shut_down(node: Go2Driver, executor: Any) -> None:
    """Stop the robot first, let a transition end, then destroy the node."""
    node.stop()
    end = time.monotonic() + TRANSITION_TIMEOUT
    while node.is_busy and time.monotonic() < end:
        executor.spin_once(timeout_sec=POLL)
    executor.shutdown(timeout_sec=1.0)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
