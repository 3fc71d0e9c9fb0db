"""Lossless coding of tiles and planes: as lossless WebP, which compresses well and every Pillow wheel reads.

WebP holds 8 bits. The high 8 bits of deeper samples are one file, and the others a second, less what they would be in a sample
made from 8 bits. So pictures that had 8 bits cost hardly more than with 8, and photographs as much as in JPEG XL.
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
"""Bytes for each sample from which on a half is noise, on which more effort is lost."""


def encode_gray(plane: np.ndarray, depth: int | None = None) -> bytes:
    """Codes a plane (H, W) uint8 as a WebP file, gray in all three channels; uint16 of `depth` bits (None: 16) as two.

    >>> decode_gray(encode_gray(np.eye(3, 5, dtype=np.uint8)), 5, 3)[1].tolist()
    [0, 1, 0, 0, 0]
    """
    if plane.itemsize == 2:
        return _encode_halves(plane[..., None], None, depth or 16)
    return _encode(Image.fromarray(plane).convert("RGB"), quality=_EFFORT, method=3)


def encode_colour(pixels: np.ndarray, mask: np.ndarray | None = None, depth: int | None = None) -> bytes:
    """Codes pixels (H, W, 1 or 3) uint8 as a WebP file; where `mask` (H, W) bool is False they are left out, as transparent.

    Two files hold uint16 of `depth` bits (None: 16), and the first marks the pixels that are left out.

    >>> decode_colour(encode_colour(np.zeros((1, 2, 3), np.uint8), np.array([[True, False]])), 2, 1)[..., 3].tolist()
    [[255, 0]]
    """
    if mask is not None:
        pixels = np.where(mask[..., None], pixels, 0).astype(pixels.dtype)
    if pixels.itemsize == 2:
        return _encode_halves(pixels, mask, depth or 16)
    return _encode(_image(pixels, mask), quality=_EFFORT_COLOUR, method=4)


def _image(pixels: np.ndarray, mask: np.ndarray | None = None) -> Image.Image:
    """Makes an image of pixels (H, W, 1 or 3) uint8 in red, green and blue, with the mask as alpha if there is one."""
    planes = [np.broadcast_to(pixels, (*pixels.shape[:2], 3))]
    if mask is not None:
        planes.append(mask[..., None] * np.uint8(255))
    return Image.fromarray(np.concatenate(planes, -1))


def _encode_halves(pixels: np.ndarray, mask: np.ndarray | None, depth: int) -> bytes:
    """Codes the high 8 bits of pixels (H, W, 1 or 3) and the others: the length of the first code, then both."""
    high = pixels >> (depth - 8)
    low = (pixels - _expected(high, depth)) & _low_max(depth)
    first, second = _encode_half(high.astype(np.uint8), mask), _encode_half(low.astype(np.uint8))
    return len(first).to_bytes(_LENGTH_BYTES, "little") + first + second


def _expected(high: np.ndarray, depth: int) -> np.ndarray:
    """Bits that follow the high 8 bits (uint16) in a sample that was scaled from 8 bits."""
    return (high * np.uint16(_low_max(depth)) + np.uint16(127)) // np.uint16(255)


def _low_max(depth: int) -> int:
    """The largest value of the bits that follow the high 8."""
    return 2 ** (depth - 8) - 1


def _encode_half(half: np.ndarray, mask: np.ndarray | None = None) -> bytes:
    image = _image(half, mask)
    quick = _encode(image, quality=_EFFORT, method=3)
    if len(quick) >= _NOISY * half.size:
        return quick
    return min(quick, _encode(image, quality=_EFFORT_COLOUR, method=4), key=len)


def _halves(data: bytes | memoryview) -> tuple[bytes | memoryview, bytes | memoryview]:
    """Separates the two codes of `_encode_halves`."""
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    if end > len(data):
        raise CaeError(f"its high bytes claim {end} of {len(data)} bytes")
    return data[_LENGTH_BYTES:end], data[end:]


def _join_halves(high: np.ndarray, low: np.ndarray, depth: int) -> np.ndarray:
    """Puts samples (uint16) together from their high 8 bits and the decoded second half."""
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

    CaeError where the data are not lossless WebP files of that size, or samples have more bits than `depth`.
    """
    if depth > 8:
        return _join_halves(*(decode_gray(half, width, height) for half in _halves(data)), depth)
    return _decode(data, width, height, "RGB")[..., 1]


def decode_colour(data: bytes | memoryview, width: int, height: int, depth: int = 8, *, opaque: bool = False) -> np.ndarray:
    """Inverse of `encode_colour`, (height, width, 4) uint8 with an alpha of 0 where pixels are left out.

    With `opaque` none is left out, whatever alpha the data have. Samples of more than 8 bits are uint16. Raises CaeError as
    `decode_gray` does.
    """
    if depth > 8:
        first, second = _halves(data)
        high = _decode(first, width, height, "RGBA")
        pixels = _join_halves(high[..., :3], _decode(second, width, height, "RGB"), depth)
        mask = (high[..., 3:] > 0) | opaque
        return np.concatenate([pixels, mask * np.uint16(2**depth - 1)], -1)
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
