"""Metadata sections: their content to bytes and back, compressed or by name where that is smaller."""

from __future__ import annotations

import functools
import importlib.resources
import struct
import zlib
from collections.abc import Mapping

from ..errors import CaeError
from ..metadata import ICC_PROFILE
from .header import CRC

SECTION_BYTES_MAX = 2**26
"""Most bytes of a section in a file."""
UNPACKED_BYTES_MAX = 2**24
"""Most bytes that a compressed section unpacks to, so that a small file takes little memory."""
SECTION = struct.Struct("<4sII")
"""Name, storage and length, CRC."""
_START = struct.Struct("<4sI")
_STORAGE_SHIFT = 30
"""The storage is the two bits of the length's field from this one on."""
_AS_IS, _COMPRESSED, _NAMED = range(3)
_SRGB = b"sRGB"
_ZLIB_LEVEL = 9


@functools.cache
def _named() -> Mapping[bytes, bytes]:
    """Contents by their names: the ICC profile that most files in sRGB have."""
    return {_SRGB: importlib.resources.files(__package__).joinpath("srgb.icc").read_bytes()}


def pack(name: str, content: bytes) -> tuple[bytes, bytes]:
    """Returns the fields of a section, and its bytes in the file; CaeError where these are too many.

    >>> start, stored = pack("xmp ", b"<x/>" + bytes(1000))
    >>> len(start), len(stored) < 40, unpack("xmp ", split_length(SECTION.unpack(start)[1])[0], stored)[:6]
    (12, True, b'<x/>\\x00\\x00')
    """
    if len(content) > SECTION_BYTES_MAX:
        raise CaeError(f"metadata {name!r} of {len(content)} bytes: at most {SECTION_BYTES_MAX} are allowed; leave it out")
    storage, stored = _AS_IS, content
    if name == ICC_PROFILE.name and content == _named()[_SRGB]:
        storage, stored = _NAMED, _SRGB
    elif len(content) <= UNPACKED_BYTES_MAX and len(compressed := zlib.compress(content, _ZLIB_LEVEL)) < len(content):
        storage, stored = _COMPRESSED, compressed
    start = _START.pack(name.encode("ascii"), storage << _STORAGE_SHIFT | len(stored))
    return start + CRC.pack(zlib.crc32(stored, zlib.crc32(start))), stored


def split_length(field: int) -> tuple[int, int]:
    """Splits the field of the length into storage and length."""
    return field >> _STORAGE_SHIFT, field & (1 << _STORAGE_SHIFT) - 1


def unpack(name: str, storage: int, stored: bytes) -> bytes:
    """Returns the content of a section from its bytes in the file; CaeError where they hold none."""
    if storage == _AS_IS:
        return stored
    if storage == _COMPRESSED:
        return _decompress(stored)
    if storage == _NAMED:
        if name != ICC_PROFILE.name or stored not in _named():
            raise CaeError(f"names the unknown content {stored[:8]!r}; a newer release may read it")
        return _named()[stored]
    raise CaeError(f"is stored in the unknown way {storage}; a newer release may read it")


def _decompress(stored: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(stored, UNPACKED_BYTES_MAX + 1)
    except zlib.error as error:
        raise CaeError(f"does not unpack ({error})") from None
    if len(content) > UNPACKED_BYTES_MAX:
        raise CaeError(f"unpacks to more than {UNPACKED_BYTES_MAX} bytes")
    if not stream.eof or stream.unused_data:
        raise CaeError("does not unpack: its data end too early or too late")
    return content
