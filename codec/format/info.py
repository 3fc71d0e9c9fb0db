"""What a `.cae` file says about itself, read without any model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ..errors import DamageError
from . import container
from .buffers import Buffer, as_bytes, drop_traceback
from .container import Container
from .header import Kind, Plane
from .sources import MemorySource, Source


@dataclasses.dataclass(frozen=True)
class Info:
    """Facts of a file: sizes in pixels and bytes; `metadata` maps section names to their sizes in bytes.

    `depth` is how many bits a sample has. `kinds` says how many tiles are of which kind, `parts` where the bytes go: header,
    metadata with their names and checksums, the index, what is transform-coded, what is lossless, and alpha. They add up to
    `bytes`.
    """

    width: int
    height: int
    mode: str
    depth: int
    quality: int
    tile: int
    tiles: int
    model_id: str
    bytes: int
    bits_per_pixel: float
    metadata: dict[str, int]
    kinds: dict[str, int]
    parts: dict[str, int]


@drop_traceback
def info(data: Buffer, /) -> Info:
    """Reads a `.cae` file's header, metadata sizes and index; decodes nothing and loads no weights.

    Raises:
        CaeError: where the bytes are no whole `.cae` file.

    >>> import codec, numpy as np
    >>> facts = codec.info(codec.encode(np.zeros((30, 40), np.uint8), quality=25))
    >>> facts.width, facts.height, facts.mode, facts.quality, facts.kinds
    (40, 30, 'L', 25, {'transform': 1, 'lossless': 0, 'mixed': 0})
    """
    return describe(MemorySource(as_bytes(data)))


def describe(source: Source, *, cut_off: bool = False) -> Info:
    """`info` of a file that is read by pieces, of which it takes those before the tiles and the lengths in mixed ones.

    With `cut_off` it may end among its tiles, whose parts are told as they were.
    """
    file = container.read(source, cut_off=cut_off)
    header = file.header
    kinds, parts = _count(source, file)
    return Info(
        width=header.width,
        height=header.height,
        mode=header.mode,
        depth=header.depth,
        quality=header.quality,
        tile=header.tile,
        tiles=header.tile_count,
        model_id=header.model_id.hex(),
        bytes=source.size,
        bits_per_pixel=source.size * 8 / (header.width * header.height),
        metadata={name: len(content) for name, content in file.metadata.items()},
        kinds={kind.name.lower(): kinds[kind] for kind in Kind},
        parts=parts,
    )


def _count(source: Source, file: Container) -> tuple[dict[Kind, int], dict[str, int]]:
    """Tiles of each kind, and bytes of each part of a file."""
    planes = file.header.planes
    kinds = dict.fromkeys(Kind, 0)
    transform = lossless = alpha = 0
    for number, entry in enumerate(file.index):
        if planes[number % len(planes)] is Plane.ALPHA:
            alpha += entry.length
            continue
        kinds[entry.kind] += 1
        exact = entry.length if entry.kind is Kind.LOSSLESS else 0
        if entry.kind is Kind.MIXED and entry.offset + container.WORD <= source.size:
            # a damaged length must not count for more than the tile
            exact = min(container.lossless_length(source.read(entry.offset, container.WORD)), entry.length)
        lossless += exact
        transform += entry.length - exact
    index = container.index_size(file.header)
    before = file.index[0].offset - index
    parts = {"header": container.HEADER_SIZE, "metadata": before - container.HEADER_SIZE, "index": index}
    return kinds, parts | {"transform": transform, "lossless": lossless, "alpha": alpha}


def damaged_parts(source: Source) -> Iterator[str]:
    """Names of the parts of tiles whose checksums do not match, or that a file has no more; nothing is decoded.

    Raises:
        CaeError: where the file is none, or what stands before its tiles is damaged.
    """
    file = container.read(source, cut_off=True)
    for number in range(file.header.tile_count):
        for plane in file.header.planes:
            try:
                container.payload(source, file, number, plane)
            except DamageError:
                place = file.header.place(number)
                yield f"{plane.value} {number} (x {place.left}, y {place.top}, {place.width} x {place.height})"
