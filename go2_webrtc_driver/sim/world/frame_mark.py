"""
A machine-readable mark in the simulated picture: which frame, captured when.

Cells of 16 x 16 pixels, black or white, lie on the encoder's macroblocks from the top
left corner: 32 bits frame number, 64 bits time, 32 bits CRC, most significant first.
Who receives the picture can measure loss and delay from the pixels alone.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELL = 16  # pixels
PER_ROW = 64
_LAYOUT = struct.Struct('>IQ')
_BITS = (_LAYOUT.size + 4) * 8
ROWS = _BITS // PER_ROW
HEIGHT, WIDTH = ROWS * CELL, PER_ROW * CELL  # pixels, of the mark


@dataclass(frozen=True)
class FrameMark:
    """
    What a marked picture says.

    Attributes:
        frame_number: counts the frames captured since the robot started.
        capture_time_ns: the capturing machine's ``time.time_ns()`` [ns].
    """

    frame_number: int
    capture_time_ns: int


def draw(image: NDArray[np.uint8], mark: FrameMark) -> None:
    """Draw the mark into ``image``, shape (height, width[, channels]), in place."""
    content = _LAYOUT.pack(mark.frame_number & 0xFFFFFFFF, mark.capture_time_ns)
    content += zlib.crc32(content).to_bytes(4, 'big')
    bits = np.unpackbits(np.frombuffer(content, np.uint8)).reshape(ROWS, PER_ROW)
    cells = (bits * np.uint8(255)).repeat(CELL, axis=0).repeat(CELL, axis=1)
    image[:HEIGHT, :WIDTH] = cells if image.ndim == 2 else cells[:, :, np.newaxis]


def read(image: NDArray[Any]) -> FrameMark | None:
    """Return the mark of ``image``, shape (height, width[, channels]); None without one."""
    if image.shape[0] < HEIGHT or image.shape[1] < WIDTH:
        return None
    middles = image[CELL // 2 : HEIGHT : CELL, CELL // 2 : WIDTH : CELL]
    gray = middles if middles.ndim == 2 else middles.mean(axis=2)
    content = np.packbits(gray > 127).tobytes()
    if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], 'big'):
        return None
    return FrameMark(*_LAYOUT.unpack(content[:-4]))
