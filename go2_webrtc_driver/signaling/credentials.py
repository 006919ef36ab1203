"""
The secrets: from environment variables, or from a file that only its owner can read.

Never from ROS parameters, which any node can read; and none of them is ever shown.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..errors import ConfigError
from ..files import read_bounded

LARGEST_FILE = 64 * 1024  # bytes
SHORTEST_REDACTED = 4  # characters; to blot out shorter ones would only garble texts


def _secret(variable: str, description: str) -> Any:
    metadata = {'variable': variable, 'description': description}
    return dataclasses.field(default='', repr=False, metadata=metadata)


@dataclass(frozen=True)
class Credentials:
    """
    What proves who we are; a field is empty if it was not given.

    Raises:
        ConfigError: ``aes_key`` is not 32 hex digits, or another one cannot be sent.
    """

    email: str = _secret('UNITREE_EMAIL', 'of the account at the cloud')
    password: str = _secret('UNITREE_PASSWORD', 'of the account at the cloud')
    token: str = _secret('UNITREE_TOKEN', 'access token of the cloud, in place of a password')
    aes_key: str = _secret('UNITREE_AES_128_KEY', "the robot's own key, 32 hex digits")
    turn_username: str = _secret('UNITREE_TURN_USERNAME', 'for a TURN server in ice_servers')
    turn_password: str = _secret('UNITREE_TURN_PASSWORD', 'for a TURN server in ice_servers')

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_text(field.name, getattr(self, field.name))
        if self.aes_key and not re.fullmatch('[0-9a-fA-F]{32}', self.aes_key):
            raise ConfigError(
                f'aes_key: expected 32 hex digits, got {len(self.aes_key)} other characters'
            )

    @property
    def device_key(self) -> bytes | None:
        """The robot's own key as 16 bytes."""
        return bytes.fromhex(self.aes_key) if self.aes_key else None

    def redact(self, text: str) -> str:
        """Return ``text`` with every secret in it blotted out."""
        return blot_out(dataclasses.astuple(self), text)


def blot_out(secrets: Iterable[str], text: str) -> str:
    """Return ``text`` without these secrets, also where its end cuts one off."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be part of another
        for length in range(len(secret), SHORTEST_REDACTED - 1, -1):
            if length == len(secret):
                text = text.replace(secret, '***')
            elif text.endswith(secret[:length]):
                text = text[:-length] + '***'
                break
    return text


FIELDS = {each.name: each for each in dataclasses.fields(Credentials)}


def load_credentials(path: str, environment: Mapping[str, str]) -> Credentials:
    """
    Return the secrets in the file at ``path`` and, before it, in ``environment``.

    Args:
        path: yaml file of ``name: value`` lines, the names being those of the fields of
            :class:`Credentials`; empty: no file.
        environment: as ``os.environ``.

    Raises:
        ConfigError: the file cannot be read, others than its owner may read it, or it has
            another form.
    """
    given = _parse(path, _read(path)) if path else {}
    for name, field in FIELDS.items():
        if value := environment.get(field.metadata['variable']):
            given[name] = value
    return Credentials(**given)


def _read(path: str) -> str:
    try:
        text, status = read_bounded(path, LARGEST_FILE)
    except ConfigError as error:
        raise ConfigError(f'credentials_file {path}: {error}') from None
    _check_owner(path, status)
    return text


def _check_text(name: str, value: str) -> None:
    """Refuse what no header or form can hold; the error does not show it."""
    if not value.isprintable() or (name == 'token' and not value.isascii()):
        kind = 'printable ASCII' if name == 'token' else 'printable'
        raise ConfigError(f'{name}: expected {kind} characters, got others')


def _check_owner(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (os.geteuid(), 0) or mode & 0o077:
        raise ConfigError(
            f'credentials_file {path}: expected a file of our own that nobody else can read '
            f'(chmod 600), got mode {mode:03o} of user {status.st_uid}'
        )


def _parse(path: str, text: str) -> dict[str, str]:
    """Read ``name: value`` lines; the errors never show a value."""
    try:
        content = yaml.load(text, yaml.BaseLoader) or {}  # every value as text
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, 'problem_mark', None)
        where = f' at line {mark.line + 1}' if mark else ''
        raise ConfigError(f'credentials_file {path}: expected valid yaml{where}') from None
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise ConfigError(f'credentials_file {path}: expected lines of "name: value"')
    if unknown := sum(name not in FIELDS for name in content):
        raise ConfigError(
            f'credentials_file {path}: expected the names {", ".join(FIELDS)}, '
            f'got {unknown} other{"s" if unknown > 1 else ""}'
        )
    return content
