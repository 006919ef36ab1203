"""
Signaling on the LAN: both sides of the exchange on port 9991.

    POST /con_notify            -> Notice: the robot's RSA key and the path of the next call
    POST /con_ing_<path> offer  -> answer, both under a session key that the client made

The notice is scrambled by one of three schemes, its ``data2``: 1 plain, 2 AES-GCM with
a key that every robot has, 3 AES-GCM with a key of this robot (Go2 1.1.15 and later).
Source: unitree_auth.py and encryption.py of unitree_webrtc_connect 2.2.0.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from ..errors import DecodeError

PORT = 9991
NOTIFY = 'con_notify'
EXCHANGE = 'con_ing_'
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
        DecodeError: the body has another form, or the key does not open it.
    """
    notice = _json_object(NOTIFY, _from_base64(NOTIFY, body))
    text = _descramble(notice.get('data1'), notice.get('data2', 1), device_key)
    if len(text) <= 2 * _AROUND:
        raise DecodeError(NOTIFY, f'expected a public key, got {len(text)} characters')
    marks = text[-_AROUND + 1 :: 2]
    if not set(marks) <= set(_DIGITS):
        raise DecodeError(NOTIFY, f'expected a path of letters A to J, got {marks!r}')
    path = ''.join(str(_DIGITS.index(mark)) for mark in marks)
    return Notice(_load_public_key(text[_AROUND:-_AROUND]), path)


def encode_notice(notice: Notice, scheme: int, key: bytes, nonce: bytes) -> str:
    """
    Return the body that :func:`decode_notice` reads.

    Args:
        notice: key and path; the path has five digits.
        scheme: 1, 2 or 3.
        key: 16 bytes for schemes 2 and 3.
        nonce: 12 bytes.
    """
    der = notice.public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    marks = ''.join('x' + _DIGITS[int(digit)] for digit in notice.path)
    text = 'x' * _AROUND + base64.b64encode(der).decode() + marks
    if scheme != 1:
        sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
        ciphertext, tag = sealed[:-_TAG], sealed[-_TAG:]
        text = base64.b64encode(ciphertext + nonce + tag).decode()
    return base64.b64encode(json.dumps({'data1': text, 'data2': scheme}).encode()).decode()


def encode_offer(offer: dict[str, Any], public_key: rsa.RSAPublicKey, session_key: str) -> str:
    """Return the body of the exchange; ``session_key`` is 32 hex digits."""
    sealed_key = public_key.encrypt(session_key.encode(), padding.PKCS1v15())
    body = {
        'data1': _encrypt(json.dumps(offer), session_key),
        'data2': base64.b64encode(sealed_key).decode(),
    }
    return json.dumps(body)


def decode_offer(body: str, private_key: rsa.RSAPrivateKey) -> tuple[dict[str, Any], str]:
    """Return the offer and the session key in the body of an exchange; raises DecodeError."""
    outer = _json_object(EXCHANGE, body)
    sealed_key = _from_base64(EXCHANGE, outer.get('data2'))
    try:
        session_key = private_key.decrypt(sealed_key, padding.PKCS1v15()).decode('ascii')
    except ValueError:
        raise DecodeError(EXCHANGE, 'expected a session key under our RSA key') from None
    return _json_object(EXCHANGE, _decrypt(EXCHANGE, outer.get('data1'), session_key)), session_key


def encode_answer(answer: Answer, session_key: str) -> str:
    """Return the robot's reply to an exchange."""
    return _encrypt(json.dumps({'sdp': answer.sdp, 'type': answer.type}), session_key)


def decode_answer(body: str, session_key: str) -> Answer:
    """Return the answer in the robot's reply to an exchange; raises DecodeError."""
    answer = _json_object(EXCHANGE, _decrypt(EXCHANGE, body, session_key))
    sdp, kind = answer.get('sdp'), answer.get('type')
    if not isinstance(sdp, str) or (sdp != REJECT and kind != 'answer'):
        raise DecodeError(EXCHANGE, f'expected an SDP answer, got type {kind!r}, sdp {sdp!r:.40}')
    return Answer(sdp, 'answer')


def _descramble(data1: Any, scheme: Any, device_key: bytes | None) -> str:
    if not isinstance(data1, str):
        raise DecodeError(NOTIFY, f'data1: expected text, got {data1!r:.40}')
    if scheme == 1:
        return data1
    if scheme not in (2, 3):
        raise DecodeError(NOTIFY, f'data2: expected 1, 2 or 3, got {scheme!r:.40}')
    key = SHARED_KEY if scheme == 2 else device_key
    if key is None:
        raise DecodeError(NOTIFY, "data2 is 3: expected the robot's AES key, none is configured")
    raw = _from_base64(NOTIFY, data1)
    ciphertext, nonce, tag = raw[: -_NONCE - _TAG], raw[-_NONCE - _TAG : -_TAG], raw[-_TAG:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext + tag, None).decode('ascii')
    except (InvalidTag, ValueError):
        raise DecodeError(NOTIFY, f'data1 does not open with the key of scheme {scheme}') from None


def _load_public_key(text: str) -> rsa.RSAPublicKey:
    """Read base64 of DER or, as some robots send it, of PEM."""
    raw = _from_base64(NOTIFY, text)
    pem = raw.startswith(b'-----')
    load = serialization.load_pem_public_key if pem else serialization.load_der_public_key
    try:
        key = load(raw)
    except ValueError:
        raise DecodeError(NOTIFY, f'expected an RSA public key, got {len(raw)} bytes') from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise DecodeError(NOTIFY, f'expected an RSA public key, got {type(key).__name__}')
    return key


def _encrypt(text: str, session_key: str) -> str:
    padder = PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = _cipher(session_key).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def _decrypt(step: str, text: Any, session_key: str) -> bytes:
    raw = _from_base64(step, text)
    try:
        decryptor = _cipher(session_key).decryptor()
        padded = decryptor.update(raw) + decryptor.finalize()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise DecodeError(step, f'expected {len(raw)} bytes under our session key') from None


def _cipher(session_key: str) -> Cipher[modes.ECB]:
    return Cipher(algorithms.AES(session_key.encode()), modes.ECB())


def _from_base64(step: str, text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise DecodeError(step, f'expected base64, got {text!r:.40}') from None


def _json_object(step: str, text: str | bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise DecodeError(step, f'expected JSON, got {text!r:.40}') from None
    if not isinstance(parsed, dict):
        raise DecodeError(step, f'expected a JSON object, got {text!r:.40}')
    return parsed
