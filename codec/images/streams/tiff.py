"""TIFF and BigTIFF files: strips and tiles a few rows at a time, each handed to Pillow as a TIFF file of its own.

Files are written in tiles, so that programs read any part of a large picture quickly. Tiles are compressed by Deflate after
horizontal differences, which every reader knows and which about halves a photograph.
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
from ...metadata import SECTIONS
from ..corrections import refuse_signed
from ..files import warn_of_frames
from ..metadata import read_metadata
from ..picture import mode_for
from ..tiff_tags import DEFLATES, LONG, LONG8, LZMA, LZW, NONE, PACKBITS, ZSTD, Tag
from .bands import READ_SIZE, BandSource, Layout, NotStreamableError, map_ahead, regroup, rows_at_once
from .tiff_stored import HighBitDepthStored, Stored, check_high_bit_depth

_COMPRESSIONS = (NONE, 2, 3, 4, LZW, 7, *DEFLATES, PACKBITS, LZMA, ZSTD, 50001)
"""Compressions that code each strip and tile alone: CCITT, LZW, JPEG, Deflate, PackBits, LZMA, ZSTD, WebP."""
PIECES_MAX = 2**26
"""Pixels of a row of strips or tiles that are read together."""
_TILE_SIDE = 256
"""Side in pixels of the tiles that are written."""
_TIFF_ZLIB_LEVEL = 1
"""Level of zlib: higher ones take much longer for a few per cent."""
CLASSIC_MAX = 2**32 - 2**26
"""Most bytes of pixels in a classic file; larger pictures become BigTIFF."""
_BIG_TIFF = 43
"""Stands in place of the 42 of a classic file."""
_BIG_ENDIAN_BIG_TIFF = b"MM\0+"
"""The beginning of BigTIFF files that Pillow does not read."""


def open_bands(path: Path, file: BinaryIO, image: Image.Image | None, *, pieces_max: int = PIECES_MAX) -> BandSource:
    """Opens the first picture of a file, if a few strips, or a row of tiles, take little memory.

    `image` is None for gray of 16 bits with alpha, which Pillow does not know, and for files that are no images.
    A row of strips or tiles may have `pieces_max` pixels.
    """
    tags = _read_directory(file) if image is None else image.tag_v2
    is_high = max(tags.get(Tag.BITS, (1,))) > 8
    if image is not None:
        refuse_signed(image)
    if is_high:
        check_high_bit_depth(tags)
    elif tags.get(Tag.ORIENTATION, 1) != 1:
        raise NotStreamableError("its orientation has it turned")
    if tags.get(Tag.COMPRESSION, NONE) not in _COMPRESSIONS:
        raise NotStreamableError(f"its compression ({tags[Tag.COMPRESSION]}) is none for pieces")
    stored = (HighBitDepthStored if is_high else Stored)(file, tags)
    tiled = Tag.TILE_OFFSETS in tags
    offsets = tags.get(Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS, ())
    sizes = tags.get(Tag.TILE_SIZES if tiled else Tag.STRIP_SIZES, ())
    across, unit = (-(-stored.width // tags[Tag.TILE_WIDTH]), tags[Tag.TILE_HEIGHT]) if tiled else (1, stored.strip_rows)
    down = -(-stored.height // unit)
    if not len(offsets) == len(sizes) == across * down * stored.planes:
        raise NotStreamableError("its strips or tiles are not those that its size needs")
    piece_row = max(across * tags[Tag.TILE_WIDTH] if tiled else 0, stored.width) * unit
    if not tiled and stored.rows_in_sequence and unit > rows_at_once(stored.width):
        bands = _bands_of_tall_strips(stored, offsets, sizes, unit)
    elif piece_row <= pieces_max:
        bands = _bands_of_pieces(stored, offsets, sizes, across, unit)
    else:
        pieces = "tiles" if tiled else "strips"
        raise NotStreamableError(f"its {pieces} of {unit} rows are too large to be read one after another")
    if image is None:
        stand_in = Image.new("L", (1, 1))
        stand_in.info |= {section.pillow_key: tags[section.tiff_tag] for section in SECTIONS if section.tiff_tag in tags}
        metadata = read_metadata(stand_in)
    else:
        warn_of_frames(path, image)
        metadata = read_metadata(image)
    if isinstance(stored, HighBitDepthStored):
        return BandSource(stored.width, stored.height, stored.channels, metadata, bands, 16)
    return BandSource(stored.width, stored.height, len(mode_for(image)), metadata, bands)


def _read_directory(file: BinaryIO) -> ImageFileDirectory_v2:
    """Reads the first directory of a file that Pillow does not know.

    Raises:
        CaeError: if `check_high_bit_depth` refuses it.
        UnidentifiedImageError: if it is not of high bit depth, or not readable at all.
    """
    file.seek(0)
    start = file.read(16)
    if start.startswith(_BIG_ENDIAN_BIG_TIFF):
        raise UnidentifiedImageError
    directory = ImageFileDirectory_v2(start if start[2] == _BIG_TIFF else start[:8])
    file.seek(directory.next)
    directory.load(file)
    check_high_bit_depth(directory)
    if max(directory.get(Tag.BITS, (1,))) <= 8:
        raise UnidentifiedImageError
    return directory


def _bands_of_pieces(
    stored: Stored, offsets: tuple[int, ...], sizes: tuple[int, ...], across: int, unit: int
) -> Iterator[np.ndarray]:
    """Yields bands of whole rows of strips or tiles, `across` of them in each row, `unit` rows high."""
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


def _bands_of_tall_strips(stored: Stored, offsets: tuple[int, ...], sizes: tuple[int, ...], unit: int) -> Iterator[np.ndarray]:
    """Yields bands of strips that are too tall to be read at once, whose rows become strips of their own."""
    step = rows_at_once(stored.width)
    down = -(-stored.height // unit)
    is_plain = stored.compression == NONE
    for number in range(down):
        bottom = min((number + 1) * unit, stored.height)
        planes = [_StripRows(stored, offsets[strip], sizes[strip]) for strip in range(number, len(offsets), down)]
        for top in range(number * unit, bottom, step):
            rows = min(step, bottom - top)
            parts = [plane.take(rows * stored.row_bytes) for plane in planes]
            yield stored.decode(parts if is_plain else [zlib.compress(part, 0) for part in parts], rows, {Tag.STRIP_ROWS: rows})


class _StripRows:
    """The bytes of a strip's rows, in parts."""

    def __init__(self, stored: Stored, offset: int, size: int) -> None:
        self._file, self._position = stored.file, offset
        self._inflate = None if stored.compression == NONE else zlib.decompressobj()
        # sizes of uncompressed strips are often wrong
        self._remaining = sys.maxsize if self._inflate is None else size

    def take(self, size: int) -> bytes:
        """Returns the next bytes."""
        if self._inflate is None:
            data = self._read(size)
            if len(data) < size:
                raise CaeError("truncated: the file ends amid its pixels")
            return data
        out = bytearray()
        while len(out) < size:
            data = self._inflate.unconsumed_tail or self._read(READ_SIZE)
            if not data or self._inflate.eof:
                raise CaeError("truncated: a strip holds fewer rows than it should")
            out += self._inflate.decompress(data, size - len(out))
        return bytes(out)

    def _read(self, size: int) -> bytes:
        self._file.seek(self._position)
        data = self._file.read(min(size, self._remaining))
        self._position += len(data)
        self._remaining -= len(data)
        return data


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray], *, classic_max: int = CLASSIC_MAX) -> None:
    """Writes tiles, which several threads compress, after the sample's tags; as BigTIFF above `classic_max` bytes of pixels."""
    size = layout.width * layout.height * layout.channels * (2 if layout.is_high_bit_depth else 1)
    big = size > classic_max
    directory = _directory(layout, big)
    across, down = -(-layout.width // _TILE_SIDE), -(-layout.height // _TILE_SIDE)
    # the directory keeps its length when it is filled in
    directory[Tag.TILE_OFFSETS] = directory[Tag.TILE_SIZES] = (0,) * (across * down)
    start = 16 if big else 8
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else struct.pack("<2sHI", b"II", 42, start))
    file.write(directory.tobytes(start))
    offsets, sizes = [], []
    for data in map_ahead(_compress, _tiles(bands), layout.threads):
        offsets.append(file.tell())
        sizes.append(len(data))
        file.write(data)
    directory[Tag.TILE_OFFSETS], directory[Tag.TILE_SIZES] = tuple(offsets), tuple(sizes)
    file.seek(start)
    file.write(directory.tobytes(start))


def _directory(layout: Layout, big: bool) -> ImageFileDirectory_v2:
    """Makes a directory of the sample's tags, and of those that say how this picture's pixels are stored."""
    directory = ImageFileDirectory_v2(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4))
    with Image.open(io.BytesIO(layout.sample), formats=("TIFF",)) as sample:
        exif = sample.getexif()
        for tag, value in sample.tag_v2.items():
            if tag not in (Tag.STRIP_OFFSETS, Tag.STRIP_ROWS, Tag.STRIP_SIZES):
                directory[tag] = exif.get_ifd(tag) if tag in TAGS_V2_GROUPS else value
                directory.tagtype[tag] = sample.tag_v2.tagtype[tag]
    sides = {Tag.WIDTH: layout.width, Tag.HEIGHT: layout.height, Tag.TILE_WIDTH: _TILE_SIDE, Tag.TILE_HEIGHT: _TILE_SIDE}
    for tag, value in (sides | {Tag.COMPRESSION: DEFLATES[0], Tag.PREDICTOR: 2}).items():
        directory[tag] = value
    if layout.is_high_bit_depth:
        directory[Tag.BITS] = (16,) * layout.channels
    kind = LONG8 if big else LONG
    directory.tagtype |= {Tag.WIDTH: LONG, Tag.HEIGHT: LONG, Tag.TILE_OFFSETS: kind, Tag.TILE_SIZES: kind}
    return directory


def _tiles(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields tiles of full size, row by row; beyond the picture, its last row and column are repeated."""
    for band in regroup(bands, _TILE_SIDE):
        rows, width, _ = band.shape
        for left in range(0, width, _TILE_SIDE):
            tile = band[:, left : left + _TILE_SIDE]
            yield np.pad(tile, ((0, _TILE_SIDE - rows), (0, _TILE_SIDE - tile.shape[1]), (0, 0)), "edge")


def _compress(tile: np.ndarray) -> bytes:
    tile[:, 1:] -= tile[:, :-1].copy()
    return zlib.compress(tile.astype(tile.dtype.newbyteorder("<"), copy=False).tobytes(), _TIFF_ZLIB_LEVEL)
