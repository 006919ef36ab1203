"""
The Unitree cloud: both sides of the calls that lead to a Remote connection.

    POST login/email       email, md5 of the password  -> access and refresh token
    POST token/refresh     refresh token               -> the same
    GET  device/bind/list                              -> robots of the account
    GET  system/pubKey                                 -> the cloud's RSA key
    POST webrtc/account    sn, sk                      -> TURN account, sealed
    POST webrtc/connect    sn, sk, data, timeout       -> the robot's answer, sealed

``sk`` is a session key under the cloud's RSA key, ``data`` the offer under the session
key. Every reply is ``{"code", "errorMsg", "data"}``; its errors never show the body,
which may hold a secret. Source of all of it: unitree_cloud.py of unitree_webrtc_connect
2.2.0; nothing here was tried on the real cloud.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from ..errors import DecodeError, show
from .sealing import json_object, seal, unseal

URLS = {
    'global': 'https://global-robot-api.unitree.com/',
    'cn': 'https://robot-api.unitree.com/',
}
LOGIN = 'login/email'
REFRESH = 'token/refresh'
DEVICES = 'device/bind/list'
PUBLIC_KEY = 'system/pubKey'
ACCOUNT = 'webrtc/account'
CONNECT = 'webrtc/connect'
CONNECT_TIMEOUT = 5  # s, that the cloud waits for the robot's answer; what the app asks for

OK = 100
DEVICE_OFFLINE = 1000
TOKEN_EXPIRED = 1001

LONGEST_TEXT = 4096  # characters of a token, a name, a URL
_SIGNATURE = 'XyvkwK45hp5PHfA8'  # signs a call; in every copy of the app
_APP = {
    'Content-Type': 'application/x-www-form-urlencoded',
    'DeviceId': 'Samsung/Samsung/SM-S931B/s24/14/34',
    'DevicePlatform': 'Android',
    'DeviceModel': 'SM-S931B',
    'SystemVersion': '34',
    'AppVersion': '1.11.4',
    'AppLocale': 'en_US',
    'AppName': 'Go2',
    'AppTimezone': 'UTC',
    'Channel': 'UMENG_CHANNEL',
    'User-Agent': (
        'Mozilla/5.0 (Linux; Android 14; SM-S931B Build/AP3A.240905.015.A2; wv) '
        'AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/127.0.6533.103 '
        'Mobile Safari/537.36'
    ),
}
_TURN_URL = re.compile(r'turns?:[\w.-]+(:\d{1,5})?(\?transport=(udp|tcp))?', re.ASCII)


@dataclass(frozen=True)
class Reply:
    """
    What the cloud answered to one call.

    Attributes:
        code: ``OK``, ``DEVICE_OFFLINE``, ``TOKEN_EXPIRED`` or another number.
        message: the cloud's words for it.
        data: the result; may hold secrets.
    """

    code: int
    message: str
    data: Any = field(repr=False, default=None)


@dataclass(frozen=True)
class Tokens:
    """
    Who we are to the cloud.

    Attributes:
        access: goes with every call.
        refresh: buys new tokens when ``access`` has expired; may be empty.
    """

    access: str = field(repr=False)
    refresh: str = field(repr=False)


@dataclass(frozen=True)
class TurnAccount:
    """
    A TURN server and the right to use it.

    Attributes:
        url: as ``turn:host:port``; the cloud calls it ``realm``.
        username: of the account.
        password: of the account.
    """

    url: str
    username: str
    password: str = field(repr=False)

    def as_json(self) -> dict[str, str]:
        """Return the account as the cloud and the offer write it."""
        return {'user': self.username, 'passwd': self.password, 'realm': self.url}


def headers(access_token: str, time_ms: int, nonce: str) -> dict[str, str]:
    """Return the headers of a call: those of the app, and its signature."""
    return {
        **_APP,
        'AppTimestamp': str(time_ms),
        'AppNonce': nonce,
        'AppSign': sign(str(time_ms), nonce),
        'Token': access_token,
    }


def sign(timestamp: str, nonce: str) -> str:
    """Return the signature of a call."""
    return hashlib.md5(f'{_SIGNATURE}{timestamp}{nonce}'.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Return what is sent in place of the password."""
    return hashlib.md5(password.encode()).hexdigest()


def encode_reply(reply: Reply) -> str:
    """Return the body that :func:`decode_reply` reads."""
    return json.dumps({'code': reply.code, 'errorMsg': reply.message, 'data': reply.data})


def decode_reply(step: str, body: str) -> Reply:
    """Return the cloud's reply to the call ``step``; raises DecodeError."""
    content = json_object(step, body, secret=True)
    code, message = content.get('code'), content.get('errorMsg')
    if not isinstance(code, int) or isinstance(code, bool):
        raise DecodeError(step, f'code: expected a whole number, got {show(code)}')
    return Reply(code, message[:200] if isinstance(message, str) else '', content.get('data'))


def decode_tokens(step: str, data: Any) -> Tokens:
    """Return the tokens in the data of a reply; raises DecodeError."""
    refresh = isinstance(data, dict) and data.get('refreshToken')
    return Tokens(
        _text(step, data, 'accessToken'), _text(step, data, 'refreshToken') if refresh else ''
    )


def encode_turn_account(account: TurnAccount, session_key: str) -> str:
    """Return the sealed account."""
    return seal(json.dumps(account.as_json()), session_key)


def decode_turn_account(data: Any, session_key: str) -> TurnAccount:
    """Return the account in the data of a reply; raises DecodeError."""
    content = json_object(ACCOUNT, unseal(ACCOUNT, data, session_key), secret=True)
    url = _text(ACCOUNT, content, 'realm')
    if not _TURN_URL.fullmatch(url):
        raise DecodeError(ACCOUNT, f'realm: expected turn:host:port, got {show(url)}')
    return TurnAccount(url, _text(ACCOUNT, content, 'user'), _text(ACCOUNT, content, 'passwd'))


def _text(step: str, content: Any, name: str) -> str:
    """Read a text that may be secret: the error does not show it."""
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_TEXT:
        size = f' of {len(found)}' if isinstance(found, str) else ''
        raise DecodeError(
            step,
            f'{name}: expected text of 1 to {LONGEST_TEXT} characters, '
            f'got {type(found).__name__}{size}',
        )
    return found
