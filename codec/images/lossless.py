"""Tiles and planes coded without loss: as lossless WebP, which libwebp keeps well and every Pillow wheel reads."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ..errors import CaeError

_EFFORT = 25
"""Of 0 to 100: higher ones take many times longer for a few per cent."""
_EFFORT_COLOUR = 100
"""The same for colours: with this method no slower than 75, and up to a third smaller."""


def encode_gray(plane: np.ndarray) -> bytes:
    """A plane (H, W) uint8 as a WebP file, gray in all three channels.

    >>> decode_gray(encode_gray(np.eye(3, 5, dtype=np.uint8)), 5, 3)[1].tolist()
    [0, 1, 0, 0, 0]
    """
    return _encode(Image.fromarray(plane).convert("RGB"), quality=_EFFORT, method=3)


def encode_colour(pixels: np.ndarray, shown: np.ndarray | None = None) -> bytes:
    """Pixels (H, W, 1 or 3) uint8 as a WebP file; where `shown` (H, W) bool is False they are left out, as transparent.

    >>> decode_colour(encode_colour(np.zeros((1, 2, 3), np.uint8), np.array([[True, False]])), 2, 1)[..., 3].tolist()
    [[255, 0]]
    """
    if shown is not None:
        seen = np.where(shown[..., None], pixels, 0).astype(np.uint8)
        pixels = np.concatenate([np.broadcast_to(seen, (*shown.shape, 3)), shown[..., None] * np.uint8(255)], -1)
    else:
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return _encode(Image.fromarray(np.ascontiguousarray(pixels)), quality=_EFFORT_COLOUR, method=4)


def _encode(image: Image.Image, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, **options)
    return buffer.getvalue()


def decode_gray(data: bytes | memoryview, width: int, height: int) -> np.ndarray:
    """Inverse of `encode_gray`, (height, width) uint8; CaeError where the data are no lossless WebP file of that size."""
    return _decode(data, width, height, "RGB")[..., 1]


def decode_colour(data: bytes | memoryview, width: int, height: int, *, opaque: bool = False) -> np.ndarray:
    """Inverse of `encode_colour`, (height, width, 4) uint8 with an alpha of 0 where pixels are left out; CaeError likewise.

    `opaque` says that none may be, whatever the data have for alpha.
    """
    pixels = _decode(data, width, height, "RGBA")
    if not opaque:
        return pixels
    pixels = pixels.copy()
    pixels[..., 3] = 255
    return pixels


def _decode(data: bytes | memoryview, width: int, height: int, mode: str) -> np.ndarray:
    data = bytes(data)
    # a lossless file has this one chunk, whose first fields are a signature and the sides less one, 14 bits each
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8L" or data[20:21] != b"\x2f":
        raise CaeError("no lossless WebP file")
    chunk = int.from_bytes(data[16:20], "little")
    if int.from_bytes(data[4:8], "little") + 8 != len(data) or chunk + chunk % 2 + 20 != len(data):
        raise CaeError("a WebP file that is cut off or holds more than one chunk")
    sides = int.from_bytes(data[21:25], "little")
    if (1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)) != (width, height):
        raise CaeError(f"a WebP file of another size than {width} x {height}")
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            return np.asarray(image.convert(mode))
    except Exception as error:  # Pillow raises many kinds of errors for damaged files
        raise CaeError(f"a damaged WebP file ({error})") from None
