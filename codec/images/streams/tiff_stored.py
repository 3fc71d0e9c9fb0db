"""The strips and tiles of a TIFF file. Pillow decodes a few at a time, as a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ...errors import CaeError
from ..tiff_tags import (
    BLACK_IS_ZERO,
    CMYK,
    DEFLATES,
    LONG,
    LZMA,
    LZW,
    NONE,
    OF_PIXELS,
    PACKBITS,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    ZSTD,
    Tag,
)
from .bands import decode_small_file

_COLOUR_COUNTS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}
"""Samples of a colour, for the colour spaces that are read with 16 bits."""
_SPACES = {3: "palette", CMYK: "CMYK", YCBCR: "YCbCr", 8: "CIE Lab", 32803: "colour filter array", 34892: "linear raw"}
_HIGH_BIT_DEPTH_COMPRESSIONS = (NONE, LZW, *DEFLATES, PACKBITS, LZMA, ZSTD)
"""Compressions that do not depend on the type of samples."""


class Stored:
    """The stored pixels of a file: where they lie, and how to decode them."""

    def __init__(self, file: BinaryIO, directory: ImageFileDirectory_v2) -> None:
        self.file, self._types = file, dict(directory.tagtype)
        self._tags = tags = {tag: directory[tag] for tag in OF_PIXELS if tag in directory}
        if tags.get(Tag.PHOTOMETRIC) == CMYK and Tag.ICC_PROFILE in directory:
            tags[Tag.ICC_PROFILE] = directory[Tag.ICC_PROFILE]  # by which the colours are converted
        self.width, self.height = tags[Tag.WIDTH], tags[Tag.HEIGHT]
        self.compression = tags.get(Tag.COMPRESSION, NONE)
        samples = tags.get(Tag.SAMPLES, 1)
        self.planes = samples if tags.get(Tag.PLANAR, 1) == 2 else 1
        self.strip_rows = min(tags.get(Tag.STRIP_ROWS, self.height), self.height)
        bits = max(tags.get(Tag.BITS, (1,))) * samples // self.planes
        self.row_bytes = -(-self.width * bits // 8)
        """Bytes of a row in each plane."""
        # rows of YCbCr may share samples
        simple = tags.get(Tag.PHOTOMETRIC) != YCBCR and tags.get(Tag.FILL_ORDER, 1) == 1 and self.strip_rows > 0
        self.rows_in_sequence = simple and self.compression in (NONE, *DEFLATES)
        """True if the rows of a strip follow each other, in a compression that can be decoded in parts."""
        across, high = tags.get(Tag.TILE_WIDTH, self.width), tags.get(Tag.TILE_HEIGHT, self.strip_rows)
        # a pixel of noise may take several times its own size
        self._piece_max = 4 * high * across * max(1, bits // 8) + 2**16

    def read(self, offset: int, size: int) -> bytes:
        """Reads a strip or tile."""
        if size > self._piece_max:
            raise CaeError(f"damaged: a strip or tile of {size} bytes holds more than its pixels")
        self.file.seek(offset)
        data = self.file.read(size)
        if len(data) < size:
            raise CaeError("truncated: the file ends amid its pixels")
        return data

    def decode(self, pieces: list[bytes], rows: int, changed: Mapping[int, int] | None = None) -> np.ndarray:
        """Decodes strips or tiles, given plane by plane, to a picture of so many rows: (rows, width, channels) uint8.

        `changed` are tags that differ from the file's.
        """
        tiled = Tag.TILE_WIDTH in self._tags
        where, lengths = (Tag.TILE_OFFSETS, Tag.TILE_SIZES) if tiled else (Tag.STRIP_OFFSETS, Tag.STRIP_SIZES)
        directory = ImageFileDirectory_v2()
        starts = np.cumsum([0, *map(len, pieces)]).tolist()
        directory.tagtype |= self._types | {where: LONG, lengths: LONG, Tag.HEIGHT: LONG, Tag.STRIP_ROWS: LONG}
        for tag, value in {**self._tags, **(changed or {}), Tag.HEIGHT: rows, lengths: tuple(map(len, pieces))}.items():
            directory[tag] = value
        directory[where] = tuple(starts[:-1])
        if tiled:
            # only for strips does Pillow count from the directory's end
            end = 8 + len(directory.tobytes(8))
            directory[where] = tuple(end + start for start in starts[:-1])
        return decode_small_file([b"II*\0\x08\0\0\0", directory.tobytes(8), *pieces], "TIFF")


def check_high_bit_depth(tags: Mapping[int, Any]) -> None:
    """Raises CaeError if the tags of a directory say that samples have neither 8 nor 16 bits."""
    samples, photometric = tags.get(Tag.SAMPLES, 1), tags.get(Tag.PHOTOMETRIC)
    formats = set(tags.get(Tag.SAMPLE_FORMAT, (1,)))
    if 3 in formats:
        raise CaeError("its samples are floating-point numbers; scale them to 0 … 65535 and save them as 16-bit integers")
    if formats != {1}:
        raise CaeError("its samples are signed or complex numbers; save them as unsigned integers of 8 or 16 bits")
    colours = _COLOUR_COUNTS.get(photometric)
    if colours is None:
        name = _SPACES.get(photometric, f"of number {photometric}")
        raise CaeError(f"its colour space ({name}) is taken with 8 bits a sample alone; convert it to RGB, or to 8 bits")
    if not colours <= samples <= colours + 1:
        raise CaeError(
            f"it has {samples} channels; save one or three of them as a picture (tifffile.imread gives an array of them all)"
        )
    bits = set(tags.get(Tag.BITS, (1,)))
    if max(bits) > 8 and bits != {16}:
        raise CaeError(f"its samples have {' and '.join(map(str, sorted(bits)))} bits; save them with 8 or 16")
    if max(bits) > 8:
        ways = tags.get(Tag.COMPRESSION, NONE), tags.get(Tag.PREDICTOR, 1), tags.get(Tag.FILL_ORDER, 1)
        if ways[0] not in _HIGH_BIT_DEPTH_COMPRESSIONS or ways[1] not in (1, 2) or ways[2] != 1:
            raise CaeError(f"it is compressed in a way that is taken with 8 bits alone ({ways[0]}); use Deflate or LZW")


class HighBitDepthStored(Stored):
    """Stored pixels of 16 bits a sample, handed to Pillow as bytes, since it would round them to 8 bits."""

    def __init__(self, file: BinaryIO, directory: ImageFileDirectory_v2) -> None:
        super().__init__(file, directory)
        tags = self._tags
        self._order = {b"II": "<", b"MM": ">"}[directory.prefix]
        self._samples = tags.get(Tag.SAMPLES, 1) // self.planes
        # libtiff heeds the predictor in these compressions alone
        self._differences = tags.get(Tag.PREDICTOR, 1) == 2 and self.compression in (LZW, *DEFLATES, LZMA, ZSTD)
        self._tile_width = tags.get(Tag.TILE_WIDTH, self.width)
        self._inverted = tags[Tag.PHOTOMETRIC] == WHITE_IS_ZERO
        self._colours = _COLOUR_COUNTS[tags[Tag.PHOTOMETRIC]]
        extra = (tags.get(Tag.EXTRA_SAMPLES) or (2,))[0]
        # the file need not say what the fourth sample is
        self.channels = self._colours + (tags.get(Tag.SAMPLES, 1) > self._colours and extra != 0)
        self._premultiplied = extra == 1
        for tag in (Tag.EXTRA_SAMPLES, Tag.SAMPLE_FORMAT):
            tags.pop(tag, None)
        for tag in {Tag.WIDTH, Tag.TILE_WIDTH} & tags.keys():
            tags[tag] *= 2 * self._samples
            self._types[tag] = LONG
        tags |= {Tag.BITS: (8,), Tag.SAMPLES: 1, Tag.PHOTOMETRIC: BLACK_IS_ZERO, Tag.PLANAR: 1, Tag.PREDICTOR: 1}

    def decode(self, pieces: list[bytes], rows: int, changed: Mapping[int, int] | None = None) -> np.ndarray:
        """Decodes strips or tiles, as `Stored.decode`, to (rows, width, channels) uint16."""
        count = len(pieces) // self.planes
        planes = [
            self._to_samples(super(HighBitDepthStored, self).decode(pieces[start : start + count], rows, changed))
            for start in range(0, len(pieces), count)
        ]
        pixels = np.concatenate(planes, -1)[..., : self.channels]
        colour = pixels[..., : self._colours]
        if self._inverted:
            colour ^= 0xFFFF
        if self._premultiplied and self.channels > self._colours:
            alpha = np.maximum(pixels[..., -1:], 1).astype(np.uint32)
            colour[:] = np.minimum((colour * np.uint32(65535) + alpha // 2) // alpha, 65535)
        return pixels

    def _to_samples(self, data: np.ndarray) -> np.ndarray:
        """Converts bytes (rows, bytes, 1) of a plane to its samples (rows, width, samples)."""
        pixels = np.ascontiguousarray(data[..., 0]).view(f"{self._order}u2").reshape(len(data), self.width, self._samples)
        pixels = pixels.astype(np.uint16)
        if self._differences:
            for left in range(0, self.width, self._tile_width):
                tile = pixels[:, left : left + self._tile_width]
                np.cumsum(tile, 1, np.uint16, tile)
        return pixels
