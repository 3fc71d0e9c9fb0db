"""Facts of a `.cae` file, read without any model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..errors import DamageError
from . import container
from .buffers import Buffer, as_bytes, drop_traceback
from .container import Container
from .header import HEADER_SIZE, NO_MODEL, Header, Kind, Plane
from .payload import LENGTH_SIZE, lossless_length
from .sources import ByteSource, MemorySource


@dataclasses.dataclass(frozen=True)
class Info:
    """Facts of a file: sizes in pixels and bytes; `metadata` maps section names to the bytes that they
    take in the file, compressed.

    `lossless` is True if the whole file was coded with `lossless`; then its quality is 100 and says nothing.
    `depth` are the bits of a sample, `kinds` the numbers of tiles of each kind. `parts` are the bytes of the header, of
    metadata with their names and checksums, of the index, of transform-coded and lossless parts, and of alpha; they add up
    to `bytes`.
    """

    width: int
    height: int
    mode: str
    depth: int
    quality: int
    lossless: bool
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


def describe(source: ByteSource, *, wrong_end: bool = False) -> Info:
    """Like `info`, but reads only what stands before the tiles, and the lengths in mixed ones.

    With `wrong_end` the file may end among its tiles, whose parts count as they were, or have bytes behind them.
    """
    return info_of(source, container.read(source, wrong_end=wrong_end))


def info_of(source: ByteSource, file: Container) -> Info:
    """Facts of a file that `container.read` has parsed."""
    counts = PayloadCounts(file.header)
    for entry in file.index:
        lossless = 0
        if entry.kind is Kind.MIXED and entry.offset + LENGTH_SIZE <= source.size:
            lossless = lossless_length(source.read(entry.offset, LENGTH_SIZE))
        counts.add(entry.kind, entry.length, lossless)
    metadata_bytes = file.index[0].offset - container.index_size(file.header) - HEADER_SIZE
    return counts.info(file.sizes, metadata_bytes, source.size)


class PayloadCounts:
    """Tiles of each kind, and bytes of each part, of payloads that are added in the order of the index."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._added = 0
        self._kinds = dict.fromkeys(Kind, 0)
        self._bytes = {"transform": 0, "lossless": 0, "alpha": 0}

    def add(self, kind: Kind, length: int, lossless: int = 0) -> None:
        """Counts a payload; of a mixed one, `lossless` bytes are those of its lossless part."""
        planes = self._header.planes
        plane = planes[self._added % len(planes)]
        self._added += 1
        if plane is Plane.ALPHA:
            self._bytes["alpha"] += length
            return
        self._kinds[kind] += 1
        # a damaged length must not count for more than the tile
        exact = length if kind is Kind.LOSSLESS else min(lossless, length)
        self._bytes["lossless"] += exact
        self._bytes["transform"] += length - exact

    def info(self, metadata: Mapping[str, int], metadata_bytes: int, size: int) -> Info:
        """Facts of a file of so many bytes, whose metadata take `metadata_bytes` with their names and checksums."""
        header = self._header
        before = {"header": HEADER_SIZE, "metadata": metadata_bytes, "index": container.index_size(header)}
        return Info(
            width=header.width,
            height=header.height,
            mode=header.mode,
            depth=header.depth,
            quality=header.quality,
            lossless=header.model_id == NO_MODEL,
            tile=header.tile,
            tiles=header.tile_count,
            model_id=header.model_id.hex(),
            bytes=size,
            bits_per_pixel=size * 8 / (header.width * header.height),
            metadata=dict(metadata),
            kinds={kind.name.lower(): count for kind, count in self._kinds.items()},
            parts=before | self._bytes,
        )


class DamagedPart(NamedTuple):
    """A part of a file that is missing or damaged, as messages name it, and the number of its tile, if it is of one."""

    name: str
    tile: int | None


def damaged_parts(source: ByteSource) -> Iterator[DamagedPart]:
    """Yields the parts of tiles that are missing or whose checksums do not match; nothing is decoded.

    Bytes behind the last tile come last.

    Raises:
        CaeError: where it is no `.cae` file, or damaged before its tiles.
    """
    file = container.read(source, wrong_end=True)
    for tile in range(file.header.tile_count):
        for plane in file.header.planes:
            try:
                container.read_payload(source, file, tile, plane)
            except DamageError:
                yield DamagedPart(file.header.name_part(tile, plane), tile)
    if file.excess:
        yield DamagedPart(f"the end ({container.count_bytes(file.excess)} the last tile)", None)
