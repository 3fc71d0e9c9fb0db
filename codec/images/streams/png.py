"""PNG files row by row. Pillow undoes the rows' filters, in small files that each hold a band."""

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
from ...format.limits import PIXELS_MAX, check_size
from ..colour_space import read_png_colour_space
from ..files import warn_of_frames
from ..metadata import read_metadata
from ..opening import open_image
from ..picture import mode_for
from ..png_chunks import make_chunk
from .bands import READ_SIZE, BandSource, Layout, NotStreamableError, decode_small_file, map_ahead, regroup, rows_at_once

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels of each colour type."""
_GRAY_WITH_ALPHA = 4
"""Its colour type."""
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Passes of interlaced files: their first row and column, and the steps from row to row and from column to column."""
_OF_FRAMES = (b"acTL", b"fcTL", b"fdAT")
"""Chunks of animations, besides the still image."""
_OTHER_BYTES_MAX = 2**26
"""Most bytes of all chunks that hold no pixels."""
_HIGH_BIT_DEPTH = 16
"""The only bit depth above 8 of PNG files."""
_PNG_ZLIB_LEVEL = 4
"""Level of zlib: a tenth more bytes than at Pillow's 6, three times as fast."""


class _Chunk(NamedTuple):
    name: bytes
    start: int
    length: int


def _chunks(file: BinaryIO, start: int = 8) -> Iterator[_Chunk]:
    """Yields the chunks of a file, without their content, up to the last or the file's end."""
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


def open_bands(path: Path, file: BinaryIO, image: Image.Image) -> BandSource:
    """Opens a PNG file; of 8 bits, only one that is neither interlaced nor animated. An animated one shows its still image."""
    file.seek(16)
    width, height, bits, colour, *_, interlaced = _IHDR.unpack(file.read(_IHDR.size))
    others, pixels = [], []
    total = 0
    for chunk in _chunks(file):
        if chunk.name == b"IDAT":
            pixels.append(chunk)
            continue
        if chunk.name == b"acTL" and bits != _HIGH_BIT_DEPTH:
            raise NotStreamableError("it is animated")
        if chunk.name in _OF_FRAMES:
            continue
        total += chunk.length
        if total > _OTHER_BYTES_MAX:
            raise NotStreamableError("it holds much besides pixels")
        file.seek(chunk.start - 8)
        others.append((chunk.name, len(pixels), file.read(chunk.length + 12)))
    if interlaced and bits != _HIGH_BIT_DEPTH:
        raise NotStreamableError("it is interlaced")
    if interlaced:
        check_size(width, height, PIXELS_MAX, " for an interlaced file, which is read whole", bits)
    warn_of_frames(path, image)
    # a picture of one pixel with everything else that this file holds; gray with alpha of 16 bits would become RGBA
    shown_bits = 8 if colour == _GRAY_WITH_ALPHA else bits
    small = [_SIGNATURE, make_chunk(b"IHDR", _IHDR.pack(1, 1, shown_bits, colour, 0, 0, 0))]
    small += [whole for name, after, whole in others if not after and name != b"IHDR"]
    small += [make_chunk(b"IDAT", zlib.compress(bytes(1 + max(1, _CHANNELS[colour] * shown_bits // 8))))]
    small += [whole for _, after, whole in others if after]
    with open_image(one_file := io.BytesIO(b"".join(small)), ("PNG",)) as one:
        one.load()
        channels, metadata = len(mode_for(one)), read_metadata(one) | read_png_colour_space(one_file)
    palette = b"".join(whole for name, _, whole in others if name in (b"PLTE", b"tRNS"))
    row_format = _RowFormat(width, bits, colour, palette)
    if bits == _HIGH_BIT_DEPTH:
        channels = _CHANNELS[colour] + (row_format.transparent is not None)
    return BandSource(
        width,
        height,
        channels,
        metadata,
        _interlaced(file, pixels, row_format, height) if interlaced else _bands(file, pixels, row_format, height),
        _HIGH_BIT_DEPTH if bits == _HIGH_BIT_DEPTH else 8,
    )


class _RowFormat(NamedTuple):
    """The format of rows. `palette` holds whole chunks, PLTE and tRNS."""

    width: int
    bits: int
    colour: int
    palette: bytes

    @property
    def row_bytes(self) -> int:
        return -(-self.width * self.bits * _CHANNELS[self.colour] // 8)

    @property
    def pixel_bytes(self) -> int:
        """Distance in bytes at which the filters look back."""
        return max(1, self.bits * _CHANNELS[self.colour] // 8)

    @property
    def transparent(self) -> np.ndarray | None:
        """Samples of the transparent pixels in a picture of 16 bits without alpha; None if there are none."""
        start = self.palette.find(b"tRNS") + 4
        if start < 4 or self.colour not in (0, 2):
            return None
        return np.frombuffer(self.palette, ">u2", _CHANNELS[self.colour], start)

    def to_pixels(self, rows: np.ndarray) -> np.ndarray:
        """Converts bytes of rows (rows, row_bytes) to pixels (rows, width, channels)."""
        if self.bits == _HIGH_BIT_DEPTH:
            samples = np.ascontiguousarray(rows).view(">u2").reshape(len(rows), self.width, -1).astype(np.uint16)
            if self.transparent is None:
                return samples
            seen = (samples != self.transparent).any(-1, keepdims=True)
            return np.concatenate([samples, seen * np.uint16(65535)], -1)
        if self.bits == 8 and self.colour != 3 and not self.palette:
            return rows.reshape(len(rows), self.width, -1)
        unfiltered = np.pad(rows, ((0, 0), (1, 0)))
        return decode_small_file(_small(unfiltered, self.width, self.bits, self.colour, self.palette), "PNG")


def _small(rows: np.ndarray, width: int, bits: int, colour: int, palette: bytes = b"") -> list[bytes]:
    """Makes a PNG file in memory of rows (rows, bytes) that begin with their filters."""
    header = _IHDR.pack(width, len(rows), bits, colour, 0, 0, 0)
    data = make_chunk(b"IDAT", zlib.compress(rows.tobytes(), 0))
    return [_SIGNATURE, make_chunk(b"IHDR", header), palette, data, make_chunk(b"IEND")]


def _bands(file: BinaryIO, chunks: list[_Chunk], row_format: _RowFormat, height: int) -> Iterator[np.ndarray]:
    inflated = _Inflated(file, chunks)
    step = rows_at_once(row_format.width)
    above = np.zeros((0, row_format.row_bytes + 1), np.uint8)
    for top in range(0, height, step):
        rows = min(step, height - top)
        data = inflated.take(rows * (row_format.row_bytes + 1))
        filtered = np.concatenate([above, np.frombuffer(data, np.uint8).reshape(rows, -1)])
        plain = _undo_filters(filtered, row_format.pixel_bytes)
        # for the next band's filters, the last row stands above it, as it is
        above, plain = np.pad(plain[-1:], ((0, 0), (1, 0))), plain[len(above) :]
        yield row_format.to_pixels(plain)
    inflated.finish()


def _interlaced(file: BinaryIO, chunks: list[_Chunk], row_format: _RowFormat, height: int) -> Iterator[np.ndarray]:
    """Yields an interlaced picture whole."""
    inflated = _Inflated(file, chunks)
    pixels = None
    for top, left, down, across in _PASSES:
        rows, columns = len(range(top, height, down)), len(range(left, row_format.width, across))
        if not rows or not columns:
            continue
        part = row_format._replace(width=columns)
        data = np.frombuffer(inflated.take(rows * (part.row_bytes + 1)), np.uint8).reshape(rows, -1)
        samples = part.to_pixels(_undo_filters(data, part.pixel_bytes))
        if pixels is None:
            pixels = np.empty((height, row_format.width, samples.shape[2]), samples.dtype)
        pixels[top::down, left::across] = samples
    inflated.finish()
    yield pixels


def _undo_filters(rows: np.ndarray, pixel_bytes: int) -> np.ndarray:
    """Undoes the filters of rows (rows, 1 + bytes), each of which begins with its filter: (rows, bytes)."""
    if pixel_bytes <= 4:
        # the pixels of a picture of 8 bits
        small = _small(rows, (rows.shape[1] - 1) // pixel_bytes, 8, {1: 0, 2: 4, 3: 2, 4: 6}[pixel_bytes])
        with open_image(io.BytesIO(b"".join(small)), ("PNG",)) as image:
            return np.asarray(image).reshape(len(rows), -1)
    # filters work on each byte of a pixel by itself, so a pixel of 6 or 8 bytes is two of 3 or 4
    half = pixel_bytes // 2
    pixels = rows[:, 1:].reshape(len(rows), -1, 2, half)
    plain = np.empty_like(pixels)
    for part in range(2):
        alone = np.concatenate([rows[:, :1], pixels[:, :, part].reshape(len(rows), -1)], 1)
        plain[:, :, part] = _undo_filters(alone, half).reshape(len(rows), -1, half)
    return plain.reshape(len(rows), -1)


class _Inflated:
    """The inflated bytes of the IDAT chunks, in parts."""

    def __init__(self, file: BinaryIO, chunks: list[_Chunk]) -> None:
        self._compressed = self._read(file, chunks)
        self._inflate = zlib.decompressobj()

    @staticmethod
    def _read(file: BinaryIO, chunks: list[_Chunk]) -> Iterator[bytes]:
        for name, start, length in chunks:
            crc = zlib.crc32(name)
            file.seek(start)
            while length:
                data = file.read(min(length, READ_SIZE))
                if not data:
                    raise CaeError("truncated: the file ends amid its pixels")
                length -= len(data)
                crc = zlib.crc32(data, crc)
                yield data
            if file.read(4) != struct.pack(">I", crc):
                raise CaeError("damaged: the CRC of an IDAT chunk does not match")

    def take(self, size: int) -> bytes:
        """Returns the next bytes."""
        out = bytearray()
        while len(out) < size:
            data = self._inflate.unconsumed_tail or next(self._compressed, b"")
            if not data or self._inflate.eof:
                raise CaeError("truncated: the file holds fewer rows than it says")
            out += self._inflate.decompress(data, size - len(out))
        return bytes(out)

    def finish(self) -> None:
        """Raises an error if the checksum at the end is wrong; surplus bytes are ignored."""
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or next(self._compressed, b"")
            if not data or self._inflate.decompress(data, 1):
                return


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Writes a PNG file with the sample's chunks around its rows, which several threads compress."""
    chunks = [(chunk, layout.sample[chunk.start : chunk.start + chunk.length]) for chunk in _chunks(io.BytesIO(layout.sample))]
    file.write(_SIGNATURE)
    has_rows = False
    for chunk, content in chunks:
        if chunk.name == b"IHDR":
            depth = bytes([_HIGH_BIT_DEPTH if layout.is_high_bit_depth else 8])
            content = struct.pack(">II", layout.width, layout.height) + depth + content[9:]
        elif chunk.name == b"IDAT":
            if not has_rows:
                _write_rows(file, layout, bands)
            has_rows = True
            continue
        file.write(make_chunk(chunk.name, content))


def _write_rows(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    # the head of a zlib stream
    file.write(make_chunk(b"IDAT", b"\x78\x5e"))
    adler = zlib.adler32(b"")
    step = max(1, rows_at_once(layout.width) // 4)
    for raw, data in map_ahead(_compress, _with_row_above(regroup(bands, step)), layout.threads):
        adler = zlib.adler32(raw, adler)
        file.write(make_chunk(b"IDAT", data))
    # an empty last block, and the checksum
    file.write(make_chunk(b"IDAT", b"\x03\x00", struct.pack(">I", adler)))


def _with_row_above(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    above = None
    for band in bands:
        above = np.zeros_like(band[:1]) if above is None else above
        yield np.concatenate([above, band])
        above = band[-1:].copy()


def _compress(rows: np.ndarray) -> tuple[bytes, bytes]:
    """Returns the rows below the first, filtered, and those bytes as deflate blocks that end at a byte."""
    deflate = zlib.compressobj(_PNG_ZLIB_LEVEL, zlib.DEFLATED, -15)
    if rows.itemsize == 2:
        rows = np.ascontiguousarray(rows, ">u2").view(np.uint8)
    raw = _filter(rows)
    return raw, deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH)


def _filter(rows: np.ndarray) -> bytes:
    """Filters the rows below the first of (rows, width, bytes of a pixel), each by the best of three filters."""
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
