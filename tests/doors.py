"""Doors by which a picture file reaches the codec, in bands or whole or through Pillow, and PNG files to send through them."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
import codec.pillow
from codec.images import streams
from codec.images.streams.png import make_chunk

from .conftest import TINY


def by_bands(path: Path) -> np.ndarray:
    with streams.open_picture(path, whole_max=0) as source:
        return np.concatenate(list(source.bands)).squeeze()


def by_file(path: Path) -> np.ndarray:
    with streams.open_picture(path) as source:
        return np.concatenate(list(source.bands)).squeeze()


def by_image(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return codec.decode(codec.encode(image, lossless=True, weights=TINY), weights=TINY)


def by_loaded_image(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.load()
        return codec.decode(codec.encode(image, lossless=True, weights=TINY), weights=TINY)


def by_save(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.save(buffer := io.BytesIO(), "CAE", lossless=True)
    return codec.decode(buffer.getvalue(), weights=TINY)


def encoded_metadata(path: Path) -> dict[str, bytes]:
    with Image.open(path) as image:
        data = codec.encode(image, lossless=True, weights=TINY)
    with codec.open(data, weights=TINY) as picture:
        return picture.metadata


def codec_metadata(image: Image.Image) -> dict[str, bytes]:
    with codec.open(codec.encode(image, lossless=True, weights=TINY), weights=TINY) as picture:
        return picture.metadata


def saved(image: Image.Image, **options) -> dict[str, bytes]:
    image.save(buffer := io.BytesIO(), "CAE", lossless=True, **options)
    with codec.open(buffer.getvalue(), weights=TINY) as picture:
        return picture.metadata


DOORS = (by_bands, by_file, by_image, by_loaded_image, by_save)
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
Door = Callable[[Path], np.ndarray]


def png(
    bits: int, colour: int, samples: np.ndarray, *, transparent: bytes = b"", interlaced: bool = False, others: bytes = b""
):
    """A PNG file of samples (h, w, channels); with all pixels in passes if it is interlaced."""
    height, width, _ = samples.shape
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes if interlaced else [(0, 0, 1, 1)]:
        for row in samples[top::down, left::across] if left < width else []:
            digits = "".join(format(sample, f"0{bits}b") for sample in row.ravel().tolist())
            rows += b"\0" + int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    chunks = make_chunk(b"IHDR", header) + others
    chunks += make_chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + chunks + make_chunk(b"IDAT", zlib.compress(rows)) + make_chunk(b"IEND")


def samples_of(bits: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(bits)
    return rng.integers(0, min(2**bits, 4), (11, 13, channels)) * (2 ** max(0, bits - 2) - 1 or 1) % 2**bits
