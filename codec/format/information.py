"""What a `.cae` file says about itself, read without any model."""

from __future__ import annotations

import dataclasses

from . import container
from .buffers import Buffer, as_bytes, letting_go


@dataclasses.dataclass(frozen=True)
class Info:
    """Facts of a file: sizes in pixels and bytes; `metadata` maps section names to their sizes in bytes."""

    width: int
    height: int
    mode: str
    quality: int
    tile: int
    tiles: int
    model_id: str
    bytes: int
    bits_per_pixel: float
    metadata: dict[str, int]


@letting_go
def info(data: Buffer, /) -> Info:
    """Reads a `.cae` file's header, metadata sizes and index; decodes nothing and loads no weights.

    Raises:
        CaeError: where the bytes are no whole `.cae` file.

    >>> import codec, numpy as np
    >>> facts = codec.info(codec.encode(np.zeros((30, 40), np.uint8), quality=25))
    >>> facts.width, facts.height, facts.mode, facts.quality, facts.tiles
    (40, 30, 'L', 25, 1)
    """
    data = as_bytes(data)
    parsed = container.read(data)
    header = parsed.header
    return Info(
        width=header.width,
        height=header.height,
        mode=header.mode,
        quality=header.quality,
        tile=header.tile,
        tiles=header.tile_count,
        model_id=header.model_id.hex(),
        bytes=len(data),
        bits_per_pixel=len(data) * 8 / (header.width * header.height),
        metadata={name: len(content) for name, content in parsed.metadata.items()},
    )
