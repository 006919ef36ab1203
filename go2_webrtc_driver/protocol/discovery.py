"""
Finding a robot by its serial number: both sides of the multicast on the LAN.

    client -> 231.1.1.1:10131   {"name": "unitree_dapengche"}, newer firmware with "sn" too
    robot  -> port 10134        {"sn": serial number, "ip": address}

Source: multicast_scanner.py of unitree_webrtc_connect 2.2.0. Newer robots ignore a query
that does not name them, and it is not known of a Go2 whether it answers to the sender or
to the group: send both queries, listen to both.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from ..errors import DecodeError, show
from .sealing import json_object

GROUP = '231.1.1.1'
QUERY_PORT = 10131
REPLY_PORT = 10134
NAME = 'unitree_dapengche'
_STEP = 'discovery'
_SERIAL_NUMBER = re.compile('[!-~]{1,64}')


@dataclass(frozen=True)
class Sighting:
    """
    A robot that answered.

    Attributes:
        serial_number: its own.
        address: IP address it gives; empty if it gives none.
    """

    serial_number: str
    address: str


def encode_query(serial_number: str | None = None) -> bytes:
    """Return a query for every robot, or for one."""
    query = {'name': NAME, 'sn': serial_number} if serial_number else {'name': NAME}
    return json.dumps(query).encode()


def decode_query(raw: bytes) -> str | None:
    """Return the serial number a query names, None for all; raises DecodeError."""
    query = _object(raw)
    if query.get('name') != NAME:
        raise DecodeError(_STEP, f'expected the name {NAME}, got {show(query.get("name"))}')
    return query.get('sn')


def encode_sighting(sighting: Sighting) -> bytes:
    """Return the robot's reply."""
    return json.dumps({'sn': sighting.serial_number, 'ip': sighting.address}).encode()


def decode_sighting(raw: bytes) -> Sighting:
    """Return what a robot replied; raises DecodeError."""
    reply = _object(raw)
    serial_number, address = reply.get('sn'), reply.get('ip', '')
    if not isinstance(serial_number, str) or not _SERIAL_NUMBER.fullmatch(serial_number):
        raise DecodeError(_STEP, f'sn: expected a serial number, got {show(serial_number)}')
    if address:
        _check_address(address)
    return Sighting(serial_number, address or '')


def _object(raw: bytes) -> dict[str, Any]:
    return json_object(_STEP, raw.decode('utf-8', 'replace'))


def _check_address(address: Any) -> None:
    try:
        if isinstance(address, str):
            ip_address(address)
            return
    except ValueError:
        pass
    raise DecodeError(_STEP, f'ip: expected an IP address, got {show(address)}')


def membership(interface: str) -> bytes:
    """Return what a socket joins the group with on an interface, named by our address there."""
    return IPv4Address(GROUP).packed + IPv4Address(interface).packed
