"""The container: bytes to header, metadata and tile index, and back. Implements FORMAT.md; knows no model."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from ..errors import CaeError, CutOffError, DamageError
from ..metadata import SECTION_NAMES
from .header import HEADER_SIZE, Header, Kind, Plane
from .index import ENTRY, Index, IndexChecker
from .payload import Payload
from .sources import ByteSource, Data, ReadAheadSource, as_source

SECTION_BYTES_MAX = 2**26
ENTRIES_AT_ONCE = 2**16
"""Entries of the index that are read and checked at a time."""
_SECTION = struct.Struct("<4sII")
_CRC = struct.Struct("<I")
_BYTES_AT_ONCE = 2**20
_AGAIN = "; get the file again"


@dataclasses.dataclass(frozen=True)
class Container:
    """A parsed file: header, metadata by section name, and the index, each tile's planes one after the other."""

    header: Header
    metadata: Mapping[str, bytes]
    index: Index

    def kind(self, tile: int) -> Kind:
        """The kind of a tile's colours."""
        return self.index[tile * len(self.header.planes)].kind


def index_size(header: Header) -> int:
    """Bytes of a file's index with its checksum."""
    return header.tile_count * len(header.planes) * ENTRY.size + _CRC.size


def write(header: Header, metadata: Mapping[str, bytes], payloads: Sequence[Payload]) -> bytes:
    """Returns the file's bytes. `payloads` holds each tile's planes one after the other, tile by tile, row by row.

    >>> file = write(Header(3, 2, 3, 50, 64, b"model id"), {"exif": b"II*"}, [Payload(Kind.TRANSFORM, bytes(8))])
    >>> len(file), read(file).metadata
    (76, {'exif': b'II*'})
    """
    file = io.BytesIO()
    writer = Writer(file, header, metadata)
    for each in payloads:
        writer.add(each)
    writer.finish()
    return file.getvalue()


class Writer:
    """Writes a file by pieces: header and metadata at once, payloads as they come, the index at the end.

    Until then the index's place is empty, and no reader takes the file for a whole one.

    Args:
        file: a seekable binary file, which is written from its position 0 on.

    Raises CaeError, before anything is written, for metadata that are too long.
    """

    def __init__(self, file: BinaryIO, header: Header, metadata: Mapping[str, bytes]) -> None:
        parts = [header.pack(len(metadata))]
        for name, data in metadata.items():
            if len(data) > SECTION_BYTES_MAX:
                raise CaeError(f"metadata {name!r} of {len(data)} bytes: at most {SECTION_BYTES_MAX} are allowed; leave it out")
            start = struct.pack("<4sI", name.encode("ascii"), len(data))
            parts += [start, _CRC.pack(zlib.crc32(data, zlib.crc32(start))), data]
        self._file, self._header = file, header
        self._payloads = header.tile_count * len(header.planes)
        self._index_start = sum(map(len, parts))
        self._end = self._index_start + index_size(header)
        self._entries = bytearray()
        file.seek(0)
        for part in parts:
            file.write(part)
        file.seek(self._end)

    def add(self, payload: Payload) -> None:
        """Writes the next payload: each tile's planes one after the other, tile by tile, row by row."""
        self._entries += ENTRY.pack(self._end, len(payload.data), payload.kind, zlib.crc32(payload.data))
        self._file.write(payload.data)
        self._end += len(payload.data)

    @property
    def size(self) -> int:
        """Bytes of the file so far, the index's place included."""
        return self._end

    @property
    def metadata_bytes(self) -> int:
        """Bytes of the metadata with their names and checksums."""
        return self._index_start - HEADER_SIZE

    def finish(self) -> None:
        """Writes the index; ValueError where payloads are missing, or are too many."""
        count = len(self._entries) // ENTRY.size
        if count != self._payloads:
            planes = len(self._header.planes)
            raise ValueError(f"{count} payloads for {self._header.tile_count} tiles of {planes} planes")
        self._file.seek(self._index_start)
        self._file.write(self._entries)
        self._file.write(_CRC.pack(zlib.crc32(self._entries)))
        self._file.seek(self._end)


def read(data: ByteSource | Data, *, cut_off: bool = False, entries_at_once: int = ENTRIES_AT_ONCE) -> Container:
    """Parses a file and checks all of it but the payloads' CRCs; CaeError says which rule of FORMAT.md it breaks.

    Only what stands before the payloads is read of a source. With `cut_off` the file may end among these.
    """
    source = ReadAheadSource(as_source(data))
    header, count = _read_header(source)
    metadata, offset = _read_sections(source, count)
    index = _read_index(source, header, offset, cut_off, entries_at_once)
    return Container(header, metadata, index)


def read_beginning(data: ByteSource | Data) -> tuple[Header, dict[str, bytes]]:
    """Reads header and metadata of a file alone; CaeError as `read`."""
    source = ReadAheadSource(as_source(data))
    header, count = _read_header(source)
    return header, _read_sections(source, count)[0]


def check(data: ByteSource | Data) -> None:
    """Reads a whole file and checks all its CRCs; CaeError at the first that does not match, as `read` and `read_payload`."""
    file = read(data)
    for tile in range(file.header.tile_count):
        for plane in file.header.planes:
            read_payload(data, file, tile, plane)


def read_payload(data: ByteSource | Data, container: Container, tile: int, plane: Plane = Plane.COLOUR) -> Payload:
    """Reads one part of one tile; DamageError where its CRC does not match, or where the file ends before."""
    source = as_source(data)
    planes = container.header.planes
    entry = container.index[tile * len(planes) + planes.index(plane)]
    name = f"{plane.value} {tile}"
    if entry.offset + entry.length > source.size:
        source.read(source.size - 1, 1)  # fails where the file has grown, and this is no longer its end
        raise DamageError(f"{name} is damaged: the file is cut off before its end", _AGAIN)
    content = source.read(entry.offset, entry.length)
    if zlib.crc32(content) != entry.crc:
        if source.has_changed():
            raise CaeError("the file has been written to since it was opened; open it again")
        raise DamageError(f"{name} is damaged: its CRC does not match", _AGAIN)
    return Payload(entry.kind, content)


def _read_header(source: ByteSource) -> tuple[Header, int]:
    return Header.parse(source.read(0, min(source.size, HEADER_SIZE)))


def _read_sections(source: ByteSource, count: int) -> tuple[dict[str, bytes], int]:
    metadata: dict[str, bytes] = {}
    names = set()
    offset = HEADER_SIZE
    for number in range(count):
        if offset + _SECTION.size > source.size:
            raise CaeError(f"the file is cut off in metadata section {number}")
        start = bytes(source.read(offset, _SECTION.size))
        name, length, expected = _SECTION.unpack(start)
        offset += _SECTION.size
        if length > SECTION_BYTES_MAX:
            raise CaeError(f"metadata section {number} claims {length} bytes: at most {SECTION_BYTES_MAX} are allowed")
        if offset + length > source.size:
            raise CaeError(f"metadata section {number} claims {length} bytes, but the file ends before")
        text = name.decode("latin-1")
        content = bytearray()
        crc = zlib.crc32(start[: -_CRC.size])
        for piece in _pieces(source, offset, length, _BYTES_AT_ONCE):
            crc = zlib.crc32(piece, crc)
            if text in SECTION_NAMES:
                content += piece
        if crc != expected:
            raise CaeError(f"metadata section {number} is damaged: its CRC does not match")
        if not (text.isascii() and text[0].isalpha()):
            raise CaeError(f"metadata section {number} has the bad name {text!r}")
        if text in names:
            raise CaeError(f"metadata section {text!r} occurs twice")
        names.add(text)
        if text in SECTION_NAMES:
            metadata[text] = bytes(content)
        elif text[0].isupper():
            raise CaeError(f"the file needs the unknown critical section {text!r}; a newer release may read it")
        offset += length
    return metadata, offset


def _pieces(source: ByteSource, offset: int, length: int, at_once: int) -> Iterator[bytes | memoryview]:
    """Reads a part of a file, at most `at_once` bytes at a time."""
    for start in range(offset, offset + length, at_once):
        yield source.read(start, min(at_once, offset + length - start))


def _read_index(source: ByteSource, header: Header, offset: int, cut_off: bool, entries_at_once: int) -> Index:
    size = index_size(header) - _CRC.size
    end = offset + size + _CRC.size
    if end > source.size:
        raise CaeError(f"the file is cut off in its tile index: {header.tile_count} tiles need {size + _CRC.size} bytes of it")
    checked = IndexChecker(header, end)
    crc, broken = 0, None
    for piece in _pieces(source, offset, size, entries_at_once * ENTRY.size):
        crc = zlib.crc32(piece, crc)
        # a rule is broken more often by damage than by a forger, so the CRC has the first word
        if not broken:
            try:
                checked.add(piece)
            except CaeError as error:
                broken = error
    if crc != _CRC.unpack(source.read(offset + size, _CRC.size))[0]:
        raise CaeError("the tile index is damaged: its CRC does not match")
    if broken:
        raise broken
    if checked.end > source.size and not cut_off:
        raise CutOffError(f"the file is cut off: {source.size} of {checked.end} bytes", _AGAIN)
    if checked.end < source.size:
        raise CaeError(f"{source.size - checked.end} bytes follow the last tile")
    return Index(bytes(checked.entries))
