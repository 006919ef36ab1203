"""Read typed fields out of parsed JSON, or say which one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

from ..errors import DecodeError, show

LARGEST = 3.4e38  # beyond it a number is infinite in a float32, which some messages of ROS have


T = TypeVar('T')
D = TypeVar('D')


class Gaps:
    """
    What of a packet could not be read, though something else could.

    Attributes:
        errors: what was expected and what came, of each part.
    """

    def __init__(self) -> None:
        self.errors: list[DecodeError] = []

    @property
    def texts(self) -> tuple[str, ...]:
        """The errors, as they are shown."""
        return tuple(map(str, self.errors))

    def part(self, read: Callable[[], T]) -> T | None:
        """Return a part of the packet, or None and note why; other parts go on."""
        try:
            return read()
        except DecodeError as error:
            self.errors.append(error)
            return None


def spare(read: Callable[[], T], default: D) -> T | D:
    """Return what nothing needs, or ``default`` where the robot does not send it."""
    try:
        return read()
    except DecodeError:
        return default


class Fields:
    """
    The fields of one JSON object of a packet.

    Every accessor raises DecodeError, naming topic and field, unless the field has the
    type and length asked for and its numbers are finite, also as float32.
    """

    def __init__(self, topic: str, content: Any, path: str = '') -> None:
        """Wrap ``content``, which stands at ``path`` of a packet of ``topic``."""
        if not isinstance(content, Mapping):
            raise DecodeError(topic, f'{path or "data"}: expected an object, got {show(content)}')
        self._topic = topic
        self._content = content
        self._path = path

    def object(self, name: str) -> Fields:
        """Return the object in field ``name``."""
        return Fields(self._topic, self._content.get(name), self._path + name + '.')

    def objects(self, name: str, at_least: int) -> list[Fields]:
        """Return the list of objects in field ``name``; it has ``at_least`` so many."""
        found = self._content.get(name)
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) < at_least:
            raise self._wrong(name, f'a list of at least {at_least} objects', found)
        return [Fields(self._topic, each, f'{self._path}{name}.') for each in found]

    def number(self, name: str) -> float:
        """Return the number in field ``name``; the robot sends 0 as an integer."""
        found = self._content.get(name)
        if not _is_number(found):
            raise self._wrong(name, 'a finite number', found)
        return float(found)

    def integer(self, name: str) -> int:
        """Return the whole number in field ``name``."""
        found = self._content.get(name)
        if not _is_number(found) or found != int(found):
            raise self._wrong(name, 'a whole number', found)
        return int(found)

    def flag(self, name: str) -> bool:
        """Return the truth value in field ``name``."""
        found = self._content.get(name)
        if not isinstance(found, bool):
            raise self._wrong(name, 'true or false', found)
        return found

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """Return the ``count`` numbers in field ``name``."""
        found = self._content.get(name)
        if not isinstance(found, list) or len(found) != count or not all(map(_is_number, found)):
            raise self._wrong(name, f'{count} finite numbers', found)
        return tuple(map(float, found))

    def _wrong(self, name: str, expected: str, found: Any) -> DecodeError:
        return DecodeError(self._topic, f'{self._path}{name}: expected {expected}, {_got(found)}')


def _is_number(value: Any) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= LARGEST


def _got(value: Any) -> str:
    return 'got nothing' if value is None else f'got {show(value)}'
