"""The resolution of a picture in dots per inch, which EXIF blocks hold."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from PIL import Image

from ..metadata import EXIF
from .tiff_tags import Tag

_X, _Y, _UNIT = Tag.X_RESOLUTION, Tag.Y_RESOLUTION, Tag.RESOLUTION_UNIT
_INCH, _CENTIMETRE = 2, 3
_HEADER = b"Exif\0\0"
_BLOCK_MAX = 65527
"""Bytes of an EXIF block that fit in a JPEG file, without its header."""


def resolution(metadata: Mapping[str, bytes]) -> tuple[float, float] | None:
    """Returns the dots per inch that an EXIF block gives across and down; None for none, and for those that say nothing."""
    tags = Image.Exif()
    try:
        tags.load(metadata.get(EXIF.name, b""))
        dots = float(tags[_X]), float(tags[_Y])
        unit = tags.get(_UNIT, _INCH)
    except Exception:  # a damaged block, or one without them
        return None
    dots = tuple(2.54 * value for value in dots) if unit == _CENTIMETRE else dots
    return dots if unit in (_INCH, _CENTIMETRE) and _says_something(dots) else None


def set_resolution(tags: Image.Exif, dots_per_inch: object) -> None:
    """Sets the tags of a resolution, as Pillow images have it in their `info`, unless it says nothing."""
    if _says_something(dots_per_inch):
        tags[_X], tags[_Y], tags[_UNIT] = *dots_per_inch, _INCH


def replace_resolution(block: bytes, dots_per_inch: object) -> bytes:
    """Returns an EXIF block, b"" for none, with a resolution in place of its own."""
    tags = Image.Exif()
    tags.load(block)
    set_resolution(tags, dots_per_inch)
    return tags.tobytes()


def with_resolution(block: bytes, dots_per_inch: object) -> bytes:
    """Returns an EXIF block with the resolution of its image file, unless that says nothing or the block has one.

    A new directory follows the block, whose other parts keep their places: they may refer to each other by these.
    """
    if not _says_something(dots_per_inch) or resolution({EXIF.name: block}) is not None:
        return block
    head, tiff = (block[:6], block[6:]) if block.startswith(_HEADER) else (b"", block)
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (offset,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, offset)
        entries = [struct.unpack_from(f"{order}HHI4s", tiff, offset + 2 + 12 * index) for index in range(count)]
        (following,) = struct.unpack_from(f"{order}I", tiff, offset + 2 + 12 * count)
    except struct.error:  # a damaged block stays as it is
        return block
    entries = [entry for entry in entries if entry[0] not in (_X, _Y, _UNIT)]
    tiff += bytes(len(tiff) % 2)
    start, values = len(tiff), len(tiff) + 2 + 12 * (len(entries) + 3) + 4
    for tag, place in ((_X, values), (_Y, values + 8)):
        entries.append((tag, 5, 1, struct.pack(f"{order}I", place)))
    entries.append((_UNIT, 3, 1, struct.pack(f"{order}HH", _INCH, 0)))
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(
        struct.pack(f"{order}HHI4s", *each) for each in sorted(entries)
    )
    directory += struct.pack(f"{order}I", following)
    directory += b"".join(struct.pack(f"{order}II", round(1000 * dots), 1000) for dots in dots_per_inch)
    tiff = tiff[:4] + struct.pack(f"{order}I", start) + tiff[8:] + directory
    return head + tiff if len(tiff) <= _BLOCK_MAX else block


def _says_something(dots_per_inch: object) -> bool:
    """Returns True for a resolution other than those that programs write where they know none."""
    if not isinstance(dots_per_inch, tuple) or len(dots_per_inch) != 2:
        return False
    across, down = (float(value) for value in dots_per_inch)
    return min(across, down) > 1 and max(across, down) < 2**22 and (round(across), round(down)) not in ((72, 72), (96, 96))
