"""Carries the package's Python log records to the node's logger."""

from __future__ import annotations

import logging
import select
import time
from contextlib import suppress
from copy import copy
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import Any

from ..complaints import MOST_KINDS, PERIOD

PACKAGE = __name__.partition('.')[0]
STDOUT, STDERR = 1, 2
MOST_WAITING = 1000  # records; more are dropped while nobody reads our output
# Libraries that would print past ROS, each through the loggers of its modules.
FOREIGN = ('aiortc', 'aioice', 'aiohttp')
LONGEST_KIND = 200  # characters
STOP_TIMEOUT = 1.0  # s, to write what is queued at the end


class _ToRclpy(logging.Handler):
    """Logs through rclpy, when the process's output can take it."""

    def __init__(self, logger: Any) -> None:
        """
        Args:
            logger: the node's rclpy logger.
        """
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; rclpy wants a call site of its own for every severity."""
        text = _printable(record.getMessage())
        _wait_for_readers()
        if record.levelno >= logging.CRITICAL:
            self._logger.fatal(text)
        elif record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def _text(record: logging.LogRecord) -> str:
    """Return a record's message; what it has of others may not begin a line of its own."""
    text = record.getMessage()
    return text.replace('\n', r'\n') if record.args else text


def _printable(text: str) -> str:
    """Return a text without what moves a terminal's cursor, or cannot be encoded."""
    return ''.join(
        each if each.isprintable() or each in '\n\t' else repr(each)[1:-1] for each in text
    )


def _wait_for_readers() -> None:
    """
    Wait until our outputs can be written to.

    rclpy keeps Python's lock while it writes: where nobody reads, in a terminal that was
    paused or a pipe that is full, the whole process would stand still.
    """
    for number in (STDOUT, STDERR):
        with suppress(OSError):  # closed
            select.select([], [number], [])


class _Seldom(logging.Handler):
    """Hands on one warning of a kind in a period: some libraries warn of each packet."""

    def __init__(self, bridge: LogBridge) -> None:
        super().__init__(logging.WARNING)
        self._bridge = bridge
        self._told_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; its kind is its text without the arguments."""
        kind, now = str(record.msg)[:LONGEST_KIND], time.monotonic()
        if now - self._told_at.get(kind, float('-inf')) < PERIOD:
            return
        if len(self._told_at) > MOST_KINDS:
            self._told_at.clear()
        self._told_at[kind] = now
        self._bridge.handle(record)


class LogBridge(QueueHandler):
    """
    Hands records over to a thread that logs them; attach it with :func:`attach`.

    It never blocks its caller, which may be the loop that watches over the robot.

    Attributes:
        foreign: the handler for libraries.
    """

    def __init__(self, logger: Any) -> None:
        """
        Args:
            logger: the node's rclpy logger.
        """
        waiting: Queue[logging.LogRecord] = Queue(MOST_WAITING)
        super().__init__(waiting)
        self.foreign = _Seldom(self)
        self._listener = _Listener(waiting, _ToRclpy(logger))
        self._listener.start()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Make a record ready for another thread, whatever is wrong with it."""
        try:
            record = copy(record)
            record.msg, record.args = _text(record), None
            prepared: logging.LogRecord = super().prepare(record)
        except Exception as error:  # noqa: BLE001 - a log that drops what went wrong lies
            where = f'{record.pathname}:{record.lineno}'
            record.msg, record.args = f'{where}: a record that cannot be shown: {error!r}', ()
            prepared = record
        return prepared

    def enqueue(self, record: logging.LogRecord) -> None:
        """Hand over one record, or drop it."""
        with suppress(Full):
            self.queue.put_nowait(record)

    def close(self) -> None:
        """Write what is still queued, bounded, and end the thread."""
        self._listener.stop()
        super().close()


class _Listener(QueueListener):
    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            with suppress(Full):
                self.enqueue_sentinel()
            thread.join(STOP_TIMEOUT)


def attach(logger: Any) -> LogBridge:
    """Send the records of the package, and warnings of its libraries, to ``logger``."""
    bridge = LogBridge(logger)
    package = logging.getLogger(PACKAGE)
    package.addHandler(bridge)
    package.setLevel(logging.DEBUG)
    package.propagate = False
    for name in FOREIGN:
        logging.getLogger(name).addHandler(bridge.foreign)
        logging.getLogger(name).propagate = False
    return bridge


def detach(bridge: LogBridge) -> None:
    """Undo :func:`attach`."""
    for name in FOREIGN:
        foreign = logging.getLogger(name)
        foreign.removeHandler(bridge.foreign)
        foreign.propagate = not any(isinstance(each, _Seldom) for each in foreign.handlers)
    package = logging.getLogger(PACKAGE)
    package.removeHandler(bridge)
    bridge.close()
    if not package.handlers:
        package.setLevel(logging.NOTSET)
        package.propagate = True
