"""
Faults that the robot reports: ``[time, source, code]``, in three kinds of message.

Source of the texts: ``app_error_messages`` of unitree_webrtc_connect 2.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import DecodeError, show
from .messages import Message
from .topics import MessageType

MOST_FAULTS = 256
FAULT_MESSAGES = (MessageType.FAULTS, MessageType.FAULT_ADDED, MessageType.FAULT_REMOVED)
SOURCES = {
    100: 'communication firmware',
    200: 'communication firmware',
    300: 'motor',
    400: 'lidar',
    500: 'UWB',
    600: 'motion control',
}
TEXTS = {
    (100, 0x1): 'DDS message timeout',
    (100, 0x2): 'distribution switch abnormal',
    (100, 0x10): 'battery communication error',
    (100, 0x20): 'remote control communication abnormal',
    (100, 0x40): 'MCU communication error',
    (100, 0x80): 'motor communication error',
    (200, 0x1): 'rear left fan jammed',
    (200, 0x2): 'rear right fan jammed',
    (200, 0x4): 'front fan jammed',
    (300, 0x1): 'overcurrent',
    (300, 0x2): 'overvoltage',
    (300, 0x4): 'driver overheating',
    (300, 0x8): 'bus undervoltage',
    (300, 0x10): 'winding overheating',
    (300, 0x20): 'encoder abnormal',
    (300, 0x100): 'motor communication interrupted',
    (400, 0x1): 'motor speed abnormal',
    (400, 0x2): 'point cloud data abnormal',
    (400, 0x4): 'serial port data abnormal',
    (400, 0x10): 'dirt index abnormal',
    (500, 0x1): 'UWB serial port cannot be opened',
    (500, 0x2): 'robot information cannot be read',
    (600, 0x4): 'overheating protection',
    (600, 0x8): 'low battery protection',
}


@dataclass(frozen=True)
class RobotFault:
    """
    One fault.

    Attributes:
        source: number of the part.
        code: number of the fault, written in hexadecimal by the vendor.
    """

    source: int
    code: int

    def __str__(self) -> str:
        part = SOURCES.get(self.source, f'source {self.source}')
        text = TEXTS.get((self.source, self.code), 'unknown')
        return f'{part}: {text} ({self.source}_{self.code:X})'


def update_faults(known: frozenset[RobotFault], message: Message) -> frozenset[RobotFault]:
    """
    Return the faults after a message of the robot about them.

    Args:
        known: the faults before.
        message: of type ``FAULTS``, ``FAULT_ADDED`` or ``FAULT_REMOVED``.

    Raises:
        DecodeError: it has another form.
    """
    if message.type is MessageType.FAULTS:
        if not isinstance(message.data, list) or len(message.data) > MOST_FAULTS:
            raise DecodeError('errors', f'expected a list of faults, got {show(message.data)}')
        return frozenset(_decode(each) for each in message.data)
    fault = _decode(message.data)
    if message.type is MessageType.FAULT_REMOVED:
        return known - {fault}
    return known | {fault} if len(known) < MOST_FAULTS else known


def _decode(entry: Any) -> RobotFault:
    if not isinstance(entry, list) or len(entry) != 3:
        raise DecodeError('errors', f'expected [time, source, code], got {show(entry)}')
    _, source, code = entry
    for number in (source, code):
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 31:
            raise DecodeError('errors', f'expected whole numbers, got {show(entry)}')
    return RobotFault(source, code)
