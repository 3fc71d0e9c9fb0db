"""Tiles and planes coded without loss: as lossless WebP, which libwebp keeps well and every Pillow wheel reads.

WebP holds 8 bits: of deeper samples the high and the low bytes are a file each, which on photographs takes as many bits as
JPEG XL and JPEG 2000 do.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from ..errors import CaeError

_EFFORT = 25
"""Of 0 to 100: higher ones take many times longer for a few per cent."""
_EFFORT_COLOUR = 100
"""The same for colours: with this method no slower than 75, and up to a third smaller."""
_LENGTH_BYTES = 4


def encode_gray(plane: np.ndarray) -> bytes:
    """A plane (H, W) uint8 as a WebP file, gray in all three channels; of uint16 in two.

    >>> decode_gray(encode_gray(np.eye(3, 5, dtype=np.uint8)), 5, 3)[1].tolist()
    [0, 1, 0, 0, 0]
    """
    if plane.itemsize == 2:
        return _halved(encode_gray, plane)
    return _encode(Image.fromarray(plane).convert("RGB"), quality=_EFFORT, method=3)


def encode_colour(pixels: np.ndarray, shown: np.ndarray | None = None) -> bytes:
    """Pixels (H, W, 1 or 3) uint8 as a WebP file; where `shown` (H, W) bool is False they are left out, as transparent.

    Of uint16, none can be left out, and two files hold them.

    >>> decode_colour(encode_colour(np.zeros((1, 2, 3), np.uint8), np.array([[True, False]])), 2, 1)[..., 3].tolist()
    [[255, 0]]
    """
    if pixels.itemsize == 2:
        assert shown is None
        # the low bytes are noise on which effort is lost
        return _halved(lambda half: _encode(_rgb(half), quality=_EFFORT, method=3), pixels)
    if shown is not None:
        seen = np.where(shown[..., None], pixels, 0).astype(np.uint8)
        pixels = np.concatenate([np.broadcast_to(seen, (*shown.shape, 3)), shown[..., None] * np.uint8(255)], -1)
        image = Image.fromarray(pixels)
    else:
        image = _rgb(pixels)
    return _encode(image, quality=_EFFORT_COLOUR, method=4)


def _rgb(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))


def _halved(encode: Callable[[np.ndarray], bytes], pixels: np.ndarray) -> bytes:
    """The length of the code of the high bytes, that code, and the code of the low bytes."""
    high, low = (encode((pixels >> shift & 0xFF).astype(np.uint8)) for shift in (8, 0))
    return len(high).to_bytes(_LENGTH_BYTES, "little") + high + low


def _joined(decode: Callable[[bytes | memoryview], np.ndarray], data: bytes | memoryview) -> np.ndarray:
    """Inverse of `_halved`, uint16."""
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    if end > len(data):
        raise CaeError(f"its high bytes claim {end} of {len(data)} bytes")
    high = decode(data[_LENGTH_BYTES:end]).astype(np.uint16)
    high <<= 8
    high |= decode(data[end:])
    return high


def _encode(image: Image.Image, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, **options)
    return buffer.getvalue()


def decode_gray(data: bytes | memoryview, width: int, height: int, depth: int = 8) -> np.ndarray:
    """Inverse of `encode_gray`, (height, width) uint8, or uint16 for samples of more bits.

    CaeError where the data are no lossless WebP files of that size, or samples have more bits than `depth`.
    """
    if depth > 8:
        return _checked(_joined(lambda half: decode_gray(half, width, height), data), depth)
    return _decode(data, width, height, "RGB")[..., 1]


def decode_colour(data: bytes | memoryview, width: int, height: int, depth: int = 8, *, opaque: bool = False) -> np.ndarray:
    """Inverse of `encode_colour`, (height, width, 4) uint8 with an alpha of 0 where pixels are left out; CaeError likewise.

    `opaque` says that none may be, whatever the data have for alpha. Of more than 8 bits, which are uint16, none ever is.
    """
    if depth > 8:
        pixels = _joined(lambda half: decode_colour(half, width, height, opaque=True), data)
        return _checked(pixels, depth, alpha=True)
    pixels = _decode(data, width, height, "RGBA")
    if not opaque:
        return pixels
    pixels = pixels.copy()
    pixels[..., 3] = 255
    return pixels


def _checked(samples: np.ndarray, depth: int, *, alpha: bool = False) -> np.ndarray:
    """The same samples, of which alpha was all ones; CaeError where one has more bits."""
    largest = 2**depth - 1
    if alpha:
        samples[..., 3] = largest
    if samples.max() > largest:
        raise CaeError(f"a sample has more than {depth} bits")
    return samples


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
