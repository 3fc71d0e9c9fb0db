"""The header of a file: its fields and bytes, and what follows from them for tiles, their parts and kinds."""

from __future__ import annotations

import dataclasses
import enum
import struct
import zlib

from ..errors import CaeError
from ..options import DEPTHS, QUALITIES
from .geometry import Rect

MAGIC = b"\x89CAE"
VERSION = 1
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Names of the colour modes, as Pillow has them, by number of channels."""
NO_MODEL = bytes(8)
"""The model id of a file whose tiles are all lossless."""
TILE_UNIT = 64
TILE_UNITS_MAX = 32
PICTURE_SIDE_MAX = 2**31 - 1
NAMED_PARTS_MAX = 5
"""Most parts of tiles that a message names."""
SECTIONS_MAX = 64
"""Most metadata sections of a file."""
_DEPTH_BITS = 0x0F
"""Bits of the flags that hold the depth less 8."""
_FIELDS = struct.Struct("<4sBBBBIIHH8s")
CRC = struct.Struct("<I")
"""A checksum, at the end of each part of a file."""
HEADER_SIZE = _FIELDS.size + CRC.size


class Kind(enum.IntEnum):
    """The ways of coding a part of a tile."""

    TRANSFORM = 1
    LOSSLESS = 2
    MIXED = 3


class Plane(enum.Enum):
    """The parts of a tile, in the order of their entries in the index; their values are their names in messages."""

    COLOUR = "tile"
    ALPHA = "the alpha of tile"


@dataclasses.dataclass(frozen=True)
class Header:
    """The fields of the first 32 bytes of a file.

    `tile` is the side of a tile in pixels, `channels` 1 to 4, alpha counted, `depth` the bits of a sample, 8 to 16.

    Raises:
        CaeError: for values that the format does not have.
    """

    width: int
    height: int
    channels: int
    quality: int
    tile: int
    model_id: bytes
    depth: int = 8

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise CaeError(f"colour mode {self.channels} is unknown: version {VERSION} has 1 to 4")
        if self.quality not in QUALITIES:
            raise CaeError(f"quality {self.quality} is not in {QUALITIES[0]} to {QUALITIES[-1]}")
        if not (1 <= self.width <= PICTURE_SIDE_MAX and 1 <= self.height <= PICTURE_SIDE_MAX):
            raise CaeError(f"size {self.width} x {self.height} is not in 1 to {PICTURE_SIDE_MAX} pixels")
        if self.tile % TILE_UNIT or not 1 <= self.tile // TILE_UNIT <= TILE_UNITS_MAX:
            raise CaeError(
                f"tile size {self.tile} is not a multiple of {TILE_UNIT} from {TILE_UNIT} to {TILE_UNIT * TILE_UNITS_MAX}"
            )
        if len(self.model_id) != 8:
            raise CaeError(f"model id has {len(self.model_id)} bytes, not 8")
        if self.depth not in DEPTHS:
            raise CaeError(f"depth {self.depth} is not in {DEPTHS[0]} to {DEPTHS[-1]} bits a sample")

    @classmethod
    def parse(cls, data: bytes | memoryview) -> tuple[Header, int]:
        """Reads the header, and the number of metadata sections, from a file's first bytes; CaeError where they are none."""
        if len(data) == 0:
            raise CaeError("the file is empty")
        if bytes(data[:4]) != MAGIC[: len(data)]:
            raise CaeError("not a .cae file: it does not begin with the magic bytes 89 43 41 45")
        if len(data) > 4 and data[4] != VERSION:
            raise CaeError(
                f"format version {data[4]} is unknown: this decoder reads version {VERSION}; a newer release may read it"
            )
        if len(data) < HEADER_SIZE:
            raise CaeError(f"the file is cut off in its header: {len(data)} of {HEADER_SIZE} bytes")
        _, _, channels, quality, flags, width, height, units, sections, model_id = _FIELDS.unpack_from(data)
        if zlib.crc32(data[: _FIELDS.size]) != CRC.unpack_from(data, _FIELDS.size)[0]:
            raise CaeError("the header is damaged: its CRC does not match")
        if flags & ~_DEPTH_BITS:
            raise CaeError(f"unknown flags {flags:#04x}: version {VERSION} defines none above {_DEPTH_BITS:#04x}")
        if sections > SECTIONS_MAX:
            raise CaeError(f"{sections} metadata sections: at most {SECTIONS_MAX} are allowed")
        return cls(width, height, channels, quality, units * TILE_UNIT, model_id, DEPTHS[0] + flags), sections

    def pack(self, sections: int) -> bytes:
        """The header's bytes in a file with so many metadata sections.

        >>> header = Header(3, 2, 3, 50, 64, b"model id")
        >>> Header.parse(header.pack(1)) == (header, 1)
        True
        """
        fields = _FIELDS.pack(
            MAGIC, VERSION, self.channels, self.quality, self.depth - DEPTHS[0], self.width, self.height,
            self.tile // TILE_UNIT, sections, self.model_id,
        )  # fmt: skip
        return fields + CRC.pack(zlib.crc32(fields))

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
        """True if the last channel is alpha."""
        return self.channels in (2, 4)

    @property
    def is_high_bit_depth(self) -> bool:
        """True if samples have more than 8 bits."""
        return self.depth > DEPTHS[0]

    @property
    def dtype(self) -> str:
        """NumPy's name for the type of the samples: uint8 or uint16."""
        return "uint16" if self.is_high_bit_depth else "uint8"

    @property
    def largest(self) -> int:
        """The largest value of a sample."""
        return 2**self.depth - 1

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The parts of each tile."""
        return tuple(Plane) if self.has_alpha else (Plane.COLOUR,)

    def kinds(self, plane: Plane) -> tuple[Kind, ...]:
        """The kinds that a part of a tile may be of."""
        if plane is Plane.ALPHA or self.model_id == NO_MODEL:
            return (Kind.LOSSLESS,)
        return tuple(Kind)

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

    def name_part(self, tile: int, plane: Plane) -> str:
        """A part of a tile in messages, with its place."""
        place = self.place(tile)
        return f"{plane.value} {tile} (x {place.left}, y {place.top}, {place.width} x {place.height})"
