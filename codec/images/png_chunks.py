"""Chunks of PNG files."""

from __future__ import annotations

import struct
import zlib


def make_chunk(name: bytes, *content: bytes) -> bytes:
    """Makes a chunk with its length and checksum."""
    data = b"".join(content)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
