"""The way out: a signal stops the robot at once, and the process ends in time whatever hangs."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: its terminal is gone
LONGEST = 4.8  # s, from the signal to the end of the process; README says 5


class Exit:
    """
    Watches for signals in a thread of its own: Python's handlers wait for the main thread.

    Attributes:
        is_wanted: whether the process is to end.
        stop_robot: stops the robot, in a bound; called on the thread of this object.
        status: of the process, if it has to be ended by force.
    """

    def __init__(self) -> None:
        """Take over the signals; only the main thread may."""
        self.is_wanted = False
        self.status = 1
        self.stop_robot: Callable[[], None] = lambda: None
        self._signals, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, lambda number, frame: None)
        threading.Thread(target=self._watch, name='exit', daemon=True).start()

    def begin(self) -> None:
        """Begin to end the process, without a signal."""
        self._wake.send(bytes([signal.SIGTERM]))

    def _watch(self) -> None:
        while self._signals.recv(1)[0] not in STOP_SIGNALS:
            pass
        end = time.monotonic() + LONGEST
        self.is_wanted = True
        try:
            self.stop_robot()
        finally:
            self._end_at(end)

    def _end_at(self, end: float) -> None:
        time.sleep(max(0.0, end - time.monotonic()))
        hanging = [each.name for each in threading.enumerate() if not each.daemon]
        text = f'the process did not end within {LONGEST:g} s, killing it; running: {hanging}\n'
        os.write(2, text.encode())
        os._exit(self.status)
