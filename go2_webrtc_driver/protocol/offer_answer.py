"""
Signaling on the LAN: both sides of the exchange on port 9991, and of the older one.

    POST /con_notify            -> Notice: the robot's RSA key and the path of the next call
    POST /con_ing_<path> offer  -> answer, both under a session key that the client made

The notice is scrambled by one of three schemes, its ``data2``: 1 plain, 2 AES-GCM with
a key that every robot has, 3 AES-GCM with a key of this robot (Go2 1.1.15 and later).
A Go2 before 1.1.11 has port 8081 instead, where offer and answer go as plain JSON:

    POST /offer offer           -> answer

Source: unitree_auth.py and encryption.py of unitree_webrtc_connect 2.2.0.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import DecodeError, LinkRefused, show
from .sealing import (
    decode_public_key,
    encode_public_key,
    from_base64,
    json_object,
    seal,
    seal_key,
    unseal,
    unseal_key,
)

PORT = 9991
NOTIFY = 'con_notify'
EXCHANGE = 'con_ing_'
OLD_PORT = 8081
OLD_EXCHANGE = 'offer'
REJECT = 'reject'  # in place of an SDP: the robot serves another client
SHARED_KEY = bytes.fromhex('e85682bd16549b008e04a6682bb3ebe3')
_AROUND = 10  # characters before and after the RSA key
_DIGITS = 'ABCDEFGHIJ'
_NONCE, _TAG = 12, 16  # bytes


@dataclass(frozen=True)
class Notice:
    """
    What a client needs to send its offer.

    Attributes:
        public_key: encrypts the session key.
        path: digits that end the URL of the exchange.
    """

    public_key: rsa.RSAPublicKey
    path: str


@dataclass(frozen=True)
class Answer:
    """
    The robot's answer to an offer.

    Attributes:
        sdp: session description; ``REJECT`` if the robot is busy.
        type: its type, ``answer``.
    """

    sdp: str
    type: str


def decode_notice(body: str, device_key: bytes | None = None) -> Notice:
    """
    Return the notice in the body of the robot's reply to ``con_notify``.

    Args:
        body: base64 of a JSON object.
        device_key: this robot's 16 bytes, for scheme 3.

    Raises:
        DecodeError: the body has another form.
        LinkRefused: scheme 3, and ``device_key`` is missing or does not open the body.
    """
    notice = json_object(NOTIFY, from_base64(NOTIFY, body))
    text = _descramble(notice.get('data1'), notice.get('data2', 1), device_key)
    if len(text) <= 2 * _AROUND:
        raise DecodeError(NOTIFY, f'expected a public key, got {len(text)} characters')
    marks = text[-_AROUND + 1 :: 2]
    if not set(marks) <= set(_DIGITS):
        raise DecodeError(NOTIFY, f'expected a path of letters A to J, got {marks!r}')
    path = ''.join(str(_DIGITS.index(mark)) for mark in marks)
    return Notice(decode_public_key(NOTIFY, text[_AROUND:-_AROUND]), path)


def encode_notice(notice: Notice, scheme: int, key: bytes, nonce: bytes) -> str:
    """
    Return the body that :func:`decode_notice` reads.

    Args:
        notice: key and path; the path has five digits.
        scheme: 1, 2 or 3.
        key: 16 bytes for schemes 2 and 3.
        nonce: 12 bytes.
    """
    marks = ''.join('x' + _DIGITS[int(digit)] for digit in notice.path)
    text = 'x' * _AROUND + encode_public_key(notice.public_key) + marks
    if scheme != 1:
        sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
        ciphertext, tag = sealed[:-_TAG], sealed[-_TAG:]
        text = base64.b64encode(ciphertext + nonce + tag).decode()
    return base64.b64encode(json.dumps({'data1': text, 'data2': scheme}).encode()).decode()


def encode_offer(offer: dict[str, Any], public_key: rsa.RSAPublicKey, session_key: str) -> str:
    """Return the body of the exchange; ``session_key`` is 32 hex digits."""
    body = {
        'data1': seal(json.dumps(offer), session_key),
        'data2': seal_key(session_key, public_key),
    }
    return json.dumps(body)


def decode_offer(body: str, private_key: rsa.RSAPrivateKey) -> tuple[dict[str, Any], str]:
    """Return the offer and the session key in the body of an exchange; raises DecodeError."""
    outer = json_object(EXCHANGE, body)
    session_key = unseal_key(EXCHANGE, outer.get('data2'), private_key)
    return json_object(EXCHANGE, unseal(EXCHANGE, outer.get('data1'), session_key)), session_key


def encode_answer(answer: Answer, session_key: str) -> str:
    """Return the robot's reply to an exchange."""
    return seal(encode_plain_answer(answer), session_key)


def decode_answer(step: str, body: Any, session_key: str) -> Answer:
    """Return the answer in the reply to an exchange; a DecodeError names ``step``."""
    return decode_plain_answer(step, unseal(step, body, session_key))


def encode_plain_answer(answer: Answer) -> str:
    """Return the answer as JSON."""
    return json.dumps({'sdp': answer.sdp, 'type': answer.type})


def decode_plain_answer(step: str, body: str | bytes) -> Answer:
    """Return the answer that the JSON ``body`` is; a DecodeError names ``step``."""
    answer = json_object(step, body)
    sdp, kind = answer.get('sdp'), answer.get('type')
    if not isinstance(sdp, str) or (sdp != REJECT and kind != 'answer'):
        raise DecodeError(step, f'expected an SDP answer, got type {show(kind)}, sdp {show(sdp)}')
    return Answer(sdp, 'answer')


def _descramble(data1: Any, scheme: Any, device_key: bytes | None) -> str:
    if not isinstance(data1, str):
        raise DecodeError(NOTIFY, f'data1: expected text, got {show(data1)}')
    if scheme == 1:
        return data1
    if scheme not in (2, 3):
        raise DecodeError(NOTIFY, f'data2: expected 1, 2 or 3, got {show(scheme)}')
    key = SHARED_KEY if scheme == 2 else device_key
    if key is None:
        raise LinkRefused(
            f"{NOTIFY}: data2 is 3: expected the robot's AES key, none is configured"
        )
    return _open(from_base64(NOTIFY, data1), key, scheme)


def _open(raw: bytes, key: bytes, scheme: int) -> str:
    ciphertext, nonce, tag = raw[: -_NONCE - _TAG], raw[-_NONCE - _TAG : -_TAG], raw[-_TAG:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext + tag, None).decode('ascii')
    except InvalidTag:
        if scheme == 2:
            raise DecodeError(
                NOTIFY, 'data1 cannot be decrypted with the key of scheme 2'
            ) from None
        raise LinkRefused(
            f'{NOTIFY}: data1 cannot be decrypted with the configured AES key'
        ) from None
    except ValueError:
        raise DecodeError(NOTIFY, f'data1: expected sealed text, got {len(raw)} bytes') from None
