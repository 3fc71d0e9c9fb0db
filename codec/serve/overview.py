"""A picture as a whole at a small size, which comes into being while it is looked at."""

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
from ..images.samples import converted
from ..options import Region

SCALE = 8
"""How many times smaller than the picture an overview is, or a larger power of two times where it would be too large."""
PIXELS_MAX = 2**24
SMALL = 1024
_SAMPLES = 2, 4, 8
"""Places along each side at which a large picture's colours are looked up, one after another, before the decoding begins."""
_SAMPLES_PART = 2**23
"""Pixels of the picture for each place, so that samples take a small part of the time."""
_PATCH = 64


class Overview:
    """A picture at 1 / `factor` of its size; rows of it are there as far as `step` has gone on, above samples' colours."""

    def __init__(self, picture: PictureReader) -> None:
        self._picture = picture
        width, height = picture.size
        self.factor = SCALE
        while -(-width // self.factor) * -(-height // self.factor) > PIXELS_MAX:
            self.factor *= 2
        channels = len(picture.mode)
        self.pixels = np.full((-(-height // self.factor), -(-width // self.factor), channels), 128, np.uint8)
        self.rows = self.changes = 0
        self._steps = self._work()
        self._lock = threading.Lock()
        self.error: CaeError | None = None
        """What is wrong with the picture, if it cannot be finished."""

    @property
    def done(self) -> float:
        """How much of it is there, from 0 to 1."""
        return self.rows / len(self.pixels)

    def step(self) -> bool:
        """Goes on with it for a while; False where there is nothing left to do, or nothing that can be done now."""
        with self._lock:
            try:
                return next(self._steps, False)
            except CaeError as error:
                self.error = error
            except (MemoryError, OSError, RuntimeError):  # torch's way to say that there is no memory is the last
                self._steps, self.rows = self._work(), 0
            return False

    @property
    def small_factor(self) -> int:
        """How many times smaller than the picture `small` is."""
        factor = self.factor
        while max(self._picture.size) > SMALL * factor:
            factor *= 2
        return factor

    def small(self) -> np.ndarray:
        """It as far as it has come, with sides of SMALL pixels at most."""
        return halved(self.pixels, self.small_factor // self.factor)

    def part(self, region: Region, factor: int) -> np.ndarray | None:
        """A region of the picture (in pixels of its full size) at 1 / `factor` of it; None where that is not yet there."""
        x, y, width, height = region
        first, end = y // self.factor, -(-(y + height) // self.factor)
        if factor < self.factor or end > self.rows:
            return None
        pixels = self.pixels[first:end, x // self.factor : -(-(x + width) // self.factor)]
        return halved(pixels, factor // self.factor)

    def _work(self) -> Iterator[bool]:
        width, height = self._picture.size
        # a process's first synthesis tests and sets up the kernels, for which no tile shall wait
        self._picture.read((width // 2, height // 2, 1, 1))
        yield True
        for count in _SAMPLES:
            if count**2 * _SAMPLES_PART <= width * height:
                yield from self._sample(min(count, width), min(count, height))
        for rows in self._picture.bands(scale=1 / SCALE):
            rows = converted(rows, self._picture.depth, 8).reshape(len(rows), -1, self.pixels.shape[2])
            rows = halved(rows, self.factor // SCALE)
            self.pixels[self.rows : self.rows + len(rows)] = rows
            self.rows += len(rows)
            self.changes += 1
            yield True

    def _sample(self, columns: int, rows: int) -> Iterator[bool]:
        """Shows colours of a few places, and what lies between them smoothly."""
        width, height = self._picture.size
        colours = np.empty((rows, columns, self.pixels.shape[2]), np.uint8)
        for row, column in np.ndindex(rows, columns):
            x, y = (2 * column + 1) * width // (2 * columns), (2 * row + 1) * height // (2 * rows)
            patch = self._picture.read((x, y, min(_PATCH, width - x), min(_PATCH, height - y)), 1 / SCALE)
            patch = converted(patch, self._picture.depth, 8)
            colours[row, column] = patch.reshape(-1, colours.shape[2]).mean(0)
            yield True
        size = self.pixels.shape[1::-1]
        planes = [Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC) for plane in np.moveaxis(colours, -1, 0)]
        self.pixels[:] = np.stack(planes, -1)
        self.changes += 1


def halved(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Averages over squares of a power of two."""
    while factor > 1:
        step = min(factor, SCALE)
        pixels, factor = reduce(pixels, step), factor // step
    return pixels


class Builder:
    """Makes overviews on one thread, the one that was asked for last first, while nobody waits for something else."""

    def __init__(self) -> None:
        self._wanted: list[Overview] = []
        self._waiting = 0
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def want(self, overview: Overview) -> None:
        """Has an overview finished before all others."""
        with self._change:
            if overview in self._wanted:
                self._wanted.remove(overview)
            self._wanted.append(overview)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._change.notify()

    @contextlib.contextmanager
    def giving_way(self) -> Iterator[None]:
        """Begins no further step while the block lasts."""
        with self._change:
            self._waiting += 1
        try:
            yield
        finally:
            with self._change:
                self._waiting -= 1
                self._change.notify()

    def _run(self) -> None:
        if sys.platform == "linux":
            # there a thread has a priority of its own, which the threads that it starts inherit
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while True:
            with self._change:
                self._change.wait_for(lambda: self._wanted and not self._waiting)
                overview = self._wanted[-1]
            if not overview.step():
                with self._change:
                    self._wanted.remove(overview)
