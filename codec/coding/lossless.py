"""Tiles and planes coded without loss: as lossless WebP, which libwebp keeps well and every Pillow wheel reads.

WebP holds 8 bits: of deeper samples the high 8 bits and the others are a file each, the latter less what they would be were
the sample one of 8 bits. So pictures that had 8 bits cost hardly more than these, and photographs what JPEG XL takes.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ..errors import CaeError

_EFFORT = 25
"""Of 0 to 100: higher ones take many times longer for a few per cent."""
_EFFORT_COLOUR = 100
"""The same for colours: with this method no slower than 75, and up to a third smaller."""
_LENGTH_BYTES = 4
_NOISY = 0.25
"""Bytes for each sample from which on a half of deep samples is noise, on which more effort is lost."""


def encode_gray(plane: np.ndarray, depth: int | None = None) -> bytes:
    """A plane (H, W) uint8 as a WebP file, gray in all three channels; of uint16, of so many bits (None: 16), in two.

    >>> decode_gray(encode_gray(np.eye(3, 5, dtype=np.uint8)), 5, 3)[1].tolist()
    [0, 1, 0, 0, 0]
    """
    if plane.itemsize == 2:
        return _halved(plane[..., None], None, depth or 16)
    return _encode(Image.fromarray(plane).convert("RGB"), quality=_EFFORT, method=3)


def encode_colour(pixels: np.ndarray, shown: np.ndarray | None = None, depth: int | None = None) -> bytes:
    """Pixels (H, W, 1 or 3) uint8 as a WebP file; where `shown` (H, W) bool is False they are left out, as transparent.

    Of uint16, of so many bits (None: 16), two files hold them, and the first says which are left out.

    >>> decode_colour(encode_colour(np.zeros((1, 2, 3), np.uint8), np.array([[True, False]])), 2, 1)[..., 3].tolist()
    [[255, 0]]
    """
    if shown is not None:
        pixels = np.where(shown[..., None], pixels, 0).astype(pixels.dtype)
    if pixels.itemsize == 2:
        return _halved(pixels, shown, depth or 16)
    return _encode(_image(pixels, shown), quality=_EFFORT_COLOUR, method=4)


def _image(pixels: np.ndarray, shown: np.ndarray | None = None) -> Image.Image:
    """Pixels (H, W, 1 or 3) uint8 in red, green and blue, with an alpha where some are not shown."""
    planes = [np.broadcast_to(pixels, (*pixels.shape[:2], 3))]
    if shown is not None:
        planes.append(shown[..., None] * np.uint8(255))
    return Image.fromarray(np.concatenate(planes, -1))


def _halved(pixels: np.ndarray, shown: np.ndarray | None, depth: int) -> bytes:
    """The length of the code of the high 8 bits of pixels (H, W, 1 or 3), that code, and the code of the others."""
    high = pixels >> (depth - 8)
    low = (pixels - _expected(high, depth)) & _low_max(depth)
    first, second = _encode_half(high.astype(np.uint8), shown), _encode_half(low.astype(np.uint8))
    return len(first).to_bytes(_LENGTH_BYTES, "little") + first + second


def _expected(high: np.ndarray, depth: int) -> np.ndarray:
    """What follows the high 8 bits (uint16) in a sample that was made of one of 8 bits."""
    return (high * np.uint16(_low_max(depth)) + np.uint16(127)) // np.uint16(255)


def _low_max(depth: int) -> int:
    """The largest value of what follows the high 8 bits."""
    return 2 ** (depth - 8) - 1


def _encode_half(half: np.ndarray, shown: np.ndarray | None = None) -> bytes:
    image = _image(half, shown)
    quick = _encode(image, quality=_EFFORT, method=3)
    if len(quick) >= _NOISY * half.size:
        return quick
    return min(quick, _encode(image, quality=_EFFORT_COLOUR, method=4), key=len)


def _halves(data: bytes | memoryview) -> tuple[bytes | memoryview, bytes | memoryview]:
    """The two files of `_halved`."""
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    if end > len(data):
        raise CaeError(f"its high bytes claim {end} of {len(data)} bytes")
    return data[_LENGTH_BYTES:end], data[end:]


def _joined(high: np.ndarray, low: np.ndarray, depth: int) -> np.ndarray:
    """Samples (uint16) of their high 8 bits and what `_halved` has of the others."""
    high, low = high.astype(np.uint16), low.astype(np.uint16)
    if low.max() > _low_max(depth):
        raise CaeError(f"a sample has more than {depth} bits")
    low += _expected(high, depth)
    low &= _low_max(depth)
    high <<= depth - 8
    high |= low
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
        return _joined(*(decode_gray(half, width, height) for half in _halves(data)), depth)
    return _decode(data, width, height, "RGB")[..., 1]


def decode_colour(data: bytes | memoryview, width: int, height: int, depth: int = 8, *, opaque: bool = False) -> np.ndarray:
    """Inverse of `encode_colour`, (height, width, 4) uint8 with an alpha of 0 where pixels are left out; CaeError likewise.

    `opaque` says that none may be, whatever the data have for alpha. Of more than 8 bits they are uint16.
    """
    if depth > 8:
        first, second = _halves(data)
        high = _decode(first, width, height, "RGBA")
        pixels = _joined(high[..., :3], _decode(second, width, height, "RGB"), depth)
        shown = (high[..., 3:] > 0) | opaque
        return np.concatenate([pixels, shown * np.uint16(2**depth - 1)], -1)
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
