"""Encode and decode options and their defaults."""

from __future__ import annotations

import dataclasses
import itertools
import numbers
import operator
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, TypedDict

from .errors import CaeError, SampleError, UsageError

QUALITIES = range(1, 101)
DEPTHS = range(8, 17)
"""Bits of a sample."""
DEFAULT_QUALITY = 70
DEFAULT_INSPECTION_QUALITY = 75
MAPS = ("error", "surprise", "distance")
"""What an inspection compares, by name."""
DEFAULT_MAPS = ("distance",)
DEFAULT_TILE = 1024
"""Side of a tile in pixels."""
EFFORTS = range(1, 6)
DEFAULT_EFFORT = 2
SEARCHED_FROM = 3
"""Lowest effort with a latent search."""
DENOISE = "denoise"
"""Name of the encoder of `cae-encode --denoise`."""
TUNES = ("eye", "psnr")
"""Purposes of the models that come with the package, which are their names; the first is the default."""
RATE_TARGETS = {"target_size": "bytes", "target_bpp": "bits per pixel"}
FIDELITY_TARGETS = {"target_psnr": "dB", "target_score": "points"}
TARGETS = RATE_TARGETS | FIDELITY_TARGETS
"""Units of what a file may be asked to have in place of a quality."""
CONTRADICTIONS = (
    *(("lossless", name, "a lossless file has no quality") for name in ("quality", *TARGETS)),
    ("lossless", "effort", "a lossless file has nothing to search for"),
    ("lossless", "encoder", "a lossless file needs no encoder"),
    ("lossless", "tune", "a lossless file needs no model"),
    ("tune", "weights", "name one of them"),
    *(("quality", name, "a target takes the quality's place") for name in TARGETS),
    *((first, second, "name one target") for first, second in itertools.combinations(TARGETS, 2)),
    *(("denoising", name, "it is measured against the noisy picture") for name in FIDELITY_TARGETS),
    ("denoising", "effort", "a search shows the noise again; use effort 1 or 2"),
)
"""Pairs of what cannot be chosen together, and why.

Here "effort" is one that searches, "encoder" one that is not the weights' own, and "denoising" one that leaves noise out.
"""
DEFAULT_CACHE = 3 * 2**25
"""Bytes of decoded tiles that an open picture keeps: 36 tiles of the usual size, enough for 512 x 512 pixels at 1/8."""
REDUCTIONS = (1, 2, 4, 8)
"""Factors by which a decode may be smaller than the picture."""
ENLARGEMENTS = (2,)
"""Factors by which a decode may be larger."""
DECODE_SCALES = (*(Fraction(factor) for factor in ENLARGEMENTS), *(Fraction(1, factor) for factor in REDUCTIONS))
"""Sizes of a decode, in sizes of the picture, from the largest."""
SCALES_NAMED = " or ".join(", ".join(map(str, DECODE_SCALES)).rsplit(", ", 1))

WRITABLE_SUFFIXES = tuple(
    f".{name}" for name in ("png", "tif", "webp", "avif", "jpg", "jp2", "bmp", "ppm", "pgm", "pcx", "sgi", "tga", "npy")
)
"""Suffixes of the image files that can be written, one or two for each format."""
WRITABLE_NAMED = f"{', '.join(WRITABLE_SUFFIXES[:-1])} or {WRITABLE_SUFFIXES[-1]}"

Region = tuple[int, int, int, int]
"""x, y, width and height in pixels."""
OnError = Literal["raise", "fill"]
"""Behaviour of a decode at a damaged tile."""


def check_agreement(chosen: Mapping[str, str]) -> None:
    """Raises UsageError if what is chosen contradicts itself.

    Args:
        chosen: what is chosen of the names in `CONTRADICTIONS`, in the words of messages.
    """
    for first, second, reason in CONTRADICTIONS:
        if first in chosen and second in chosen:
            raise UsageError(f"{chosen[first]} and {chosen[second]} exclude each other: {reason}")


def integer(name: str, value: object) -> int:
    """Converts an integer, of any library, to int; CaeError where it is none, or is a bool."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise CaeError(f"{name} {value!r} is not an integer") from None


def is_device_name(text: str) -> bool:
    """Returns True for "auto", "cpu", "cuda", and "cuda:1" with any number."""
    return re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", text) is not None


class StreamKeywords(TypedDict, total=False):
    """Encode options, besides the quality, of pictures that come row by row: see `Codec.encode`."""

    tile: int
    effort: int
    lossless: bool
    depth: int | None


class EncodeKeywords(StreamKeywords, total=False):
    """Encode options, besides the quality, of pictures that are there as a whole: see `Codec.encode`."""

    target_size: int | None
    target_bpp: float | None
    target_psnr: float | None
    target_score: float | None


@dataclasses.dataclass(frozen=True)
class EncodeOptions:
    """Encode options of one picture: `quality` 1 (smallest file) to 100, `tile` the side of its tiles in pixels.

    `lossless` codes every pixel exactly, in place of a quality; without it, only parts that cost less so are exact.
    `depth` is the number of bits of uint16 samples, 9 to 16: their values reach 2**depth - 1 (None: all 16).
    `effort` 1 rounds, 2 does RDO quantisation, 3 to 5 search for symbols, each two to three times as long as the one before.

    In place of the quality there may be one target: the file's size in bytes, its bits per pixel, or a PSNR in dB or
    SSIMULACRA 2. Both are those of the visible colours.

    Raises:
        CaeError: for values out of range; a quality or tile size that the format does not have is refused with the header.
        UsageError: for options that contradict each other.
    """

    quality: int | None = None
    tile: int = DEFAULT_TILE
    effort: int = DEFAULT_EFFORT
    lossless: bool = False
    target_size: int | None = None
    target_bpp: float | None = None
    target_psnr: float | None = None
    target_score: float | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.lossless, bool):
            raise CaeError(f"lossless {self.lossless!r} is not True or False")
        for name in ("quality", "tile", "effort"):
            if name != "quality" or self.quality is not None:
                object.__setattr__(self, name, integer(name, getattr(self, name)))
        if self.effort not in EFFORTS:
            raise CaeError(f"effort {self.effort} is not {EFFORTS[0]} to {EFFORTS[-1]}")
        if self.depth is not None:
            object.__setattr__(self, "depth", integer("depth", self.depth))
            if self.depth not in DEPTHS:
                raise CaeError(f"depth {self.depth} is not {DEPTHS[0]} to {DEPTHS[-1]}")
        check_agreement(self.chosen)
        for name, value in self.targets.items():
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < 2**63:
                raise CaeError(f"{name} {value!r} is not a number above 0")
            object.__setattr__(self, name, integer(name, value) if name == "target_size" else float(value))

    def depth_of(self, bits: int) -> int:
        """Bits to code of samples that are stored in 8 or 16; SampleError where the chosen depth is for others."""
        if self.depth is None:
            return bits
        if (self.depth > 8) != (bits > 8):
            what = "the picture has 8 bits; leave it out" if bits == 8 else "the picture has 16 bits; convert it to 8 first"
            raise SampleError(f"depth {self.depth}: {what}")
        return self.depth

    def likely_depth(self, largest: int, depth: int) -> int | None:
        """Guesses the bits of samples whose colours reach `largest`, where a smaller depth seems to have been meant; else None.

        Alpha does not count: an image program may have added it at full range.
        """
        bits = largest.bit_length()
        return None if depth < 16 or self.depth is not None or self.lossless or not 8 < bits <= 12 else bits

    @property
    def quality_or_default(self) -> int:
        """The quality, `DEFAULT_QUALITY` if none is chosen."""
        return DEFAULT_QUALITY if self.quality is None else self.quality

    @property
    def searches(self) -> bool:
        """True if symbols are searched for."""
        return self.effort >= SEARCHED_FROM

    @property
    def chosen(self) -> dict[str, str]:
        """The chosen names of `CONTRADICTIONS`, each in the words of messages."""
        chosen = {name: name for name in self.targets}
        if self.quality is not None:
            chosen["quality"] = f"quality {self.quality}"
        if self.lossless:
            chosen["lossless"] = "lossless"
        if self.searches:
            chosen["effort"] = f"effort {self.effort}"
        return chosen

    @property
    def has_target(self) -> bool:
        """True if a target is to be met, which needs the whole picture."""
        return bool(self.targets)

    @property
    def targets(self) -> dict[str, float]:
        """The chosen targets, one at most."""
        return {name: value for name in TARGETS if (value := getattr(self, name)) is not None}


class DecodeKeywords(TypedDict, total=False):
    """Decode options: see `Codec.decode`."""

    region: Region | None
    on_error: OnError
    scale: float | Fraction


@dataclasses.dataclass(frozen=True)
class DecodeOptions:
    """Decode options: region, scale, and behaviour at damage.

    Args:
        region: (x, y, width, height) in pixels, None the whole picture.
        on_error: "raise" ends the decode at the first damaged tile; "fill" fills damaged tiles from their neighbours, and
            names them in one warning.
        scale: 2, 1, 1/2, 1/4 or 1/8 of the size, as any kind of number; stored as a Fraction.

    Raises:
        CaeError: where the region is not four integers, and for another `on_error` or `scale`. A region that does not lie
            within the picture is refused by the decode.
    """

    region: Region | None = None
    on_error: OnError = "raise"
    scale: float | Fraction = 1

    @property
    def conceals(self) -> bool:
        """True if damaged tiles are filled."""
        return self.on_error == "fill"

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the result, for a region that lies within a picture of this size."""
        x, y, width, height = self.region or (0, 0, width, height)
        larger, smaller = Fraction(self.scale).as_integer_ratio()
        return larger * (-(-(x + width) // smaller) - x // smaller), larger * (-(-(y + height) // smaller) - y // smaller)

    def __post_init__(self) -> None:
        if not isinstance(self.scale, numbers.Real) or self.scale not in [float(scale) for scale in DECODE_SCALES]:
            raise CaeError(f"scale {self.scale} is not {SCALES_NAMED}")
        object.__setattr__(self, "scale", Fraction(float(self.scale)))
        if self.on_error not in ("raise", "fill"):
            raise CaeError(f"on_error {self.on_error!r} is not 'raise' or 'fill'")
        if self.region is None:
            return
        try:
            x, y, width, height = (integer("coordinate", value) for value in self.region)
        except (CaeError, TypeError, ValueError):
            raise CaeError(f"region {self.region!r} is not (x, y, width, height)") from None
        object.__setattr__(self, "region", (x, y, width, height))
