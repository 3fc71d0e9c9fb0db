"""What the formats share: pictures that arrive in bands."""

from __future__ import annotations

import dataclasses
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from PIL import Image

from ...errors import CaeError
from ..files import pillow_limit
from ..picture import from_pillow
from ..samples import converted, depth_of_file, type_of

BAND_PIXELS = 2**21
"""Pixels of a band where a file's own pieces are smaller."""
AHEAD_BYTES, AHEAD_BANDS = 2**25, 64
"""What is read before it is asked for, about as much as is encoded at a time, and in how many bands at most."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class WholeOnly(Exception):
    """A file of a kind that cannot be read by pieces; says why, as the end of a sentence."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A picture that arrives from top to bottom, once, in `bands` of any heights: (rows, width, channels), alpha last.

    They are uint8 where samples have 8 bits (`depth`), and uint16 where they have 16, or fewer as `in_own_depth` gives them.
    `metadata` and `own_depth` are as in `Picture`.
    """

    width: int
    height: int
    channels: int
    metadata: Mapping[str, bytes]
    bands: Iterator[np.ndarray]
    depth: int = 8
    own_depth: int = 16

    def in_own_depth(self, wanted: int | None) -> Source:
        """The same picture, with the bits that its file names where these are wanted; CaeError where others are."""
        if self.own_depth == 16:
            return self
        depth = depth_of_file(self.own_depth, wanted)
        return dataclasses.replace(self, bands=(converted(band, 16, depth) for band in self.bands), depth=depth, own_depth=16)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A picture to write: its sides, channels, a file of one pixel with its metadata, and threads to compress with.

    Of more bits a sample than 8 (`depth`), its rows are uint16, and what it is written to has 16.
    """

    width: int
    height: int
    channels: int
    sample: bytes
    threads: int
    depth: int = 8

    @property
    def is_high_bit_depth(self) -> bool:
        """Whether samples have more than 8 bits."""
        return self.depth > 8


def rows_at_once(width: int, unit: int = 1) -> int:
    """Rows of a band, in whole units."""
    return max(1, BAND_PIXELS // (width * unit)) * unit


def from_small_file(parts: Iterable[bytes], kind: str) -> np.ndarray:
    """Pixels (rows, width, channels) uint8 of an image file in memory, as they are where such a file is read whole."""
    with pillow_limit(2**62), Image.open(io.BytesIO(b"".join(parts)), formats=(kind,)) as image:
        return from_pillow(image).pixels


def checked(bands: Iterator[np.ndarray], layout: Layout) -> Iterator[np.ndarray]:
    """The same bands; CaeError where they do not make the picture."""
    missing = layout.height
    for band in bands:
        missing -= len(band)
        if band.dtype != type_of(layout.depth) or band.shape[1:] != (layout.width, layout.channels) or missing < 0:
            raise CaeError(f"rows of {band.dtype} {band.shape} for a picture of {layout.width} x {layout.height}")
        yield band
    if missing:
        raise CaeError(f"{missing} of the picture's {layout.height} rows are missing")


def regrouped(bands: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """The same picture in bands of so many rows, but for the last.

    >>> [len(band) for band in regrouped(np.split(np.zeros((11, 2, 1)), [5, 6]), 4)]
    [4, 4, 3]
    """
    held: list[np.ndarray] = []
    count = 0
    for band in bands:
        while count + len(band) >= rows:
            head, band = band[: rows - count], band[rows - count :]
            yield np.concatenate([*held, head]) if held else head
            held, count = [], 0
        if len(band):
            held.append(band)
            count += len(band)
    if held:
        yield np.concatenate(held)


def mapped_ahead(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Results in order, made by several threads that run no further ahead than two items each."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def read_ahead(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same bands (rows, width, channels), which a thread reads while the ones before are worked on."""
    first = next(bands, None)
    if first is None:
        return
    count = min(max(1, AHEAD_BYTES // max(1, first.nbytes)), AHEAD_BANDS)
    pool = ThreadPoolExecutor(1)
    try:
        pending = deque(pool.submit(next, bands, None) for _ in range(count))
        yield first
        while (band := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, bands, None))
            yield band
    finally:
        pool.shutdown(cancel_futures=True)
