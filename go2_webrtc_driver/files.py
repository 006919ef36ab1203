"""Reads files that parameters name; as that can be any file, errors never show the content."""

from __future__ import annotations

import os
import stat

from .errors import ConfigError


def read_bounded(path: str, largest: int) -> tuple[str, os.stat_result]:
    """
    Return the text of a regular file, and its status; waits for nobody.

    Args:
        path: a tilde is understood.
        largest: size that is still read [bytes].

    Raises:
        ConfigError: says what is wrong, without path and content.
    """
    try:
        with open(os.path.expanduser(path), 'rb', opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            content = file.read(largest + 1) if stat.S_ISREG(status.st_mode) else None
    except (OSError, ValueError) as error:  # the latter: no name of a file holds a zero
        reason = getattr(error, 'strerror', None) or 'that is no name of a file'
        raise ConfigError(f'cannot be read: {reason}') from None
    if content is None:
        raise ConfigError('expected a regular file')
    if len(content) > largest:
        raise ConfigError(f'expected at most {largest} bytes')
    try:
        return content.decode(), status
    except UnicodeDecodeError:
        raise ConfigError('cannot be read: it is not UTF-8 text') from None


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a pipe would wait for who writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)
