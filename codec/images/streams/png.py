"""PNG files row by row: the rows' filters are undone by Pillow, in small files that each hold a band."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from ...errors import CaeError
from ..files import pillow_limit
from ..picture import metadata_of, mode_for
from .pieces import Layout, Source, WholeOnly, from_small_file, mapped_ahead, regrouped, rows_at_once

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of the colour types."""
_OTHERS_MAX = 2**26
"""Bytes of all chunks that hold no pixels."""
_READ = 2**18
_HIGH_BIT_DEPTHS = 16
"""Bits of the samples that are deep; no others of more than 8 are in PNG files."""
_LEVEL = 4
"""Of zlib: a tenth more bytes than at Pillow's 6, three times as fast."""


class _Chunk(NamedTuple):
    name: bytes
    start: int
    length: int


def _chunk(name: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _chunks(file: BinaryIO, start: int = 8) -> Iterator[_Chunk]:
    """The chunks of a file, without their content, up to the last or the file's end."""
    while True:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        yield _Chunk(name, start + 8, length)
        if name == b"IEND":
            return
        start += 12 + length


def open_bands(_path: Path, file: BinaryIO) -> Source:
    """Opens a PNG file that is neither interlaced nor animated."""
    Image.open(file, formats=("PNG",))  # which refuses what is none
    file.seek(16)
    width, height, bits, colour, *_, interlaced = _HEADER.unpack(file.read(_HEADER.size))
    others, pixels = [], []
    total = 0
    for chunk in _chunks(file):
        if chunk.name == b"IDAT":
            pixels.append(chunk)
            continue
        if chunk.name == b"acTL":
            raise WholeOnly("it is animated")
        total += chunk.length
        if total > _OTHERS_MAX:
            raise WholeOnly("it holds much besides pixels")
        file.seek(chunk.start - 8)
        others.append((chunk.name, len(pixels), file.read(chunk.length + 12)))
    if interlaced:
        raise WholeOnly("it is interlaced")
    # a picture of one pixel with everything else that this file holds
    small = [_SIGNATURE, _chunk(b"IHDR", _HEADER.pack(1, 1, bits, colour, 0, 0, 0))]
    small += [whole for name, after, whole in others if not after and name != b"IHDR"]
    small += [_chunk(b"IDAT", zlib.compress(bytes(1 + max(1, _CHANNELS[colour] * bits // 8))))]
    small += [whole for _, after, whole in others if after]
    with pillow_limit(1), Image.open(io.BytesIO(b"".join(small)), formats=("PNG",)) as one:
        one.load()
        channels, metadata = len(mode_for(one)), metadata_of(one)
    palette = b"".join(whole for name, _, whole in others if name in (b"PLTE", b"tRNS"))
    shown = _Shown(width, bits, colour, palette)
    if bits == _HIGH_BIT_DEPTHS:
        channels = _CHANNELS[colour] + (shown.transparent is not None)
    return Source(
        width,
        height,
        channels,
        metadata,
        _bands(file, pixels, shown, height),
        _HIGH_BIT_DEPTHS if bits == _HIGH_BIT_DEPTHS else 8,
    )


class _Shown(NamedTuple):
    """How bytes of rows become pixels; `palette` holds whole chunks."""

    width: int
    bits: int
    colour: int
    palette: bytes

    @property
    def row_bytes(self) -> int:
        return -(-self.width * self.bits * _CHANNELS[self.colour] // 8)

    @property
    def pixel_bytes(self) -> int:
        """How far back the filters look."""
        return max(1, self.bits * _CHANNELS[self.colour] // 8)

    @property
    def transparent(self) -> np.ndarray | None:
        """The samples of the pixels that are transparent in a deep picture without alpha, if any are."""
        start = self.palette.find(b"tRNS") + 4
        if start < 4 or self.colour not in (0, 2):
            return None
        return np.frombuffer(self.palette, ">u2", _CHANNELS[self.colour], start)

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """Bytes of rows (rows, row_bytes) to pixels (rows, width, channels)."""
        if self.bits == _HIGH_BIT_DEPTHS:
            samples = np.ascontiguousarray(rows).view(">u2").reshape(len(rows), self.width, -1).astype(np.uint16)
            if self.transparent is None:
                return samples
            seen = (samples != self.transparent).any(-1, keepdims=True)
            return np.concatenate([samples, seen * np.uint16(65535)], -1)
        if self.bits == 8 and self.colour != 3 and not self.palette:
            return rows.reshape(len(rows), self.width, -1)
        unfiltered = np.pad(rows, ((0, 0), (1, 0)))
        return from_small_file(_small(unfiltered, self.width, self.bits, self.colour, self.palette), "PNG")


def _small(rows: np.ndarray, width: int, bits: int, colour: int, palette: bytes = b"") -> list[bytes]:
    """A PNG file in memory of rows (rows, bytes) that begin with their filters."""
    header = _HEADER.pack(width, len(rows), bits, colour, 0, 0, 0)
    data = _chunk(b"IDAT", zlib.compress(rows.tobytes(), 0))
    return [_SIGNATURE, _chunk(b"IHDR", header), palette, data, _chunk(b"IEND")]


def _bands(file: BinaryIO, chunks: list[_Chunk], shown: _Shown, height: int) -> Iterator[np.ndarray]:
    inflated = _Inflated(file, chunks)
    step = rows_at_once(shown.width)
    above = np.zeros((0, shown.row_bytes + 1), np.uint8)
    for top in range(0, height, step):
        rows = min(step, height - top)
        data = inflated.take(rows * (shown.row_bytes + 1))
        filtered = np.concatenate([above, np.frombuffer(data, np.uint8).reshape(rows, -1)])
        plain = _unfiltered(filtered, shown.pixel_bytes)
        # for the next band's filters, the last row stands above it, as it is
        above, plain = np.pad(plain[-1:], ((0, 0), (1, 0))), plain[len(above) :]
        yield shown.pixels(plain)
    inflated.finish()


def _unfiltered(rows: np.ndarray, pixel_bytes: int) -> np.ndarray:
    """Rows (rows, bytes) without their filters, which come first in the rows given."""
    if pixel_bytes <= 4:
        # the pixels of a picture of 8 bits
        small = _small(rows, (rows.shape[1] - 1) // pixel_bytes, 8, {1: 0, 2: 4, 3: 2, 4: 6}[pixel_bytes])
        with pillow_limit(2**62), Image.open(io.BytesIO(b"".join(small)), formats=("PNG",)) as image:
            return np.asarray(image).reshape(len(rows), -1)
    # each byte of a pixel is filtered with the same byte of others alone: so one of 6 or 8 is two of 3 or 4
    half = pixel_bytes // 2
    pixels = rows[:, 1:].reshape(len(rows), -1, 2, half)
    plain = np.empty_like(pixels)
    for part in range(2):
        alone = np.concatenate([rows[:, :1], pixels[:, :, part].reshape(len(rows), -1)], 1)
        plain[:, :, part] = _unfiltered(alone, half).reshape(len(rows), -1, half)
    return plain.reshape(len(rows), -1)


class _Inflated:
    """The bytes that the IDAT chunks hold, as they are asked for."""

    def __init__(self, file: BinaryIO, chunks: list[_Chunk]) -> None:
        self._compressed = self._read(file, chunks)
        self._inflate = zlib.decompressobj()

    @staticmethod
    def _read(file: BinaryIO, chunks: list[_Chunk]) -> Iterator[bytes]:
        for name, start, length in chunks:
            crc = zlib.crc32(name)
            file.seek(start)
            while length:
                data = file.read(min(length, _READ))
                if not data:
                    raise CaeError("truncated: the file ends amid its pixels")
                length -= len(data)
                crc = zlib.crc32(data, crc)
                yield data
            if file.read(4) != struct.pack(">I", crc):
                raise CaeError("damaged: the CRC of an IDAT chunk does not match")

    def take(self, size: int) -> bytes:
        out = bytearray()
        while len(out) < size:
            data = self._inflate.unconsumed_tail or next(self._compressed, b"")
            if not data or self._inflate.eof:
                raise CaeError("truncated: the file holds fewer rows than it says")
            out += self._inflate.decompress(data, size - len(out))
        return bytes(out)

    def finish(self) -> None:
        """CaeError where the checksum at the end is wrong; more bytes than the picture needs are left alone."""
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or next(self._compressed, b"")
            if not data or self._inflate.decompress(data, 1):
                return


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Writes a PNG file with the chunks of the sample around its rows; pieces are compressed by several threads at a time."""
    chunks = [(chunk, layout.sample[chunk.start : chunk.start + chunk.length]) for chunk in _chunks(io.BytesIO(layout.sample))]
    file.write(_SIGNATURE)
    done = False
    for chunk, content in chunks:
        if chunk.name == b"IHDR":
            depth = bytes([_HIGH_BIT_DEPTHS if layout.is_high_bit_depth else 8])
            content = struct.pack(">II", layout.width, layout.height) + depth + content[9:]
        elif chunk.name == b"IDAT":
            if not done:
                _write_rows(file, layout, bands)
            done = True
            continue
        file.write(_chunk(chunk.name, content))


def _write_rows(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    # the head of a zlib stream
    file.write(_chunk(b"IDAT", b"\x78\x5e"))
    adler = zlib.adler32(b"")
    step = max(1, rows_at_once(layout.width) // 4)
    for raw, data in mapped_ahead(_compressed, _with_row_above(regrouped(bands, step)), layout.threads):
        adler = zlib.adler32(raw, adler)
        file.write(_chunk(b"IDAT", data))
    # an empty last block, and the checksum
    file.write(_chunk(b"IDAT", b"\x03\x00", struct.pack(">I", adler)))


def _with_row_above(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    above = None
    for band in bands:
        above = np.zeros_like(band[:1]) if above is None else above
        yield np.concatenate([above, band])
        above = band[-1:].copy()


def _compressed(rows: np.ndarray) -> tuple[bytes, bytes]:
    """Rows below the first, filtered, and those bytes as deflate blocks that end at a byte."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    if rows.itemsize == 2:
        rows = np.ascontiguousarray(rows, ">u2").view(np.uint8)
    raw = _filtered(rows)
    return raw, deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH)


def _filtered(rows: np.ndarray) -> bytes:
    """The rows below the first of (rows, width, bytes of a pixel), each with whichever of three filters leaves the least."""
    count, _, channels = rows.shape
    flat = rows.reshape(count, -1)
    now, up = flat[1:], flat[:-1]
    left = np.zeros_like(now)
    left[:, channels:] = now[:, :-channels]
    best = np.empty((count - 1, 1 + now.shape[1]), np.uint8)
    least = np.full(count - 1, np.iinfo(np.int64).max)
    mean = (left >> 1) + (up >> 1) + (left & up & 1)
    for number, guess in ((1, left), (2, up), (3, mean)):
        rest = now - guess
        cost = np.abs(rest.view(np.int8), dtype=np.int16).sum(1, dtype=np.int64)
        better = cost < least
        least[better] = cost[better]
        best[better, 0] = number
        best[better, 1:] = rest[better]
    return best.tobytes()
