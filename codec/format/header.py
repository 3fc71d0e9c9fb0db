"""What the header of a file says, and what follows from it: the places of tiles, their parts and kinds."""

from __future__ import annotations

import dataclasses
import enum

from ..errors import CaeError
from ..options import DEPTHS, QUALITIES
from .geometry import Rect

VERSION = 1
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Names of the colour modes, as Pillow has them, by number of channels."""
NO_MODEL = bytes(8)
"""The model id of a file whose tiles are all lossless."""
TILE_UNIT = 64
TILE_UNITS_MAX = 32
SIDE_MAX = 2**31 - 1


class Kind(enum.IntEnum):
    """How a part of a tile is coded."""

    TRANSFORM = 1
    LOSSLESS = 2
    MIXED = 3


class Plane(enum.Enum):
    """The parts of a tile, in the order of their entries in the index; its value is what an error calls it."""

    COLOUR = "tile"
    ALPHA = "the alpha of tile"


@dataclasses.dataclass(frozen=True)
class Header:
    """What the first 32 bytes say; `tile` is the side of a tile in pixels, `channels` 1 to 4, alpha counted.

    `depth` is how many bits a sample has, 8 to 16.
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
        if not (1 <= self.width <= SIDE_MAX and 1 <= self.height <= SIDE_MAX):
            raise CaeError(f"size {self.width} x {self.height} is not in 1 to {SIDE_MAX} pixels")
        if self.tile % TILE_UNIT or not 1 <= self.tile // TILE_UNIT <= TILE_UNITS_MAX:
            raise CaeError(
                f"tile size {self.tile} is not a multiple of {TILE_UNIT} from {TILE_UNIT} to {TILE_UNIT * TILE_UNITS_MAX}"
            )
        if len(self.model_id) != 8:
            raise CaeError(f"model id has {len(self.model_id)} bytes, not 8")
        if self.depth not in DEPTHS:
            raise CaeError(f"depth {self.depth} is not in {DEPTHS[0]} to {DEPTHS[-1]} bits a sample")

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
    def is_high_bit_depth(self) -> bool:
        """Whether samples have more than 8 bits."""
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
