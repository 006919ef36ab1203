"""Throttled warnings: at most one of each kind in a period."""

from __future__ import annotations

import logging
import time

PERIOD = 10.0  # s
MOST_KINDS = 256  # that are remembered


class Complaints:
    """Warns through one logger; the same text again within ``PERIOD`` goes to DEBUG."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._warned_at: dict[str, float] = {}

    def warn(self, text: str, *arguments: object) -> None:
        """Log ``text % arguments``; the kind of thing is ``text``."""
        now = time.monotonic()
        level = logging.DEBUG
        if len(self._warned_at) > MOST_KINDS:
            self._warned_at.clear()
        if now - self._warned_at.get(text, float('-inf')) > PERIOD:
            self._warned_at[text], level = now, logging.WARNING
        self._logger.log(level, text, *arguments)
