"""Bit depth of Pillow images, where Pillow itself converts most files of more than 8 bits to 8 without a sign."""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import IO

from PIL import Image, ImageFile

from ..errors import CaeError
from .jpeg_xl import bits_of_jpeg_xl
from .tiff_tags import Tag

_HIGH_BIT_DEPTH_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# "RGB;16B" is 16 bits a channel; "BGR;16" of BMP files is 16 bits a pixel
_HIGH_BIT_DEPTH_PIXELS = re.compile(r";16[BLN]")
_UNTIL_LOADED = ("DDS", "PNG", "PPM", "SGI")
"""Formats whose images show their bit depth until they are loaded."""
_JPEG_XL_BEGINNING = 2**24
"""Bytes of a JPEG XL file to look at; metadata may stand before its codestream."""
_JPEG2000_CODESTREAM = b"\xff\x4f\xff\x51"


def is_high_bit_depth(image: Image.Image) -> bool:
    """Returns True if an image has, or had in its file, more than 8 bits a channel.

    For an image that Pillow has loaded already, its file is looked at again: by its name, or for PNG through the open file.
    Where neither is left (most formats, opened from bytes and loaded; copies; pictures inside icon files), an 8-bit image that
    was rounded cannot be recognised, and counts as one of 8 bits.
    """
    if image.mode in _HIGH_BIT_DEPTH_MODES:
        return True
    if not isinstance(image, ImageFile.ImageFile):
        return False
    if _bits_of_heif(image) > 8:
        return True
    if image.format == "TIFF":
        return max(image.tag_v2.get(Tag.BITS, (8,))) > 8
    if image.format in _HEADER_READERS or (image.format in _UNTIL_LOADED and not image.tile):
        return _is_high_bit_depth_in_file(image)
    return _is_high_bit_depth_by_tile(image)


def _is_high_bit_depth_by_tile(image: ImageFile.ImageFile) -> bool:
    """Looks at Pillow's arguments for its decoders; False if the image is loaded."""
    if not image.tile:
        return False
    codec, _, _, arguments = image.tile[0]
    if codec == "SGI16" or _HIGH_BIT_DEPTH_PIXELS.search(str(arguments)):
        return True
    if codec in ("ppm", "ppm_plain"):
        return isinstance(arguments, tuple) and arguments[1] > 255  # the largest value
    if codec == "bcn":
        return arguments[0] == 6  # half floats
    return codec == "dds_rgb" and any(mask.bit_count() > 8 for mask in arguments[1])


def _is_high_bit_depth_in_file(image: ImageFile.ImageFile) -> bool:
    """Looks at the image's file; False if that is not at hand any more."""
    with reopened(image) as opened:
        if opened is None:
            return False
        again, file = opened
        return is_high_bit_depth(again) if image.format not in _HEADER_READERS else _HEADER_READERS[image.format](file) > 8


def bits_in_file(image: Image.Image) -> int:
    """Returns the bits of a sample in the file of an image of high bit depth; 16 if the file is not at hand any more."""
    if not isinstance(image, ImageFile.ImageFile) or image.format not in _HEADER_READERS:
        return _bits_of_heif(image) or 16
    with reopened(image) as opened:
        return 16 if opened is None else _HEADER_READERS[image.format](opened[1])


def _bits_of_heif(image: Image.Image) -> int:
    """Returns the bits of a sample that pillow-heif names; 0 for other images."""
    bits = image.info.get("bit_depth")  # a PNG's text may have that name too
    return bits if isinstance(bits, int) else 0


@contextlib.contextmanager
def reopened(image: ImageFile.ImageFile) -> Iterator[tuple[Image.Image, IO[bytes]] | None]:
    """Opens an image's file anew, at its start; gives None if it is not at hand any more."""
    # Pillow keeps some files open for further frames
    files = [file for file in (image.fp, getattr(image, "_fp", None)) if hasattr(file, "read") and not file.closed]
    with contextlib.ExitStack() as stack:
        opened = None
        # no such file, or no such picture in it
        with contextlib.suppress(Exception):
            if isinstance(data := getattr(image, "fc", None), bytes):  # JPEG XL's plugins keep the file in memory
                files = [io.BytesIO(data)]
            source = files[0] if files else stack.enter_context(open(image.filename, "rb"))
            file = stack.enter_context(from_start(source))
            # opening a JPEG XL file would decode it
            again = image if image.format == "JXL" else type(image)(file)
            file.seek(0)
            if again.size == image.size:  # else another picture has taken the file's name
                opened = again, file
        yield opened


@contextlib.contextmanager
def from_start(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Gives a file at its start, and puts its position back afterwards."""
    position = file.tell()
    file.seek(0)
    try:
        yield file
    finally:
        file.seek(position)


def _bits_of_jpeg2000(file: IO[bytes]) -> int:
    """Reads the most bits of any component from the codestream's SIZ segment (ISO 15444-1, A.5.1)."""
    start = file.read(4)
    while start != _JPEG2000_CODESTREAM:
        # boxes, among them jp2c with the codestream; one of length 0 is the last
        length, kind = struct.unpack(">I4s", start + file.read(4))
        header = 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            header = 16
        if kind != b"jp2c":
            if length < header:
                raise CaeError("damaged image (no codestream)")
            file.seek(length - header, 1)
        start = file.read(4)
    segment = file.read(38)
    (components,) = struct.unpack_from(">H", segment, 36)
    return max((sign_and_bits & 0x7F) + 1 for sign_and_bits in file.read(3 * components)[::3])


def _bits_of_avif(file: IO[bytes]) -> int:
    """Reads the most bits of any image in the file, alpha included: 8, 10 or 12 (AV1 in ISOBMFF, 2.3.3)."""
    flags = (match[1][0] for match in re.finditer(rb"av1C\x81.(.)", file.read(), re.DOTALL))
    return max((12 if each & 0x20 else 10 for each in flags if each & 0x40), default=8)


def _bits_of_jxl(file: IO[bytes]) -> int:
    return bits_of_jpeg_xl(file.read(_JPEG_XL_BEGINNING))


_HEADER_READERS: dict[str | None, Callable[[IO[bytes]], int]] = {
    "JPEG2000": _bits_of_jpeg2000,
    "AVIF": _bits_of_avif,
    "JXL": _bits_of_jxl,
}
"""Read the bits of a sample, in formats whose images never show them."""
