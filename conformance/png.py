"""Reading PNG files with all bits of their samples, which Pillow does not of colours of 16 bits."""

from __future__ import annotations

import struct
import zlib

import numpy as np

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Channels of the colour types that are read: no palettes."""


def read_png(data: bytes) -> np.ndarray:
    """Pixels (height, width, 1 to 4) uint8 or uint16 of a file without interlacing; ValueError for any other."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 33:
        raise ValueError("no PNG file")
    width, height, bits, kind, _, _, interlace = struct.unpack_from(">2I5B", data, 16)
    if bits not in (8, 16) or kind not in CHANNELS or interlace:
        raise ValueError("a PNG file with a palette, interlacing, or other than 8 or 16 bits")
    step = CHANNELS[kind] * bits // 8
    try:
        packed = np.frombuffer(zlib.decompress(_pixel_data(data)), np.uint8).reshape(height, 1 + width * step)
    except (struct.error, zlib.error) as error:
        raise ValueError(f"a damaged PNG file: {error}") from None
    rows = np.zeros((height + 1, width + 1, step), np.uint8)  # with a border of zeros at the top and the left
    for number, row in enumerate(packed, 1):
        _unfilter(row[0], row[1:].reshape(width, step), rows[number - 1], rows[number])
    return np.ascontiguousarray(rows[1:, 1:]).view(">u2" if bits == 16 else "u1").astype(np.uint16 if bits == 16 else np.uint8)


def _pixel_data(data: bytes) -> bytes:
    """The content of all IDAT chunks."""
    parts, offset = [], 8
    while offset < len(data):
        length, name = struct.unpack_from(">I4s", data, offset)
        if name == b"IDAT":
            parts.append(data[offset + 8 : offset + 8 + length])
        offset += 12 + length
    return b"".join(parts)


def _unfilter(kind: int, row: np.ndarray, above: np.ndarray, out: np.ndarray) -> None:
    """Writes a row (width, step), filtered in a kind of 0 to 4, into `out` (1 + width, step), whose first entry is 0."""
    if kind < 2:
        out[1:] = np.cumsum(row, 0, dtype=np.uint8) if kind else row
    elif kind == 2:
        out[1:] = row + above[1:]
    else:
        predict = _average if kind == 3 else _paeth
        for x in range(len(row)):
            values = zip(row[x].tolist(), out[x].tolist(), above[x + 1].tolist(), above[x].tolist(), strict=True)
            out[x + 1] = [(value + predict(*around)) % 256 for value, *around in values]


def _average(left: int, up: int, _: int) -> int:
    return (left + up) // 2


def _paeth(left: int, up: int, corner: int) -> int:
    target = left + up - corner
    return min((left, up, corner), key=lambda value: abs(target - value))
