"""
How Unitree seals an SDP: AES-256-ECB under a session key, which is sealed with RSA.

The LAN and the cloud do it alike. The session key is 32 hex digits, used as 32 bytes.
Source: encryption.py of unitree_webrtc_connect 2.2.0.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from ..errors import DecodeError

SMALLEST_KEY, LARGEST_KEY = 1024, 8192  # bits; a larger one would hold us up


def seal(text: str, session_key: str) -> str:
    """Return base64 of ``text`` under the session key."""
    padder = PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = _cipher(session_key).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def unseal(step: str, text: Any, session_key: str) -> bytes:
    """Undo :func:`seal`; a DecodeError names ``step``."""
    raw = from_base64(step, text)
    try:
        decryptor = _cipher(session_key).decryptor()
        padded = decryptor.update(raw) + decryptor.finalize()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise DecodeError(step, f'expected {len(raw)} bytes under our session key') from None


def seal_key(session_key: str, public_key: rsa.RSAPublicKey) -> str:
    """Return base64 of the session key under the other side's RSA key."""
    return base64.b64encode(public_key.encrypt(session_key.encode(), padding.PKCS1v15())).decode()


def unseal_key(step: str, text: Any, private_key: rsa.RSAPrivateKey) -> str:
    """Undo :func:`seal_key`; a DecodeError names ``step``."""
    try:
        session_key = private_key.decrypt(from_base64(step, text), padding.PKCS1v15())
        Cipher(algorithms.AES(session_key), modes.ECB())
        return session_key.decode('ascii')
    except ValueError:
        raise DecodeError(step, 'expected a session key under our RSA key') from None


def encode_public_key(public_key: rsa.RSAPublicKey) -> str:
    """Return base64 of the key in DER."""
    der = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def decode_public_key(step: str, text: Any) -> rsa.RSAPublicKey:
    """Read base64 of DER or, as some robots send it, of PEM; a DecodeError names ``step``."""
    raw = from_base64(step, text)
    pem = raw.startswith(b'-----')
    load = serialization.load_pem_public_key if pem else serialization.load_der_public_key
    try:
        key = load(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise DecodeError(step, f'expected an RSA public key, got {len(raw)} bytes') from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise DecodeError(step, f'expected an RSA public key, got {type(key).__name__}')
    if not SMALLEST_KEY <= key.key_size <= LARGEST_KEY:
        raise DecodeError(
            step,
            f'expected an RSA key of {SMALLEST_KEY} to {LARGEST_KEY} bits, got {key.key_size}',
        )
    return key


def from_base64(step: str, text: Any) -> bytes:
    """Return the bytes of base64 ``text``, which may be secret; a DecodeError names ``step``."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        size = f' of {len(text)} characters' if isinstance(text, str) else ''
        raise DecodeError(step, f'expected base64, got {type(text).__name__}{size}') from None


def json_object(step: str, text: str | bytes, *, secret: bool = False) -> dict[str, Any]:
    """Return the JSON object that ``text`` is; a DecodeError shows a text that is not secret."""
    shown = f'{len(text)} characters' if secret else f'{text!r:.40}'
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise DecodeError(step, f'expected JSON, got {shown}') from None
    if not isinstance(parsed, dict):
        raise DecodeError(step, f'expected a JSON object, got {shown}')
    return parsed


def _cipher(session_key: str) -> Cipher[modes.ECB]:
    return Cipher(algorithms.AES(session_key.encode()), modes.ECB())
