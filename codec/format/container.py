"""The container: bytes to header, metadata and tile index, and back. Implements FORMAT.md; knows no model."""

from __future__ import annotations

import dataclasses
import io
import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from ..errors import CaeError, DamageError
from ..metadata import SECTION_NAMES
from ..options import DEPTHS
from .geometry import HYPER_STRIDE, Rect
from .header import TILE_UNIT, VERSION, Header, Kind, Plane
from .sources import Data, ReadAheadSource, Source, as_source

WORD = 4
"""Bytes of one of the entropy coder's words."""
MAGIC = b"\x89CAE"
SECTIONS_MAX = 64
SECTION_BYTES_MAX = 2**26
_DEPTH_BITS = 0x0F
"""Of the flags, those that hold the depth less 8."""

_HEADER = struct.Struct("<4sBBBBIIHH8sI")
_SECTION = struct.Struct("<4sII")
_ENTRY = struct.Struct("<QIBI")
_LENGTH_AT = 8
_GOING_ON = "or have damaged tiles filled (cae-decode --keep-going, on_error='fill')"
_CRC = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
HEADER_SIZE = _HEADER.size
_ENTRIES_AT_ONCE = 2**16
_BYTES_AT_ONCE = 2**20


@dataclasses.dataclass(frozen=True)
class Payload:
    """One part of a tile, coded."""

    kind: Kind
    data: bytes | memoryview


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a payload lies in the file, and what it is."""

    offset: int
    length: int
    kind: Kind
    crc: int


@dataclasses.dataclass(frozen=True)
class Container:
    """A parsed file: header, metadata by section name, and the index, each tile's planes one after the other."""

    header: Header
    metadata: Mapping[str, bytes]
    index: Index

    def kind(self, tile: int) -> Kind:
        """How a tile's colours are coded."""
        return self.index[tile * len(self.header.planes)].kind


class Index(Sequence[Entry]):
    """The entries of a file's payloads, held in the file's 17 bytes each."""

    def __init__(self, entries: Data) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries) // _ENTRY.size

    def __getitem__(self, number: int) -> Entry:  # type: ignore[override]
        offset, length, kind, crc = _ENTRY.unpack_from(self._entries, range(len(self))[number] * _ENTRY.size)
        return Entry(offset, length, Kind(kind), crc)

    def total(self, step: int) -> int:
        """Bytes of every `step`-th payload, from the first on; of a million in a blink."""
        import numpy as np  # here: headers are read without it

        lengths = np.ndarray(len(self), "<u4", self._entries, _LENGTH_AT, (_ENTRY.size,))
        return int(lengths[::step].sum(dtype=np.uint64))


def length_min(kind: Kind, place: Rect) -> int:
    """Fewest bytes of a payload for a tile that covers `place`.

    Decoding a transform-coded tile is much work for each pixel, so nobody shall ask for it with a few bytes.
    """
    if kind is Kind.LOSSLESS:
        return 1
    positions = place.outward(HYPER_STRIDE)
    least = -(-positions.height * positions.width // WORD) * WORD
    return least if kind is Kind.TRANSFORM else _LENGTH.size + 1 + least


def join(lossless: bytes, transform: bytes) -> Payload:
    """A mixed payload: what is coded without loss, and what lies under it."""
    return Payload(Kind.MIXED, _LENGTH.pack(len(lossless)) + lossless + transform)


def split(payload: Payload, place: Rect) -> tuple[Data, Data]:
    """The lossless and the transform-coded part of a colour payload, of which the one that it does not have is empty.

    Raises CaeError where a mixed payload's parts do not fit in, or are shorter than any for a tile that covers `place`.
    """
    if payload.kind is Kind.LOSSLESS:
        return payload.data, b""
    if payload.kind is Kind.TRANSFORM:
        return b"", payload.data
    length, start = lossless_length(payload.data), _LENGTH.size
    rest = len(payload.data) - start - length
    if length < 1 or rest < length_min(Kind.TRANSFORM, place) or rest % WORD:
        raise CaeError(f"its lossless part claims {length} of {len(payload.data)} bytes")
    return payload.data[start : start + length], payload.data[start + length :]


def lossless_length(mixed: Data) -> int:
    """Bytes that a mixed payload, of which the beginning is enough, claims for its lossless part."""
    return _LENGTH.unpack_from(mixed)[0]


def index_size(header: Header) -> int:
    """Bytes of a file's index with its checksum."""
    return header.tile_count * len(header.planes) * _ENTRY.size + _CRC.size


def write(header: Header, metadata: Mapping[str, bytes], payloads: Sequence[Payload]) -> bytes:
    """The file's bytes. `payloads` holds each tile's planes one after the other, tile by tile, row by row.

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
        fixed = _HEADER.pack(
            MAGIC, VERSION, header.channels, header.quality, header.depth - DEPTHS[0], header.width, header.height,
            header.tile // TILE_UNIT, len(metadata), header.model_id, 0,
        )[: -_CRC.size]  # fmt: skip
        parts = [fixed, _CRC.pack(zlib.crc32(fixed))]
        for name, data in metadata.items():
            if len(data) > SECTION_BYTES_MAX:
                raise CaeError(f"metadata {name!r} of {len(data)} bytes: at most {SECTION_BYTES_MAX} are allowed; leave it out")
            start = struct.pack("<4sI", name.encode("ascii"), len(data))
            parts += [start, _CRC.pack(zlib.crc32(data, zlib.crc32(start))), data]
        self._file, self._header = file, header
        self._wanted = header.tile_count * len(header.planes)
        self._index_start = sum(map(len, parts))
        self._end = self._index_start + index_size(header)
        self._entries = bytearray()
        file.seek(0)
        for part in parts:
            file.write(part)
        file.seek(self._end)

    def add(self, payload: Payload) -> None:
        """Writes the next payload: each tile's planes one after the other, tile by tile, row by row."""
        self._entries += _ENTRY.pack(self._end, len(payload.data), payload.kind, zlib.crc32(payload.data))
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
        count = len(self._entries) // _ENTRY.size
        if count != self._wanted:
            planes = len(self._header.planes)
            raise ValueError(f"{count} payloads for {self._header.tile_count} tiles of {planes} planes")
        self._file.seek(self._index_start)
        self._file.write(self._entries)
        self._file.write(_CRC.pack(zlib.crc32(self._entries)))
        self._file.seek(self._end)


def read(data: Source | Data, *, cut_off: bool = False) -> Container:
    """Parses a file and checks all of it but the payloads' CRCs; CaeError says which rule of FORMAT.md it breaks.

    Of a source, only what stands before the payloads is read. With `cut_off` the file may end among these.
    """
    source = ReadAheadSource(as_source(data))
    header, count = _read_header(source)
    metadata, offset = _read_sections(source, count)
    index = _read_index(source, header, offset, cut_off)
    return Container(header, metadata, index)


def read_beginning(data: Source | Data) -> tuple[Header, dict[str, bytes]]:
    """Header and metadata of a file, of which nothing more is read; CaeError as `read`."""
    source = ReadAheadSource(as_source(data))
    header, count = _read_header(source)
    return header, _read_sections(source, count)[0]


def check(data: Source | Data) -> None:
    """Reads a whole file and checks all its CRCs; CaeError at the first that does not match, as `read` and `payload`."""
    file = read(data)
    for tile in range(file.header.tile_count):
        for plane in file.header.planes:
            payload(data, file, tile, plane)


def payload(data: Source | Data, container: Container, tile: int, plane: Plane = Plane.COLOUR) -> Payload:
    """One part of one tile; DamageError where its CRC does not match, or where the file ends before."""
    source = as_source(data)
    planes = container.header.planes
    entry = container.index[tile * len(planes) + planes.index(plane)]
    if entry.offset + entry.length > source.size:
        source.read(source.size - 1, 1)  # of a file that has grown this is no more the end
        raise DamageError(f"{plane.value} {tile} is damaged: the file is cut off before its end; get the file again")
    found = source.read(entry.offset, entry.length)
    if zlib.crc32(found) != entry.crc:
        if source.has_changed():
            raise CaeError("the file has been written to since it was opened; open it again")
        advice = f"get the file again, decode a region without it, {_GOING_ON}"
        raise DamageError(f"{plane.value} {tile} is damaged: its CRC does not match; {advice}")
    return Payload(entry.kind, found)


def _read_header(source: Source) -> tuple[Header, int]:
    data = source.read(0, min(source.size, _HEADER.size))
    if len(data) == 0:
        raise CaeError("the file is empty")
    if bytes(data[:4]) != MAGIC[: len(data)]:
        raise CaeError("not a .cae file: it does not begin with the magic bytes 89 43 41 45")
    if len(data) > 4 and data[4] != VERSION:
        raise CaeError(
            f"format version {data[4]} is unknown: this decoder reads version {VERSION}; a newer release may read it"
        )
    if len(data) < _HEADER.size:
        raise CaeError(f"the file is cut off in its header: {len(data)} of {_HEADER.size} bytes")
    _, _, channels, quality, flags, width, height, units, count, model_id, crc = _HEADER.unpack_from(data)
    if zlib.crc32(data[: _HEADER.size - _CRC.size]) != crc:
        raise CaeError("the header is damaged: its CRC does not match")
    if flags & ~_DEPTH_BITS:
        raise CaeError(f"unknown flags {flags:#04x}: version {VERSION} defines none above {_DEPTH_BITS:#04x}")
    if count > SECTIONS_MAX:
        raise CaeError(f"{count} metadata sections: at most {SECTIONS_MAX} are allowed")
    return Header(width, height, channels, quality, units * TILE_UNIT, model_id, DEPTHS[0] + flags), count


def _read_sections(source: Source, count: int) -> tuple[dict[str, bytes], int]:
    metadata: dict[str, bytes] = {}
    seen = set()
    offset = _HEADER.size
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
        kept = bytearray()
        crc = zlib.crc32(start[: -_CRC.size])
        for piece in _pieces(source, offset, length, _BYTES_AT_ONCE):
            crc = zlib.crc32(piece, crc)
            if text in SECTION_NAMES:
                kept += piece
        if crc != expected:
            raise CaeError(f"metadata section {number} is damaged: its CRC does not match")
        if not (text.isascii() and text[0].isalpha()):
            raise CaeError(f"metadata section {number} has the bad name {text!r}")
        if text in seen:
            raise CaeError(f"metadata section {text!r} occurs twice")
        seen.add(text)
        if text in SECTION_NAMES:
            metadata[text] = bytes(kept)
        elif text[0].isupper():
            raise CaeError(f"the file needs the unknown critical section {text!r}; a newer release may read it")
        offset += length
    return metadata, offset


def _pieces(source: Source, offset: int, length: int, at_once: int) -> Iterator[bytes | memoryview]:
    """The bytes of a part of a file, at most `at_once` at a time."""
    for start in range(offset, offset + length, at_once):
        yield source.read(start, min(at_once, offset + length - start))


def _read_index(source: Source, header: Header, offset: int, cut_off: bool) -> Index:
    size = index_size(header) - _CRC.size
    end = offset + size + _CRC.size
    if end > source.size:
        raise CaeError(f"the file is cut off in its tile index: {header.tile_count} tiles need {size + _CRC.size} bytes of it")
    checked = _CheckedIndex(header, end)
    crc, broken = 0, None
    for piece in _pieces(source, offset, size, _ENTRIES_AT_ONCE * _ENTRY.size):
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
        raise CaeError(f"the file is cut off: {source.size} of {checked.end} bytes; get the file again, {_GOING_ON}")
    if checked.end < source.size:
        raise CaeError(f"{source.size - checked.end} bytes follow the last tile")
    return Index(bytes(checked.entries))


class _CheckedIndex:
    """Entries that have been found to follow the rules; a forged index takes no more memory than it has of these."""

    def __init__(self, header: Header, end: int) -> None:
        self.entries = bytearray()
        self.end = end
        self._planes = header.planes
        self._leasts = _least_lengths(header)

    def add(self, piece: bytes | memoryview) -> None:
        """Adds entries; CaeError at the first that breaks a rule."""
        end = self.end
        for number, ((start, length, kind, _), leasts) in enumerate(
            # the iterator of least lengths comes second: it must not lose one at the end of the piece
            zip(_ENTRY.iter_unpack(piece), self._leasts),  # noqa: B905
            len(self.entries) // _ENTRY.size,
        ):
            least = leasts.get(kind)
            if start != end or least is None or length < least or (kind == Kind.TRANSFORM and length % WORD):
                self._refuse(number, start != end, kind, length, least)
            end += length
        self.end = end
        self.entries += piece

    def _refuse(self, number: int, misplaced: bool, kind: int, length: int, least: int | None) -> None:
        tile, plane = number // len(self._planes), self._planes[number % len(self._planes)]
        name = f"{plane.value} {tile}"
        if misplaced:
            raise CaeError(f"{name} does not begin where the part before it ends")
        if least is None:
            raise CaeError(f"{name} is of the kind {kind}, which version {VERSION} does not have there")
        if length < least:
            raise CaeError(f"{name} has {length} bytes, fewer than any of its size")
        raise CaeError(f"{name} has {length} bytes, which is no multiple of {WORD}")


def _least_lengths(header: Header) -> Iterator[dict[int, int]]:
    """Least lengths of each payload by its kind, in the order of the index."""
    columns = -(-header.width // header.tile)

    def of(tile: int) -> list[dict[int, int]]:
        place = header.place(tile)
        return [{int(kind): length_min(kind, place) for kind in header.kinds(plane)} for plane in header.planes]

    for first in range(0, header.tile_count, columns):
        inner = itertools.repeat(of(first), columns - 1)
        yield from itertools.chain.from_iterable(inner)
        yield from of(first + columns - 1)
