"""
The secrets: from environment variables, or from a file that only its owner can read.

Never from ROS parameters, which any node can read; and none of them is ever shown.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..errors import ConfigError

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
        ConfigError: ``aes_key`` is not 32 hex digits.
    """

    email: str = _secret('UNITREE_EMAIL', 'of the account at the cloud')
    password: str = _secret('UNITREE_PASSWORD', 'of the account at the cloud')
    token: str = _secret('UNITREE_TOKEN', 'access token of the cloud, in place of a password')
    aes_key: str = _secret('UNITREE_AES_128_KEY', "the robot's own key, 32 hex digits")
    turn_username: str = _secret('UNITREE_TURN_USERNAME', 'for a TURN server in ice_servers')
    turn_password: str = _secret('UNITREE_TURN_PASSWORD', 'for a TURN server in ice_servers')

    def __post_init__(self) -> None:
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
        for secret in dataclasses.astuple(self):
            if len(secret) >= SHORTEST_REDACTED:
                text = text.replace(secret, '***')
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
        with open(os.path.expanduser(path), encoding='utf-8') as file:
            _check_owner(path, os.fstat(file.fileno()))
            return file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = error.strerror if isinstance(error, OSError) else 'it is not UTF-8 text'
        raise ConfigError(f'credentials_file {path}: cannot be read: {reason}') from None


def _check_owner(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f'credentials_file {path}: expected a regular file')
    if status.st_uid not in (os.geteuid(), 0) or mode & 0o077:
        raise ConfigError(
            f'credentials_file {path}: expected a file that only its owner, us, can read '
            f'(chmod 600), got mode {mode:03o} of user {status.st_uid}'
        )


def _parse(path: str, text: str) -> dict[str, str]:
    """Read ``name: value`` lines; the errors never show a value."""
    if len(text) > LARGEST_FILE:
        raise ConfigError(f'credentials_file {path}: expected at most {LARGEST_FILE} bytes')
    try:
        content = yaml.load(text, yaml.BaseLoader) or {}  # every value as text
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        where = f' at line {mark.line + 1}' if mark else ''
        raise ConfigError(f'credentials_file {path}: expected yaml, it is not{where}') from None
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise ConfigError(f'credentials_file {path}: expected lines of "name: value"')
    if unknown := sorted(str(name)[:40] for name in content if name not in FIELDS):
        raise ConfigError(
            f'credentials_file {path}: expected the names {", ".join(FIELDS)}, '
            f'got {", ".join(unknown)}'
        )
    return content
