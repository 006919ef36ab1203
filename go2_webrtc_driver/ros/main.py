"""``driver``: the node in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from .exit import Exit
from .log_bridge import PACKAGE
from .node import Go2Driver
from .share import share_directory

logger = logging.getLogger(PACKAGE)  # __name__ is __main__ where this runs as a module

# s, after which a thread has to let another one run. With Python's 5 ms the executor's thread
# holds the loop up.
SWITCH_INTERVAL = 0.0005
M_ARENA_MAX, ARENAS = -8, 2  # of mallopt(3)
POLL = 0.1  # s, within which the main thread notices a signal; the robot is stopped before
TRANSITION_TIMEOUT = 1.0  # s, for one to end whose session was ended
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until a signal to stop, a crash, or its own end; return the exit status."""
    share_heaps()
    sys.setswitchinterval(SWITCH_INTERVAL)
    profile = use_large_shared_memory()
    # Not rclpy's own handlers: they shut the context down while the robot still walks.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    leaving = Exit()
    node = Go2Driver()
    leaving.stop_robot = node.stop
    if profile is not None:
        logger.info('Fast DDS profile for large messages: %s', profile)
    gc.freeze()  # what is there by now stays: no collection has to look at it again
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok() and not leaving.is_wanted and not node.finished:
            executor.spin_once(timeout_sec=POLL)
    finally:
        leaving.begin()
        _shut_down(node, executor)
    leaving.status = 1 if node.finished else 0
    return leaving.status


def share_heaps() -> None:
    """
    Let all threads share two heaps; glibc makes more for new threads, and keeps them.

    Each link has threads of its own for decoding: memory is 20 MB lower with this.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def use_large_shared_memory() -> Path | None:
    """
    Let Fast DDS carry raw images to every subscriber on this machine.

    Its defaults lose most 2.7 MB samples on the way to best-effort subscribers. Nothing
    is changed where the user has a profile of their own, or another middleware.

    Returns:
        The profile now in use; None if nothing was changed.
    """
    rmw = os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    chosen = any(os.environ.get(name) for name in PROFILE_VARIABLES)
    if chosen or not rmw.startswith('rmw_fastrtps'):
        return None
    profile = share_directory() / 'config' / 'fastdds.xml'
    for name in PROFILE_VARIABLES:
        os.environ[name] = str(profile)
    return profile


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
