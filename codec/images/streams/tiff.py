"""TIFF and BigTIFF files: strips and tiles a few rows at a time, each handed to Pillow as a TIFF file of its own.

Written in tiles, so that any part of a large picture is near at hand, compressed by Deflate after horizontal
differences, which every reader knows and which about halves a photograph.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import TAGS_V2_GROUPS

from ...errors import CaeError
from ..files import warn_of_frames
from ..picture import metadata_of, mode_for
from .pieces import Layout, Source, WholeOnly, mapped_ahead, regrouped, rows_at_once
from .tiff_stored import HighBitDepthStored, Stored, check_high_bit_depth
from .tiff_tags import DEFLATES, LONG, LONG8, LZMA, LZW, NONE, PACKBITS, ZSTD, Tag

_COMPRESSIONS = (NONE, 2, 3, 4, LZW, 7, *DEFLATES, PACKBITS, LZMA, ZSTD, 50001)
"""Those that code each strip and tile alone: CCITT, LZW, JPEG, Deflate, PackBits, LZMA, ZSTD, WebP."""
_PIECES_MAX = 2**26
"""Pixels of a row of strips or tiles that are read together."""
_SIDE = 256
"""Of the tiles that are written."""
_LEVEL = 1
"""Of zlib: higher ones take much longer for a few per cent."""
_CLASSIC_MAX = 2**32 - 2**26
_READ = 2**18
_BIG = 43
"""What is 42 in a classic file."""
_BIG_OF_BIG_ENDS = b"MM\0+"
"""How BigTIFF files begin that Pillow does not read."""


def open_bands(path: Path, file: BinaryIO) -> Source:
    """Opens the first picture of a file of which a few strips, or a row of tiles, take little memory."""
    image, tags = _opened(file)
    deep = max(tags.get(Tag.BITS, (1,))) > 8
    if deep:
        check_high_bit_depth(tags)
    elif tags.get(Tag.ORIENTATION, 1) != 1:
        raise WholeOnly("its orientation has it turned")
    if tags.get(Tag.COMPRESSION, NONE) not in _COMPRESSIONS:
        raise WholeOnly(f"its compression ({tags[Tag.COMPRESSION]}) is none for pieces")
    stored = (HighBitDepthStored if deep else Stored)(file, tags)
    tiled = Tag.TILE_OFFSETS in tags
    offsets = tags.get(Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS, ())
    sizes = tags.get(Tag.TILE_SIZES if tiled else Tag.STRIP_SIZES, ())
    across, unit = (-(-stored.width // tags[Tag.TILE_WIDTH]), tags[Tag.TILE_HEIGHT]) if tiled else (1, stored.strip_rows)
    down = -(-stored.height // unit)
    if not len(offsets) == len(sizes) == across * down * stored.planes:
        raise WholeOnly("its strips or tiles are not those that its size needs")
    if image is not None:
        warn_of_frames(path, image)
    piece_row = max(across * tags[Tag.TILE_WIDTH] if tiled else 0, stored.width) * unit
    if not tiled and stored.flows and unit > rows_at_once(stored.width):
        bands = _of_tall_strips(stored, offsets, sizes, unit)
    elif piece_row <= _PIECES_MAX:
        bands = _of_pieces(stored, offsets, sizes, across, unit)
    else:
        raise WholeOnly(f"its {'tiles' if tiled else 'strips'} of {unit} rows are too large to be read one after another")
    metadata = _metadata_in(tags) if image is None else metadata_of(image)
    if isinstance(stored, HighBitDepthStored):
        return Source(stored.width, stored.height, stored.channels, metadata, bands, 16)
    return Source(stored.width, stored.height, len(mode_for(image)), metadata, bands)


def _opened(file: BinaryIO) -> tuple[Image.Image | None, ImageFileDirectory_v2]:
    """A file as Pillow opens it, or None for gray of 16 bits with alpha, which Pillow does not know, and its directory.

    CaeError for what is no picture, which says why where `check_high_bit_depth` finds it out.
    """
    try:
        image = Image.open(file, formats=("TIFF",))
        return image, image.tag_v2
    except UnidentifiedImageError:
        file.seek(0)
        start = file.read(16)
        if start.startswith(_BIG_OF_BIG_ENDS):
            raise
        directory = ImageFileDirectory_v2(start if start[2] == _BIG else start[:8])
        file.seek(directory.next)
        directory.load(file)
        check_high_bit_depth(directory)
        if max(directory.get(Tag.BITS, (1,))) <= 8:
            raise
        return None, directory


def _metadata_in(directory: ImageFileDirectory_v2) -> dict[str, bytes]:
    names = {"iccp": Tag.ICC_PROFILE, "xmp ": Tag.XMP}
    return {name: bytes(directory[tag]) for name, tag in names.items() if tag in directory}


def _of_pieces(
    stored: Stored, offsets: tuple[int, ...], sizes: tuple[int, ...], across: int, unit: int
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


def _of_tall_strips(stored: Stored, offsets: tuple[int, ...], sizes: tuple[int, ...], unit: int) -> Iterator[np.ndarray]:
    """Bands of strips that are too tall to be read as they are: rows that follow each other, as strips of their own."""
    step = rows_at_once(stored.width)
    down = -(-stored.height // unit)
    plain = stored.compression == NONE
    for number in range(down):
        bottom = min((number + 1) * unit, stored.height)
        planes = [_Flow(stored, offsets[strip], sizes[strip]) for strip in range(number, len(offsets), down)]
        for top in range(number * unit, bottom, step):
            rows = min(step, bottom - top)
            parts = [plane.take(rows * stored.row_bytes) for plane in planes]
            yield stored.decode(parts if plain else [zlib.compress(part, 0) for part in parts], rows, {Tag.STRIP_ROWS: rows})


class _Flow:
    """The bytes of a strip's rows, as they are asked for."""

    def __init__(self, stored: Stored, offset: int, size: int) -> None:
        self._file, self._at = stored.file, offset
        self._inflate = None if stored.compression == NONE else zlib.decompressobj()
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
    size = layout.width * layout.height * layout.channels * (2 if layout.is_high_bit_depth else 1)
    big = size > _CLASSIC_MAX
    directory = _directory(layout, big)
    across, down = -(-layout.width // _SIDE), -(-layout.height // _SIDE)
    # the directory keeps its length when it is filled in
    directory[Tag.TILE_OFFSETS] = directory[Tag.TILE_SIZES] = (0,) * (across * down)
    start = 16 if big else 8
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else struct.pack("<2sHI", b"II", 42, start))
    file.write(directory.tobytes(start))
    offsets, sizes = [], []
    for data in mapped_ahead(_compressed, _tiles(bands), layout.threads):
        offsets.append(file.tell())
        sizes.append(len(data))
        file.write(data)
    directory[Tag.TILE_OFFSETS], directory[Tag.TILE_SIZES] = tuple(offsets), tuple(sizes)
    file.seek(start)
    file.write(directory.tobytes(start))


def _directory(layout: Layout, big: bool) -> ImageFileDirectory_v2:
    """The sample's directory, and how this picture's pixels are stored."""
    directory = ImageFileDirectory_v2(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4))
    with Image.open(io.BytesIO(layout.sample), formats=("TIFF",)) as sample:
        exif = sample.getexif()
        for tag, value in sample.tag_v2.items():
            if tag not in (Tag.STRIP_OFFSETS, Tag.STRIP_ROWS, Tag.STRIP_SIZES):
                directory[tag] = exif.get_ifd(tag) if tag in TAGS_V2_GROUPS else value
                directory.tagtype[tag] = sample.tag_v2.tagtype[tag]
    sides = {Tag.WIDTH: layout.width, Tag.HEIGHT: layout.height, Tag.TILE_WIDTH: _SIDE, Tag.TILE_HEIGHT: _SIDE}
    for tag, value in (sides | {Tag.COMPRESSION: DEFLATES[0], Tag.PREDICTOR: 2}).items():
        directory[tag] = value
    if layout.is_high_bit_depth:
        directory[Tag.BITS] = (16,) * layout.channels
    kind = LONG8 if big else LONG
    directory.tagtype |= {Tag.WIDTH: LONG, Tag.HEIGHT: LONG, Tag.TILE_OFFSETS: kind, Tag.TILE_SIZES: kind}
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
    return zlib.compress(tile.astype(tile.dtype.newbyteorder("<"), copy=False).tobytes(), _LEVEL)
