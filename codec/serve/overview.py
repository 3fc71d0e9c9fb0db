"""Small versions of whole pictures, decoded in the background while somebody looks at them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image

from ..api.reader import PictureReader
from ..errors import CaeError
from ..images.downscale import reduce
from ..images.samples import converted, squeeze_gray
from ..options import Region

REDUCTION = 8
"""Factor by which an overview is smaller than its picture; doubled while the overview would be too large."""
OVERVIEW_PIXELS_MAX = 2**24
SMALL_SIDE = 1024
"""Longest side in pixels of the version that pages show first."""
_GRIDS = 2, 4, 8
"""Sides of the grids of places whose colours are sampled before decoding starts, coarse to fine."""
_PIXELS_PER_SAMPLE = 2**23
"""Fewest pixels of the picture for each sample, so that sampling takes a small part of the time."""
_PATCH_SIDE = 64


class Overview:
    """A picture at 1 / `factor` of its size. `step` decodes its rows, from the top; below them stand sampled colours."""

    def __init__(self, picture: PictureReader) -> None:
        self._picture: PictureReader | None = picture
        self._size = width, height = picture.size
        self.factor = REDUCTION
        while -(-width // self.factor) * -(-height // self.factor) > OVERVIEW_PIXELS_MAX:
            self.factor *= 2
        channels = len(picture.mode)
        self.pixels = np.full((-(-height // self.factor), -(-width // self.factor), channels), 128, np.uint8)
        self.rows = self.changes = 0
        self._steps = self._decode()
        self._lock = threading.Lock()
        self.error: CaeError | None = None
        """The error that keeps the overview from being finished, if any."""

    @property
    def done(self) -> float:
        """The decoded part, 0 to 1."""
        return self.rows / len(self.pixels)

    @property
    def small_factor(self) -> int:
        """Factor by which `small` is smaller than the picture."""
        factor = self.factor
        while max(self._size) > SMALL_SIDE * factor:
            factor *= 2
        return factor

    def step(self) -> bool:
        """Continues for a while; returns False if the overview is finished, or cannot be continued at present."""
        with self._lock:
            try:
                goes_on = next(self._steps, False)
                if self.done >= 1:
                    self._picture, self._steps = None, iter(())  # what is kept for long holds no file
                return goes_on
            except CaeError as error:
                self.error = error
            except (MemoryError, OSError, RuntimeError):  # torch raises RuntimeError when memory is exhausted
                self._steps, self.rows = self._decode(), 0
            return False

    def small(self) -> np.ndarray:
        """Returns the overview, finished or not, with sides of at most SMALL_SIDE pixels: (h, w, channels) uint8."""
        return reduce_repeatedly(self.pixels, self.small_factor // self.factor)

    def crop(self, region: Region, factor: int) -> np.ndarray | None:
        """Returns a region (in pixels of the full size) at 1 / `factor` of its size; None where it is not decoded yet."""
        x, y, width, height = region
        first, end = y // self.factor, -(-(y + height) // self.factor)
        if factor < self.factor or end > self.rows:
            return None
        pixels = self.pixels[first:end, x // self.factor : -(-(x + width) // self.factor)]
        return reduce_repeatedly(pixels, factor // self.factor)

    def _decode(self) -> Iterator[bool]:
        picture = self._picture
        assert picture is not None
        width, height = self._size
        # the first synthesis in a process chooses its kernels; no tile shall wait for that
        picture.read((width // 2, height // 2, 1, 1))
        yield True
        for count in _GRIDS:
            if count**2 * _PIXELS_PER_SAMPLE <= width * height:
                yield from self._sample(picture, min(count, width), min(count, height))
        for rows in picture.bands(scale=1 / REDUCTION):
            rows = converted(rows, picture.depth, 8).reshape(len(rows), -1, self.pixels.shape[2])
            rows = reduce_repeatedly(rows, self.factor // REDUCTION)
            self.pixels[self.rows : self.rows + len(rows)] = rows
            self.rows += len(rows)
            self.changes += 1
            yield True

    def _sample(self, picture: PictureReader, columns: int, rows: int) -> Iterator[bool]:
        """Decodes patches on a grid, and interpolates their mean colours over the picture."""
        width, height = self._size
        colours = np.empty((rows, columns, self.pixels.shape[2]), np.uint8)
        for row, column in np.ndindex(rows, columns):
            x, y = (2 * column + 1) * width // (2 * columns), (2 * row + 1) * height // (2 * rows)
            patch = picture.read((x, y, min(_PATCH_SIDE, width - x), min(_PATCH_SIDE, height - y)), 1 / REDUCTION)
            patch = converted(patch, picture.depth, 8)
            colours[row, column] = reduce_repeatedly(patch.reshape(*patch.shape[:2], -1), _PATCH_SIDE // REDUCTION)[0, 0]
            yield True
        size = self.pixels.shape[1::-1]
        # Pillow weights colours by alpha
        image = Image.fromarray(squeeze_gray(colours))
        self.pixels[:] = np.asarray(image.resize(size, Image.Resampling.BICUBIC)).reshape(self.pixels.shape)
        self.changes += 1


def reduce_repeatedly(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Averages (h, w, channels) over squares whose side is a power of two, at most REDUCTION at a time.

    In 2 and 4 channels the last is alpha, by which colours are weighted.
    """
    while factor > 1:
        step = min(factor, REDUCTION)
        pixels, factor = reduce(pixels, step, has_alpha=pixels.shape[2] in (2, 4)), factor // step
    return pixels


class OverviewBuilder:
    """Builds overviews on one thread, the latest requested first. Pauses while anybody waits for other work."""

    def __init__(self) -> None:
        self._requested: list[Overview] = []
        self._waiting = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def request(self, overview: Overview) -> None:
        """Puts an overview before all others."""
        with self._changed:
            if overview in self._requested:
                self._requested.remove(overview)
            self._requested.append(overview)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._changed.notify()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Starts no further step during the block."""
        with self._changed:
            self._waiting += 1
        try:
            yield
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify()

    def _run(self) -> None:
        if sys.platform == "linux":
            # on Linux a thread has its own priority, and passes it on to threads that it starts
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._requested and not self._waiting)
                overview = self._requested[-1]
            if not overview.step():
                with self._changed:
                    self._requested.remove(overview)
