"""The bits of a sample, from the beginning of a JPEG XL codestream (ISO/IEC 18181-1); Pillow's plugins do not tell them."""

from __future__ import annotations

import struct

_JPEG_XL_CODESTREAM = b"\xff\x0a"


def bits_of_jpeg_xl(data: bytes) -> int:
    """Returns the most bits of a sample in a JPEG XL file, alpha included; 8 if its beginning is not understood."""
    try:
        return _bits_of_codestream(_codestream(data))
    except (IndexError, struct.error):
        return 8


def _codestream(data: bytes) -> bytes:
    """Returns the beginning of the codestream, which may lie in boxes."""
    if data.startswith(_JPEG_XL_CODESTREAM):
        return data
    position = 0
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, position + 8)
            header = 16
        if kind in (b"jxlc", b"jxlp"):
            return data[position + header + 4 * (kind == b"jxlp") :]
        if length < header:
            raise IndexError
        position += length


class _Bits:
    """Numbers of few bits, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def take(self, count: int) -> int:
        """Returns the next number of so many bits."""
        value = 0
        for place in range(count):
            value |= (self._data[self._position // 8] >> self._position % 8 & 1) << place
            self._position += 1
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """Returns one of four numbers, each of so many bits above an offset: (bits, offset)."""
        bits, offset = choices[self.take(2)]
        return self.take(bits) + offset


def _bits_of_codestream(data: bytes) -> int:
    bits = _Bits(data)
    if bits.take(16) != 0x0AFF:
        raise IndexError
    _skip_size(bits)
    if bits.take(1):  # all is as usual
        return 8
    if bits.take(1):  # extra fields
        bits.take(3)  # orientation
        if bits.take(1):  # intrinsic size
            _skip_size(bits)
        if bits.take(1):  # preview
            _skip_preview(bits)
        if bits.take(1):  # animation
            bits.choose((0, 100), (0, 1000), (10, 1), (30, 1))
            bits.choose((0, 1), (0, 1001), (8, 1), (10, 1))
            bits.choose((0, 0), (3, 0), (16, 0), (32, 0))
            bits.take(1)
    depth = _depth(bits)
    bits.take(1)
    # other channels, such as alpha, have depths of their own; the first suffices, as few files have more
    if bits.choose((0, 0), (0, 1), (4, 2), (12, 1)) and not bits.take(1):
        bits.choose((0, 0), (0, 1), (4, 2), (6, 18))  # kind
        depth = max(depth, _depth(bits))
    return depth


def _depth(bits: _Bits) -> int:
    if bits.take(1):  # floating-point
        return bits.choose((0, 32), (0, 16), (0, 24), (6, 1))
    return bits.choose((0, 8), (0, 10), (0, 12), (6, 1))


def _skip_size(bits: _Bits) -> None:
    small = bits.take(1)

    def skip_side() -> None:
        if small:
            bits.take(5)
        else:
            bits.choose((9, 1), (13, 1), (18, 1), (30, 1))

    skip_side()
    if not bits.take(3):  # no ratio gives the width
        skip_side()


def _skip_preview(bits: _Bits) -> None:
    choices = ((0, 16), (0, 32), (5, 1), (9, 33)) if bits.take(1) else ((6, 1), (8, 65), (10, 321), (12, 1345))
    bits.choose(*choices)
    if not bits.take(3):
        bits.choose(*choices)
