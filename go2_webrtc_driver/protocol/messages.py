"""
The envelope of the data channel: bytes and text <-> ``Message``.

Text is JSON ``{"type", "topic", "data"}``; a few types carry ``info`` instead of
``data``. Binary frames put a JSON header before a payload, in one of two forms:

    A   u16 header length | u16 payload length | header | payload
    B   u16 2 | u16 0 | u32 header length | 4 bytes | header | payload

little endian. A was checked by others on two recorded frames of a real robot; B is
what unitree_webrtc_connect 2.2.0 decodes; what its 4 bytes mean is not known.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import DecodeError, show
from .topics import MessageType

VALIDATION_OK = 'Validation Ok.'
VALIDATION_NEEDED = 'Validation Needed.'
LARGEST_MESSAGE = 4 * 1024 * 1024  # bytes; the largest known, a voxel map, has about 60 000
# bytes of JSON, which costs far more to read; the largest known, low state, has about 3 000
# (dimos, type/lowstate.py), an answer with the list of an audio hub some 10 000.
LARGEST_TEXT = 256 * 1024
_FORM_B = struct.pack('<HH', 2, 0)


@dataclass(frozen=True)
class Message:
    """
    One message of the data channel.

    Attributes:
        type: kind of message.
        topic: robot topic; empty for messages about the link itself.
        data: content, as JSON gave it.
        info: content of the types that use ``info``; else None.
        payload: bytes behind the header of a binary frame; empty for text.
    """

    type: MessageType
    topic: str = ''
    data: Any = None
    info: Any = None
    payload: bytes = b''


def parse_message(raw: str | bytes) -> Message:
    """
    Return the message in ``raw``.

    Raises:
        DecodeError: not one of the documented forms, of an unknown type, or too large.
    """
    if len(raw) > LARGEST_MESSAGE:
        raise DecodeError('', f'expected at most {LARGEST_MESSAGE} bytes, got {len(raw)}')
    header, payload = (raw, b'') if isinstance(raw, str) else _split(raw)
    if len(header) > LARGEST_TEXT:
        raise DecodeError('', f'expected at most {LARGEST_TEXT} bytes of JSON, got {len(header)}')
    envelope = _parse_json(header)
    try:
        kind = MessageType(envelope.get('type'))
    except ValueError:
        raise DecodeError(
            '', f'expected a message type, got {show(envelope.get("type"))}'
        ) from None
    topic = envelope.get('topic') or ''
    if not isinstance(topic, str):
        raise DecodeError('', f'expected a topic name, got {show(topic)}')
    return Message(kind, topic, envelope.get('data'), envelope.get('info'), payload)


def build_message(
    kind: MessageType, topic: str | None = '', data: Any = None, info: Any = None
) -> str:
    """Return the text of a message; a ``topic``, ``data`` or ``info`` of None is left out."""
    fields = {'type': kind.value, 'topic': topic, 'data': data, 'info': info}
    kept = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(kept, allow_nan=False)


def build_frame(topic: str, data: Mapping[str, Any], payload: bytes) -> bytes:
    """Return a binary frame of form A."""
    header = build_message(MessageType.MESSAGE, topic, dict(data)).encode()
    return struct.pack('<HH', len(header), len(payload) & 0xFFFF) + header + payload


def validation_answer(key: str) -> str:
    """Return what the robot wants to hear after it has sent the validation ``key``."""
    digest = hashlib.md5(f'UnitreeGo2_{key}'.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _split(frame: bytes) -> tuple[bytes, bytes]:
    start, form = (8, '<4xI') if frame[:4] == _FORM_B else (0, '<H')
    try:
        (length,) = struct.unpack_from(form, frame)
    except struct.error:
        raise DecodeError('', f'expected a binary frame, got {len(frame)} bytes') from None
    start += 4
    if start + length > len(frame):
        raise DecodeError(
            '', f'expected a header of {length} bytes, got {max(0, len(frame) - start)}'
        )
    return frame[start : start + length], frame[start + length :]


def _parse_json(text: str | bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DecodeError('', f'expected JSON, got {text[:40]!r}: {error}') from None
    if not isinstance(parsed, dict):
        raise DecodeError('', f'expected a JSON object, got {text[:40]!r}')
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is not a number')
