"""Pictures as bands of whole rows, and helpers that the formats share."""

from __future__ import annotations

import dataclasses
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from ...errors import CaeError
from ..opening import open_image, prepare_pixels
from ..picture import from_pillow
from ..samples import converted, output_depth, type_of

BAND_PIXELS = 2**21
"""Pixels of a band, if the file's own pieces are smaller."""
AHEAD_BYTES, AHEAD_BANDS = 2**25, 64
"""Most that is read ahead, about as much as is encoded at a time."""
READ_SIZE = 2**18
"""Bytes of a compressed file that are read at a time."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class NotStreamableError(Exception):
    """The file is of a kind that cannot be read in bands; the message says why, as the end of a sentence."""


@dataclasses.dataclass(frozen=True)
class BandSource:
    """A picture that arrives once, from top to bottom, in `bands` of any heights: (rows, width, channels), alpha last.

    Bands are uint8 for a `depth` of 8 bits, else uint16. `metadata` and `own_depth` are those of `Picture`.
    """

    width: int
    height: int
    channels: int
    metadata: Mapping[str, bytes]
    bands: Iterator[np.ndarray]
    depth: int = 8
    own_depth: int = 16

    def in_own_depth(self, requested: int | None) -> BandSource:
        """Returns the picture with the bits of its file, unless 16 are requested; raises CaeError for any other number."""
        if self.own_depth == 16:
            return self
        depth = output_depth(self.own_depth, requested)
        bands = (converted(band, 16, depth) for band in self.bands)
        return dataclasses.replace(self, bands=bands, depth=depth, own_depth=16)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A picture to write: sides, channels, a file of one pixel with its metadata, and threads that compress.

    For a `depth` above 8 bits its rows are uint16, and the file gets 16 bits a sample.
    """

    width: int
    height: int
    channels: int
    sample: bytes
    threads: int
    depth: int = 8

    @property
    def is_high_bit_depth(self) -> bool:
        """True if samples have more than 8 bits."""
        return self.depth > 8


def rows_at_once(width: int, unit: int = 1) -> int:
    """Returns the rows of a band, a multiple of `unit`."""
    return max(1, BAND_PIXELS // (width * unit)) * unit


def decode_small_file(parts: Iterable[bytes], kind: str) -> np.ndarray:
    """Decodes an image file in memory as files that are read whole: (rows, width, channels) uint8."""
    with open_image(io.BytesIO(b"".join(parts)), (kind,)) as image:
        prepare_pixels(image)
        return from_pillow(image).pixels


def check_bands(bands: Iterator[np.ndarray], layout: Layout) -> Iterator[np.ndarray]:
    """Yields the bands; raises CaeError if they do not make the picture."""
    missing = layout.height
    for band in bands:
        missing -= len(band)
        if band.dtype != type_of(layout.depth) or band.shape[1:] != (layout.width, layout.channels) or missing < 0:
            raise CaeError(f"rows of {band.dtype} {band.shape} for a picture of {layout.width} x {layout.height}")
        yield band
    if missing:
        raise CaeError(f"{missing} of the picture's {layout.height} rows are missing")


def regroup(bands: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """Yields the same picture in bands of so many rows; the last may have fewer.

    >>> [len(band) for band in regroup(np.split(np.zeros((11, 2, 1)), [5, 6]), 4)]
    [4, 4, 3]
    """
    pending: list[np.ndarray] = []
    count = 0
    for band in bands:
        while count + len(band) >= rows:
            head, band = band[: rows - count], band[rows - count :]
            yield np.concatenate([*pending, head]) if pending else head
            pending, count = [], 0
        if len(band):
            pending.append(band)
            count += len(band)
    if pending:
        yield np.concatenate(pending)


def map_ahead(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yields the results of several threads in order. The threads run at most two items each ahead."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def read_ahead(bands: Iterator[np.ndarray], ahead_bytes: int = AHEAD_BYTES) -> Iterator[np.ndarray]:
    """Yields the bands (rows, width, channels); a thread reads ahead, at most `ahead_bytes`, while they are processed."""
    first = next(bands, None)
    if first is None:
        return
    count = min(max(1, ahead_bytes // max(1, first.nbytes)), AHEAD_BANDS)
    pool = ThreadPoolExecutor(1)
    try:
        pending = deque(pool.submit(next, bands, None) for _ in range(count))
        yield first
        while (band := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, bands, None))
            yield band
    finally:
        pool.shutdown(cancel_futures=True)
