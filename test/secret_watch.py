"""
Finds every secret that the driver shows, in whatever test that is.

Known are the secrets that are made in this process, whoever makes them, and those that are
handed to a process of the package. Looked at are the package's log records, all other
warnings, the text of its errors, what pytest captures, and the output of every process.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import logging
import secrets
import subprocess
import urllib.parse

import pytest

from go2_webrtc_driver.errors import DecodeError, Go2Error
from go2_webrtc_driver.protocol.cloud import Tokens, TurnAccount
from go2_webrtc_driver.signaling.credentials import Credentials

PACKAGE = 'go2_webrtc_driver'
SHORTEST = 8  # characters; shorter values stand in harmless words too
FEWEST = 4  # different characters; others are fillers, as a key of zeros
OVERLAP = 4096  # characters looked at again, where a text has grown
SECRET_OPTIONS = ('--cloud-email', '--cloud-password', '--turn-password', '--aes-key')


class SecretWatch:
    """
    The secrets that are known, and where they were seen.

    Attributes:
        found: a line for each sighting that nobody has taken yet.
    """

    def __init__(self):
        self.found = []
        self._by_start = {}

    def learn(self, value, what):
        """Know ``value``, text or bytes, in every form in which it could be shown."""
        for form in _forms(value):
            if len(form) >= SHORTEST and len(set(form)) >= FEWEST:
                self._by_start.setdefault(form[:SHORTEST], {})[form] = what

    def look(self, text, where):
        """Note every known secret in ``text``; takes time with its length, not with them."""
        for begin in range(len(text) - SHORTEST + 1):
            for secret, what in self._by_start.get(text[begin : begin + SHORTEST], {}).items():
                if text.startswith(secret, begin):
                    around = text[max(0, begin - 60) : begin] + '***'
                    self.found.append(f'{what} in {where}: {around!r}')

    def look_at_growing(self, text, seen, where):
        """Look at what has come since ``seen`` characters; return how many are seen now."""
        self.look(text[max(0, seen - OVERLAP) :] if len(text) > seen else '', where)
        return len(text)

    def learn_process(self, arguments, environment):
        """Know what is handed to a process."""
        for name, value in environment.items():
            if name.startswith('UNITREE_'):
                self.learn(value, name)
        for option, value in itertools.pairwise(arguments):
            if option in SECRET_OPTIONS:
                self.learn(value, option)

    def take(self):
        """Return what was found, each once, and forget it."""
        found, self.found = list(dict.fromkeys(self.found)), []
        return found


def _forms(value):
    if isinstance(value, bytes):
        return {value.hex(), value.hex().upper(), repr(value)[2:-1]}
    sent = hashlib.md5(value.encode('utf-8', 'replace')).hexdigest()  # in place of a password
    forms = {value, urllib.parse.quote(value, errors='replace'), sent}
    return forms | ({value.lower(), value.upper()} if _is_hex(value) else set())


def _is_hex(text):
    return set(text) <= set('0123456789abcdefABCDEF')


SECRETS = SecretWatch()


def _watched(original, look):
    """Return a function that lets ``look(result, *arguments)`` see each of its calls."""

    @functools.wraps(original)
    def watched(*arguments, **options):
        result = original(*arguments, **options)
        look(result, *arguments)
        return result

    return watched


def _learning(secretive):
    """Return an ``__init__`` of a dataclass that learns its secret fields first."""
    original, fields = secretive.__init__, dataclasses.fields(secretive)

    @functools.wraps(original)
    def learning(self, *arguments, **options):
        given = dict(zip((each.name for each in fields), arguments, strict=False)) | options
        for each in fields:
            if not each.repr and (value := given.get(each.name)):
                SECRETS.learn(value, f'{secretive.__name__}.{each.name}')
        original(self, *arguments, **options)

    return learning


def _learn_made(made, *arguments):
    SECRETS.learn(made, 'a session key or a token')


def _look_at_error(_, error, *arguments):
    if not isinstance(error, DecodeError):  # shown as part of others, which blot it, or logged
        SECRETS.look(str(error), f'a {type(error).__name__}')


def _look_at_output(result, *arguments):
    for text in result:
        SECRETS.look(_text(text), 'the output of a process')


def _text(output):
    return output.decode('utf-8', 'replace') if isinstance(output, bytes) else output or ''


def _look_at_record(record, *arguments):
    ours = record.name.partition('.')[0] == PACKAGE
    if not (ours or record.levelno >= logging.WARNING):
        return
    where = f'a log record of {record.name}'
    with contextlib.suppress(TypeError, ValueError):  # logging tells of that itself
        SECRETS.look(record.getMessage(), where)
    if record.exc_info:
        SECRETS.look(logging.Formatter().formatException(record.exc_info), where)


def _init_error(self, *arguments):
    super(Go2Error, self).__init__(*arguments)


def install():
    """Begin to learn and to look; once a process."""
    for secretive in (Credentials, Tokens, TurnAccount):
        secretive.__init__ = _learning(secretive)
    secrets.token_hex = _watched(secrets.token_hex, _learn_made)
    Go2Error.__init__ = _watched(_init_error, _look_at_error)
    logging.setLogRecordFactory(_watched(logging.getLogRecordFactory(), _look_at_record))
    for owner, name in ((subprocess.Popen, 'communicate'), (pytest.CaptureFixture, 'readouterr')):
        setattr(owner, name, _watched(getattr(owner, name), _look_at_output))
