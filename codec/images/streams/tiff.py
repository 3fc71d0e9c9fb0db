"""TIFF and BigTIFF files: strips and tiles a few rows at a time, each handed to Pillow as a TIFF file of its own.

Written in tiles, so that any part of a large picture is near at hand, compressed by Deflate after horizontal
differences, which every reader knows and which about halves a photograph.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import TAGS_V2_GROUPS

from ...errors import CaeError
from ..files import warn_of_frames
from ..picture import metadata_of, mode_for, refuse_deep
from .pieces import Layout, Source, WholeOnly, from_small_file, mapped_ahead, regrouped, rows_at_once

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _STRIP_SIZES = 273, 274, 277, 278, 279
_PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_SIZES = 284, 317, 322, 323, 324, 325
_YCBCR = 6
_NONE, _DEFLATES = 1, (8, 32946)
_OF_PIXELS = (
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _STRIP_ROWS, _PLANAR, 292, 293, _PREDICTOR,
    320, _TILE_WIDTH, _TILE_HEIGHT, 332, 338, 339, 347, 529, 530, 531, 532,
)  # fmt: skip
"""Tags that say how pixels are stored, but not where."""
_COMPRESSIONS = (_NONE, 2, 3, 4, 5, 7, *_DEFLATES, 32773, 34925, 50000, 50001)
"""Those that code each strip and tile alone: CCITT, LZW, JPEG, Deflate, PackBits, LZMA, ZSTD, WebP."""
_PIECES_MAX = 2**26
"""Pixels of a row of strips or tiles that are read together."""
_LONG, _LONG8 = 4, 16
_SIDE = 256
"""Of the tiles that are written."""
_LEVEL = 1
"""Of zlib: higher ones take much longer for a few per cent."""
_CLASSIC_MAX = 2**32 - 2**26
_READ = 2**18


def open_bands(path: Path, file: BinaryIO) -> Source:
    """Opens the first picture of a file of which a few strips, or a row of tiles, take little memory."""
    image = Image.open(file, formats=("TIFF",))
    refuse_deep(image)
    tags = image.tag_v2
    if tags.get(_ORIENTATION, 1) != 1:
        raise WholeOnly("its orientation has it turned")
    if tags.get(_COMPRESSION, _NONE) not in _COMPRESSIONS:
        raise WholeOnly(f"its compression ({tags[_COMPRESSION]}) is none for pieces")
    stored = _Stored(file, {tag: tags[tag] for tag in _OF_PIXELS if tag in tags}, dict(tags.tagtype))
    tiled = _TILE_OFFSETS in tags
    offsets = tags.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS, ())
    sizes = tags.get(_TILE_SIZES if tiled else _STRIP_SIZES, ())
    across, unit = (-(-stored.width // tags[_TILE_WIDTH]), tags[_TILE_HEIGHT]) if tiled else (1, stored.strip_rows)
    down = -(-stored.height // unit)
    if not len(offsets) == len(sizes) == across * down * stored.planes:
        raise WholeOnly("its strips or tiles are not those that its size needs")
    warn_of_frames(path, image)
    piece_row = max(across * tags[_TILE_WIDTH] if tiled else 0, stored.width) * unit
    if not tiled and stored.flows and unit > rows_at_once(stored.width):
        bands = _of_tall_strips(stored, offsets, sizes, unit)
    elif piece_row <= _PIECES_MAX:
        bands = _of_pieces(stored, offsets, sizes, across, unit)
    else:
        raise WholeOnly(f"its {'tiles' if tiled else 'strips'} of {unit} rows are too large to be read one after another")
    return Source(stored.width, stored.height, len(mode_for(image)), metadata_of(image), bands)


class _Stored:
    """How a file's pixels are stored."""

    def __init__(self, file: BinaryIO, tags: Mapping[int, Any], types: Mapping[int, int]) -> None:
        self.file, self._tags, self._types = file, tags, types
        self.width, self.height = tags[_WIDTH], tags[_HEIGHT]
        self.compression = tags.get(_COMPRESSION, _NONE)
        samples = tags.get(_SAMPLES, 1)
        self.planes = samples if tags.get(_PLANAR, 1) == 2 else 1
        self.strip_rows = min(tags.get(_STRIP_ROWS, self.height), self.height)
        bits = max(tags.get(_BITS, (1,))) * samples // self.planes
        self.row_bytes = -(-self.width * bits // 8)
        """Of each plane."""
        # of YCbCr, rows may share samples
        simple = tags.get(_PHOTOMETRIC) != _YCBCR and tags.get(_FILL_ORDER, 1) == 1 and self.strip_rows > 0
        self.flows = simple and self.compression in (_NONE, *_DEFLATES)
        """Whether rows follow each other in a strip, compressed in a way that can be followed."""
        across, high = tags.get(_TILE_WIDTH, self.width), tags.get(_TILE_HEIGHT, self.strip_rows)
        # a pixel of noise may take several times its own size
        self._piece_max = 4 * high * across * max(1, bits // 8) + 2**16

    def read(self, offset: int, size: int) -> bytes:
        """A strip or tile."""
        if size > self._piece_max:
            raise CaeError(f"damaged: a strip or tile of {size} bytes holds more than its pixels")
        self.file.seek(offset)
        data = self.file.read(size)
        if len(data) < size:
            raise CaeError("truncated: the file ends amid its pixels")
        return data

    def decode(self, pieces: list[bytes], rows: int, changed: Mapping[int, int] | None = None) -> np.ndarray:
        """Pixels (rows, width, channels) of strips or tiles, plane by plane, that make a picture of so many rows.

        `changed` are tags that differ from the file's.
        """
        tiled = _TILE_WIDTH in self._tags
        where, lengths = (_TILE_OFFSETS, _TILE_SIZES) if tiled else (_STRIP_OFFSETS, _STRIP_SIZES)
        directory = ImageFileDirectory_v2()
        starts = np.cumsum([0, *map(len, pieces)]).tolist()
        directory.tagtype |= self._types | {where: _LONG, lengths: _LONG, _HEIGHT: _LONG, _STRIP_ROWS: _LONG}
        for tag, value in {**self._tags, **(changed or {}), _HEIGHT: rows, lengths: tuple(map(len, pieces))}.items():
            directory[tag] = value
        directory[where] = tuple(starts[:-1])
        if tiled:
            # of strips alone, Pillow counts from the directory's end
            end = 8 + len(directory.tobytes(8))
            directory[where] = tuple(end + start for start in starts[:-1])
        return from_small_file([b"II*\0\x08\0\0\0", directory.tobytes(8), *pieces], "TIFF")


def _of_pieces(
    stored: _Stored, offsets: tuple[int, ...], sizes: tuple[int, ...], across: int, unit: int
) -> Iterator[np.ndarray]:
    """Bands of whole rows of strips or tiles, `across` of them in each, `unit` rows high."""
    step = rows_at_once(stored.width, unit)
    down = -(-stored.height // unit)
    for top in range(0, stored.height, step):
        first, last = top // unit, min((top + step) // unit, down)
        chosen = [
            piece
            for plane in range(stored.planes)
            for piece in range((plane * down + first) * across, (plane * down + last) * across)
        ]
        pieces = [stored.read(offsets[piece], sizes[piece]) for piece in chosen]
        yield stored.decode(pieces, min(step, stored.height - top))


def _of_tall_strips(stored: _Stored, offsets: tuple[int, ...], sizes: tuple[int, ...], unit: int) -> Iterator[np.ndarray]:
    """Bands of strips that are too tall to be read as they are: rows that follow each other, as strips of their own."""
    step = rows_at_once(stored.width)
    down = -(-stored.height // unit)
    plain = stored.compression == _NONE
    for number in range(down):
        bottom = min((number + 1) * unit, stored.height)
        planes = [_Flow(stored, offsets[strip], sizes[strip]) for strip in range(number, len(offsets), down)]
        for top in range(number * unit, bottom, step):
            rows = min(step, bottom - top)
            parts = [plane.take(rows * stored.row_bytes) for plane in planes]
            yield stored.decode(parts if plain else [zlib.compress(part, 0) for part in parts], rows, {_STRIP_ROWS: rows})


class _Flow:
    """The bytes of a strip's rows, as they are asked for."""

    def __init__(self, stored: _Stored, offset: int, size: int) -> None:
        self._file, self._at = stored.file, offset
        self._inflate = None if stored.compression == _NONE else zlib.decompressobj()
        # of plain strips, sizes are often wrong
        self._left = sys.maxsize if self._inflate is None else size

    def take(self, size: int) -> bytes:
        if self._inflate is None:
            data = self._read(size)
            if len(data) < size:
                raise CaeError("truncated: the file ends amid its pixels")
            return data
        out = bytearray()
        while len(out) < size:
            data = self._inflate.unconsumed_tail or self._read(_READ)
            if not data or self._inflate.eof:
                raise CaeError("truncated: a strip holds fewer rows than it should")
            out += self._inflate.decompress(data, size - len(out))
        return bytes(out)

    def _read(self, size: int) -> bytes:
        self._file.seek(self._at)
        data = self._file.read(min(size, self._left))
        self._at += len(data)
        self._left -= len(data)
        return data


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Writes tiles, compressed by several threads at a time, with the sample's tags before them; BigTIFF from 4 GB on."""
    big = layout.width * layout.height * layout.channels > _CLASSIC_MAX
    directory = _directory(layout, big)
    across, down = -(-layout.width // _SIDE), -(-layout.height // _SIDE)
    # the directory keeps its length when it is filled in
    directory[_TILE_OFFSETS] = directory[_TILE_SIZES] = (0,) * (across * down)
    start = 16 if big else 8
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else struct.pack("<2sHI", b"II", 42, start))
    file.write(directory.tobytes(start))
    offsets, sizes = [], []
    for data in mapped_ahead(_compressed, _tiles(bands), layout.threads):
        offsets.append(file.tell())
        sizes.append(len(data))
        file.write(data)
    directory[_TILE_OFFSETS], directory[_TILE_SIZES] = tuple(offsets), tuple(sizes)
    file.seek(start)
    file.write(directory.tobytes(start))


def _directory(layout: Layout, big: bool) -> ImageFileDirectory_v2:
    """The sample's directory, and how this picture's pixels are stored."""
    directory = ImageFileDirectory_v2(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4))
    with Image.open(io.BytesIO(layout.sample), formats=("TIFF",)) as sample:
        exif = sample.getexif()
        for tag, value in sample.tag_v2.items():
            if tag not in (_STRIP_OFFSETS, _STRIP_ROWS, _STRIP_SIZES):
                directory[tag] = exif.get_ifd(tag) if tag in TAGS_V2_GROUPS else value
                directory.tagtype[tag] = sample.tag_v2.tagtype[tag]
    sides = {_WIDTH: layout.width, _HEIGHT: layout.height, _TILE_WIDTH: _SIDE, _TILE_HEIGHT: _SIDE}
    for tag, value in (sides | {_COMPRESSION: _DEFLATES[0], _PREDICTOR: 2}).items():
        directory[tag] = value
    kind = _LONG8 if big else _LONG
    directory.tagtype |= {_WIDTH: _LONG, _HEIGHT: _LONG, _TILE_OFFSETS: kind, _TILE_SIZES: kind}
    return directory


def _tiles(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles of full size, row by row; the last row and column repeat beyond the picture."""
    for band in regrouped(bands, _SIDE):
        rows, width, _ = band.shape
        for left in range(0, width, _SIDE):
            tile = band[:, left : left + _SIDE]
            yield np.pad(tile, ((0, _SIDE - rows), (0, _SIDE - tile.shape[1]), (0, 0)), "edge")


def _compressed(tile: np.ndarray) -> bytes:
    tile[:, 1:] -= tile[:, :-1].copy()
    return zlib.compress(tile.tobytes(), _LEVEL)
