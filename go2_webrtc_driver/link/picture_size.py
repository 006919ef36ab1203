"""The size of a coded picture, before anything of it is decoded: pure."""

from __future__ import annotations

import re

SPS, KEY_FRAME_MARK = 7, b'\x9d\x01\x2a'
HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
MACROBLOCK = 16  # pixels a side
LARGEST_CODE = 32  # bits of an Exp-Golomb code's prefix
_START = re.compile(b'\x00\x00\x01')


class _Bits:
    """Reads bits of a NAL unit; raises IndexError behind its end."""

    def __init__(self, unit: bytes) -> None:
        self._data = unit.replace(b'\x00\x00\x03', b'\x00\x00')  # its bytes against start codes
        self._position = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            byte, bit = divmod(self._position, 8)
            value = value << 1 | self._data[byte] >> (7 - bit) & 1
            self._position += 1
        return value

    def unsigned(self) -> int:
        """Return an unsigned Exp-Golomb code (ISO/IEC 14496-10, 9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > LARGEST_CODE:
                raise ValueError('expected an Exp-Golomb code')
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def pixels_of_h264(access_unit: bytes) -> int:
    """
    Return the number of pixels that the largest SPS of an access unit (Annex B) announces.

    Returns:
        0 if there is no SPS, and for one that cannot be read: the decoder refuses it, too.
    """
    starts = [found.end() for found in _START.finditer(access_unit)]
    units = (access_unit[start : start + 256] for start in starts)
    return max((_pixels(unit) for unit in units if unit[:1] and unit[0] & 31 == SPS), default=0)


def pixels_of_vp8(frame: bytes) -> int:
    """Return the number of pixels that a VP8 key frame announces (RFC 6386, 9.1); else 0."""
    if len(frame) < 10 or frame[0] & 1 or frame[3:6] != KEY_FRAME_MARK:
        return 0
    width, height = (int.from_bytes(frame[n : n + 2], 'little') & 0x3FFF for n in (6, 8))
    return width * height


def _pixels(sps: bytes) -> int:
    try:
        return _read_sps(_Bits(sps[1:]))
    except (IndexError, ValueError):
        return 0


def _read_sps(bits: _Bits) -> int:
    """Read as far as the size (ISO/IEC 14496-10, 7.3.2.1.1)."""
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.unsigned()  # id
    if profile in HIGH_PROFILES:
        _skip_high_profile(bits)
    bits.unsigned()  # log2_max_frame_num_minus4
    _skip_order(bits)
    bits.unsigned()  # max_num_ref_frames
    bits.take(1)
    width, height = bits.unsigned() + 1, bits.unsigned() + 1
    fields = 1 if bits.take(1) else 2
    return width * height * fields * MACROBLOCK * MACROBLOCK


def _skip_high_profile(bits: _Bits) -> None:
    chroma = bits.unsigned()
    if chroma == 3:
        bits.take(1)
    bits.unsigned()  # bit depths
    bits.unsigned()
    bits.take(1)
    if bits.take(1):
        for number in range(8 if chroma != 3 else 12):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed() + 256) % 256
        last = following or last


def _skip_order(bits: _Bits) -> None:
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()
