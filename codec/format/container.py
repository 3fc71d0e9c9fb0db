"""The container: bytes to header, metadata and tile index, and back. Implements FORMAT.md; knows no model."""

from __future__ import annotations

import dataclasses
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from ..errors import CaeError, CutOffError, DamageError, ExcessError
from ..metadata import KNOWN_NAMES
from .header import CRC, HEADER_SIZE, Header, Kind, Plane
from .index import ENTRY, Index, IndexChecker
from .payload import Payload
from .sections import SECTION, SECTION_BYTES_MAX, pack, split_length, unpack
from .sources import ByteSource, Data, ReadAheadSource, as_source

ENTRIES_AT_ONCE = 2**16
"""Entries of the index that are read and checked at a time."""
_BYTES_AT_ONCE = 2**20
_AGAIN = "; get the file again"


@dataclasses.dataclass(frozen=True)
class Container:
    """A parsed file: header, metadata by section name, and the index, each tile's planes one after the other.

    `sizes` are the bytes of the sections in the file, which are fewer where it has them compressed. `excess` is the number of
    bytes behind the last tile, which do not belong to the file.
    """

    header: Header
    metadata: Mapping[str, bytes]
    index: Index
    sizes: Mapping[str, int]
    excess: int = 0

    def kind(self, tile: int) -> Kind:
        """The kind of a tile's colours."""
        return self.index[tile * len(self.header.planes)].kind


def index_size(header: Header) -> int:
    """Bytes of a file's index with its checksum."""
    return header.tile_count * len(header.planes) * ENTRY.size + CRC.size


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
        self.sizes: dict[str, int] = {}
        """Bytes of the metadata sections in the file, by their names."""
        for name, content in metadata.items():
            start, stored = pack(name, content)
            parts += [start, stored]
            self.sizes[name] = len(stored)
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
        self._file.write(CRC.pack(zlib.crc32(self._entries)))
        self._file.seek(self._end)


def read(data: ByteSource | Data, *, wrong_end: bool = False, entries_at_once: int = ENTRIES_AT_ONCE) -> Container:
    """Parses a file and checks all of it but the payloads' CRCs; CaeError says which rule of FORMAT.md it breaks.

    Only what stands before the payloads is read of a source. With `wrong_end` the file may end among these, or have bytes
    behind them.
    """
    source = ReadAheadSource(as_source(data))
    header, count = _read_header(source)
    metadata, sizes, offset = _read_sections(source, count)
    index, end = _read_index(source, header, offset, entries_at_once)
    excess = max(0, source.size - end)
    if excess and not wrong_end:
        raise ExcessError(f"{count_bytes(excess)} the last tile", _AGAIN)
    if end > source.size and not wrong_end:
        raise CutOffError(f"the file is cut off: {source.size} of {end} bytes", _AGAIN)
    return Container(header, metadata, index, sizes, excess)


def count_bytes(excess: int) -> str:
    """Begins a message about bytes behind the end: "1 byte follows" or "4 bytes follow"."""
    return "1 byte follows" if excess == 1 else f"{excess} bytes follow"


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


def _read_sections(source: ByteSource, count: int) -> tuple[dict[str, bytes], dict[str, int], int]:
    """Reads metadata sections; returns their contents, their bytes in the file, and where the last one ends."""
    metadata: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    names = set()
    offset = HEADER_SIZE
    for number in range(count):
        if offset + SECTION.size > source.size:
            raise CaeError(f"the file is cut off in metadata section {number}")
        start = bytes(source.read(offset, SECTION.size))
        name, field, expected = SECTION.unpack(start)
        storage, length = split_length(field)
        offset += SECTION.size
        if length > SECTION_BYTES_MAX:
            raise CaeError(f"metadata section {number} claims {length} bytes: at most {SECTION_BYTES_MAX} are allowed")
        if offset + length > source.size:
            raise CaeError(f"metadata section {number} claims {length} bytes, but the file ends before")
        text = name.decode("latin-1")
        content = bytearray()
        crc = zlib.crc32(start[: -CRC.size])
        for piece in _pieces(source, offset, length, _BYTES_AT_ONCE):
            crc = zlib.crc32(piece, crc)
            if text in KNOWN_NAMES:
                content += piece
        if crc != expected:
            raise CaeError(f"metadata section {number} is damaged: its CRC does not match")
        if not (text.isascii() and text[0].isalpha()):
            raise CaeError(f"metadata section {number} has the bad name {text!r}")
        if text in names:
            raise CaeError(f"metadata section {text!r} occurs twice")
        names.add(text)
        if text in KNOWN_NAMES:
            try:
                metadata[text] = unpack(text, storage, bytes(content))
            except CaeError as error:
                raise CaeError(f"metadata section {text!r} {error}") from None
            sizes[text] = length
        elif text[0].isupper():
            raise CaeError(f"the file needs the unknown critical section {text!r}; a newer release may read it")
        offset += length
    return metadata, sizes, offset


def _pieces(source: ByteSource, offset: int, length: int, at_once: int) -> Iterator[bytes | memoryview]:
    """Reads a part of a file, at most `at_once` bytes at a time."""
    for start in range(offset, offset + length, at_once):
        yield source.read(start, min(at_once, offset + length - start))


def _read_index(source: ByteSource, header: Header, offset: int, entries_at_once: int) -> tuple[Index, int]:
    """Reads the index of a file whose index begins at an offset; returns it, and where its last payload ends."""
    size = index_size(header) - CRC.size
    end = offset + size + CRC.size
    if end > source.size:
        raise CaeError(f"the file is cut off in its tile index: {header.tile_count} tiles need {size + CRC.size} bytes of it")
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
    if crc != CRC.unpack(source.read(offset + size, CRC.size))[0]:
        raise CaeError("the tile index is damaged: its CRC does not match")
    if broken:
        raise broken
    return Index(bytes(checked.entries)), checked.end
