"""Chunks of arrays as pictures, whose axes are rows, columns and colours. Knows neither Zarr nor numcodecs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

import codec

from .errors import CaeError
from .format.header import NO_MODEL, Header
from .metadata import BYTE_ORDER
from .options import DEFAULT_QUALITY, EncodeOptions, integer

ARGUMENTS: dict[str, Any] = {"threads": 1}
"""Arguments of `codec.Codec` for all chunks, such as `device`. One thread each, since Zarr has threads of its own."""
DTYPES = ("uint8", "uint16")
_BIG_ENDIAN = b"B"
"""Content of the section `BYTE_ORDER`."""
_DEFAULTS = dataclasses.asdict(EncodeOptions())


@dataclasses.dataclass(frozen=True)
class ChunkCoding:
    """Options of chunks, and their `channel_axis`: the 1 to 4 channels of a picture (gray or RGB, with or without alpha).

    The last two of the other axes are rows and columns. Further axes count planes, which lie beneath one another in one tall
    picture. With None for `channel_axis` each plane is gray; "auto" takes the last of three or more axes where its length is
    1, 3 or 4, else None.

    Raises:
        CaeError: for another `channel_axis`, and for options that no file has.
    """

    options: EncodeOptions
    channel_axis: int | Literal["auto"] | None = "auto"

    def __post_init__(self) -> None:
        Header(1, 1, 1, self.options.quality_or_default, self.options.tile, NO_MODEL)
        if self.channel_axis not in ("auto", None):
            object.__setattr__(self, "channel_axis", integer("channel_axis", self.channel_axis))

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> ChunkCoding:
        """Inverse of `configuration`, with defaults for missing names; CaeError for unknown names and bad values."""
        options = dict(configuration)
        axis = options.pop("channel_axis", "auto")
        if options.get("lossless") is True and options.get("quality") == DEFAULT_QUALITY:
            del options["quality"]  # earlier versions stored it
        if unknown := options.keys() - _DEFAULTS.keys():
            raise CaeError(f"unknown option {min(unknown)!r}; there are channel_axis, {', '.join(_DEFAULTS)}")
        return cls(EncodeOptions(**options), axis)

    @property
    def configuration(self) -> dict[str, Any]:
        """The options that differ from their defaults, and the quality that is taken, for JSON."""
        options = dataclasses.asdict(self.options)
        chosen = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
        if not (self.options.lossless or self.options.has_target):
            chosen = {"quality": self.options.quality_or_default, **chosen}
        return {**chosen, "channel_axis": self.channel_axis}

    def axis_of(self, shape: tuple[int, ...]) -> int | None:
        """Returns the channels' axis in chunks of this shape; CaeError where they are no pictures."""
        axis = self.channel_axis
        if axis == "auto":
            axis = len(shape) - 1 if len(shape) >= 3 and shape[-1] in (1, 3, 4) else None
        if len(shape) < 2 + (axis is not None):
            raise CaeError(f"chunks of shape {shape} have no rows and columns besides channel_axis {axis}")
        if axis is not None and (not -len(shape) <= axis < len(shape) or not 1 <= shape[axis] <= 4):
            raise CaeError(f"channel_axis {axis} is no axis of 1 to 4 channels in chunks of shape {shape}")
        return axis

    def encode(self, chunk: np.ndarray) -> bytes:
        """Codes a chunk to a `.cae` file's bytes; CaeError where it holds no picture.

        The file notes big-endian samples, for `decode_as_stored`.
        """
        check_dtype(chunk.dtype)
        axis = self.axis_of(chunk.shape)
        planes = chunk[..., None] if axis is None else np.moveaxis(chunk, axis, -1)
        picture = planes.reshape(-1, *planes.shape[-2:])
        metadata = {BYTE_ORDER: _BIG_ENDIAN} if chunk.dtype.newbyteorder(">") == chunk.dtype and chunk.itemsize > 1 else None
        return codec.encode(picture, metadata=metadata, **dataclasses.asdict(self.options), **ARGUMENTS)

    def decode(self, data: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Decodes a chunk; CaeError where the file is damaged or holds no chunk of this shape and type."""
        axis = self.axis_of(shape)
        channels = 1 if axis is None else shape[axis]
        planes = (*shape, 1) if axis is None else (*np.delete(shape, axis), channels)
        with codec.open(data, **{"pixels_max": max(2**12, 16 * math.prod(shape))} | ARGUMENTS) as picture:
            expected = planes[-2], math.prod(planes[:-2])
            if picture.size != expected or len(picture.mode) != channels:
                raise CaeError(f"a {picture.mode} picture of {picture.size} pixels is no chunk of shape {shape}")
            if (picture.depth > 8) != (dtype.itemsize > 1):
                raise CaeError(f"a picture of {picture.depth} bits a sample is no chunk of {dtype}")
            pixels = picture.read().reshape(planes)
        chunk = pixels[..., 0] if axis is None else np.ascontiguousarray(np.moveaxis(pixels, -1, axis))
        return chunk.astype(dtype, copy=False)


def decode_as_stored(data: Any) -> np.ndarray:
    """Decodes a chunk of unknown shape to an array in the byte order that it had; CaeError where the file is damaged."""
    with codec.open(data, **ARGUMENTS) as picture:
        pixels = picture.read()
        is_big_endian = picture.metadata.get(BYTE_ORDER) == _BIG_ENDIAN
    return pixels.astype(pixels.dtype.newbyteorder(">")) if is_big_endian else pixels


def check_dtype(dtype: np.dtype) -> None:
    """CaeError for a type other than `DTYPES`."""
    if dtype.name not in DTYPES:
        raise CaeError(
            f"chunks of {dtype.name} cannot be coded, only of {' and '.join(DTYPES)}; convert them, or use another codec"
        )
