"""Carries the package's Python log records to the node's logger."""

from __future__ import annotations

import logging
from typing import Any

PACKAGE = __name__.partition('.')[0]


class LogBridge(logging.Handler):
    """A handler that logs through rclpy; attach it with :func:`attach`."""

    def __init__(self, logger: Any) -> None:
        """
        Args:
            logger: the node's rclpy logger.
        """
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; rclpy wants a call site of its own for every severity."""
        text = record.getMessage()
        if record.exc_info:
            text += '\n' + logging.Formatter().formatException(record.exc_info)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def attach(logger: Any) -> LogBridge:
    """Send the package's records to ``logger`` until :func:`detach`."""
    bridge = LogBridge(logger)
    package = logging.getLogger(PACKAGE)
    package.addHandler(bridge)
    package.setLevel(logging.DEBUG)
    package.propagate = False
    return bridge


def detach(bridge: LogBridge) -> None:
    """Undo :func:`attach`."""
    package = logging.getLogger(PACKAGE)
    package.removeHandler(bridge)
    if not package.handlers:
        package.setLevel(logging.NOTSET)
        package.propagate = True
