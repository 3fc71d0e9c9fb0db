"""The container: bytes to header, metadata and tile index, and back. Implements FORMAT.md; knows no model."""

from __future__ import annotations

import dataclasses
import enum
import struct
import zlib
from collections.abc import Mapping, Sequence

from ..errors import CaeError
from ..options import QUALITIES
from .tiling import HYPER_STRIDE, Rect

Data = bytes | bytearray | memoryview
MAGIC = b"\x89CAE"
VERSION = 1
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Names of the colour modes, as Pillow has them, by number of channels."""
SECTIONS = ("iccp", "exif", "xmp ")
WORD = 4
"""Bytes of one of the entropy coder's words."""
TILE_UNIT = 64
TILE_UNITS_MAX = 32
SIDE_MAX = 2**31 - 1
SECTIONS_MAX = 64

_HEADER = struct.Struct("<4sBBBBIIHH8sI")
_SECTION = struct.Struct("<4sII")
_ENTRY = struct.Struct("<QIBI")
_CRC = struct.Struct("<I")


class Kind(enum.IntEnum):
    """How a part of a tile is coded."""

    TRANSFORM = 1
    LOSSLESS = 2


class Plane(enum.Enum):
    """The parts of a tile, in the order of their entries in the index; its value is what an error calls it."""

    COLOUR = "tile"
    ALPHA = "the alpha of tile"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that this version has for it."""
        return (Kind.TRANSFORM,) if self is Plane.COLOUR else (Kind.LOSSLESS,)


@dataclasses.dataclass(frozen=True)
class Header:
    """What the first 32 bytes say; `tile` is the side of a tile in pixels, `channels` 1 to 4, alpha counted."""

    width: int
    height: int
    channels: int
    quality: int
    tile: int
    model_id: bytes

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise CaeError(f"colour mode {self.channels} is unknown: version {VERSION} has 1 to 4")
        if self.quality not in QUALITIES:
            raise CaeError(f"quality {self.quality} is not in {QUALITIES[0]} to {QUALITIES[-1]}")
        if not (1 <= self.width <= SIDE_MAX and 1 <= self.height <= SIDE_MAX):
            raise CaeError(f"size {self.width} x {self.height} is not in 1 to {SIDE_MAX} pixels")
        if self.tile % TILE_UNIT or not 1 <= self.tile // TILE_UNIT <= TILE_UNITS_MAX:
            raise CaeError(
                f"tile size {self.tile} is not a multiple of {TILE_UNIT} from {TILE_UNIT} to {TILE_UNIT * TILE_UNITS_MAX}"
            )
        if len(self.model_id) != 8:
            raise CaeError(f"model id has {len(self.model_id)} bytes, not 8")

    @property
    def mode(self) -> str:
        """L, LA, RGB or RGBA."""
        return MODES[self.channels]

    @property
    def colours(self) -> int:
        """Channels without alpha: 1 or 3."""
        return self.channels - self.has_alpha

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.channels in (2, 4)

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The parts of each tile."""
        return tuple(Plane) if self.has_alpha else (Plane.COLOUR,)

    @property
    def bounds(self) -> Rect:
        """The whole picture."""
        return Rect(0, 0, self.height, self.width)

    @property
    def tile_count(self) -> int:
        """Number of tiles in the file."""
        return -(-self.width // self.tile) * -(-self.height // self.tile)

    def place(self, tile: int) -> Rect:
        """The pixels that a tile covers."""
        row, column = divmod(tile, -(-self.width // self.tile))
        top, left = row * self.tile, column * self.tile
        return Rect(top, left, top + self.tile, left + self.tile) & self.bounds


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
    index: Sequence[Entry]


def length_min(kind: Kind, place: Rect) -> int:
    """Fewest bytes of a payload for a tile that covers `place`.

    Decoding a transform-coded tile is much work for each pixel, so nobody shall ask for it with a few bytes.
    """
    if kind is not Kind.TRANSFORM:
        return 1
    positions = place.outward(HYPER_STRIDE)
    return -(-positions.height * positions.width // WORD) * WORD


def write(header: Header, metadata: Mapping[str, bytes], payloads: Sequence[Payload]) -> bytes:
    """The file's bytes. `payloads` holds each tile's planes one after the other, tile by tile, row by row.

    >>> file = write(Header(3, 2, 3, 50, 64, bytes(8)), {"exif": b"II*"}, [Payload(Kind.TRANSFORM, bytes(8))])
    >>> len(file), read(file).metadata
    (76, {'exif': b'II*'})
    """
    if len(payloads) != header.tile_count * len(header.planes):
        raise ValueError(f"{len(payloads)} payloads for {header.tile_count} tiles of {len(header.planes)} planes")
    fixed = _HEADER.pack(
        MAGIC, VERSION, header.channels, header.quality, 0, header.width, header.height, header.tile // TILE_UNIT,
        len(metadata), header.model_id, 0,
    )[: -_CRC.size]  # fmt: skip
    parts = [fixed, _CRC.pack(zlib.crc32(fixed))]
    for name, data in metadata.items():
        start = struct.pack("<4sI", name.encode("ascii"), len(data))
        parts += [start, _CRC.pack(zlib.crc32(data, zlib.crc32(start))), data]
    offset = sum(map(len, parts)) + len(payloads) * _ENTRY.size + _CRC.size
    entries = []
    for payload in payloads:
        entries.append(_ENTRY.pack(offset, len(payload.data), payload.kind, zlib.crc32(payload.data)))
        offset += len(payload.data)
    index = b"".join(entries)
    return b"".join([*parts, index, _CRC.pack(zlib.crc32(index)), *(payload.data for payload in payloads)])


def read(data: Data) -> Container:
    """Parses a file and checks all of it but the payloads' CRCs; CaeError says which rule of FORMAT.md it breaks."""
    data = memoryview(data)
    header, count = _read_header(data)
    metadata, offset = _read_sections(data, count)
    index = _read_index(data, header, offset)
    return Container(header, metadata, index)


def payload(data: Data, container: Container, tile: int, plane: Plane = Plane.COLOUR) -> Payload:
    """One part of one tile; CaeError where its CRC does not match."""
    planes = container.header.planes
    entry = container.index[tile * len(planes) + planes.index(plane)]
    found = memoryview(data)[entry.offset : entry.offset + entry.length]
    if zlib.crc32(found) != entry.crc:
        raise CaeError(
            f"{plane.value} {tile} is damaged: its CRC does not match; get the file again, or decode a region without it"
        )
    return Payload(entry.kind, found)


def _read_header(data: memoryview) -> tuple[Header, int]:
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
    if flags:
        raise CaeError(f"unknown flags {flags:#04x}: version {VERSION} defines none")
    if count > SECTIONS_MAX:
        raise CaeError(f"{count} metadata sections: at most {SECTIONS_MAX} are allowed")
    return Header(width, height, channels, quality, units * TILE_UNIT, model_id), count


def _read_sections(data: memoryview, count: int) -> tuple[dict[str, bytes], int]:
    metadata: dict[str, bytes] = {}
    seen = set()
    offset = _HEADER.size
    for number in range(count):
        if offset + _SECTION.size > len(data):
            raise CaeError(f"the file is cut off in metadata section {number}")
        name, length, crc = _SECTION.unpack_from(data, offset)
        content = data[offset + _SECTION.size : offset + _SECTION.size + length]
        if len(content) < length:
            raise CaeError(f"metadata section {number} claims {length} bytes, but the file ends before")
        if zlib.crc32(content, zlib.crc32(data[offset : offset + 8])) != crc:
            raise CaeError(f"metadata section {number} is damaged: its CRC does not match")
        text = name.decode("latin-1")
        if not (text.isascii() and text[0].isalpha()):
            raise CaeError(f"metadata section {number} has the bad name {text!r}")
        if text in seen:
            raise CaeError(f"metadata section {text!r} occurs twice")
        seen.add(text)
        if text in SECTIONS:
            metadata[text] = bytes(content)
        elif text[0].isupper():
            raise CaeError(f"the file needs the unknown critical section {text!r}; a newer release may read it")
        offset += _SECTION.size + length
    return metadata, offset


def _read_index(data: memoryview, header: Header, offset: int) -> list[Entry]:
    planes = header.planes
    size = header.tile_count * len(planes) * _ENTRY.size
    if offset + size + _CRC.size > len(data):
        raise CaeError(f"the file is cut off in its tile index: {header.tile_count} tiles need {size + _CRC.size} bytes of it")
    entries = data[offset : offset + size]
    end = offset + size + _CRC.size
    if zlib.crc32(entries) != _CRC.unpack_from(data, offset + size)[0]:
        raise CaeError("the tile index is damaged: its CRC does not match")
    index = []
    for number, (start, length, kind, crc) in enumerate(_ENTRY.iter_unpack(entries)):
        tile, plane = number // len(planes), planes[number % len(planes)]
        name = f"{plane.value} {tile}"
        if start != end:
            raise CaeError(f"{name} does not begin where the part before it ends")
        if kind not in plane.kinds:
            raise CaeError(f"{name} is of the kind {kind}, which version {VERSION} does not have there")
        kind = Kind(kind)
        if length < length_min(kind, header.place(tile)):
            raise CaeError(f"{name} has {length} bytes, fewer than any of its size")
        if kind is Kind.TRANSFORM and length % WORD:
            raise CaeError(f"{name} has {length} bytes, which is no multiple of {WORD}")
        index.append(Entry(start, length, kind, crc))
        end += length
    if end > len(data):
        raise CaeError(f"the file is cut off: {len(data)} of {end} bytes")
    if end < len(data):
        raise CaeError(f"{len(data) - end} bytes follow the last tile")
    return index
