"""Progress bars, which a terminal shows from two seconds on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .common import one_line

if TYPE_CHECKING:
    import numpy as np
    from tqdm import tqdm

PROGRESS_AFTER = 2.0
"""Seconds."""


class FilesBar:
    """A bar of files, of which several are worked on at a time."""

    def __init__(self, files: int, quiet: bool) -> None:
        shape = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} files{postfix}, {remaining} left"
        self._entered = _bar(quiet, total=files, unit="file", bar_format=shape)
        self._start, self._pixels = time.monotonic(), 0
        self._lock = threading.Lock()

    def __enter__(self) -> FilesBar:
        self._bar = self._entered.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.__exit__(*error)

    def add_pixels(self, count: int) -> None:
        """Counts pixels, on any thread."""
        with self._lock:
            self._pixels += count
            speed = self._pixels / 1e6 / max(time.monotonic() - self._start, 1e-3)
            self._bar.set_postfix_str(f"{speed:.1f} MP/s", refresh=False)

    def add_file(self) -> None:
        """Counts a file."""
        self._bar.update()


@contextlib.contextmanager
def _bar(quiet: bool, **options: Any) -> Iterator[tqdm]:
    """A bar that is drawn again from time to time, since one step may take longer than anyone waits for a sign."""
    from tqdm import tqdm

    ended = threading.Event()

    def refresh() -> None:
        wait = PROGRESS_AFTER
        while not ended.wait(wait):
            bar.refresh()
            wait = 1

    with tqdm(delay=PROGRESS_AFTER, disable=quiet or None, leave=False, **options) as bar:
        if not bar.disable:
            threading.Thread(target=refresh, daemon=True).start()
        try:
            yield bar
        finally:
            ended.set()


class PictureBar:
    """A bar of one picture's pixels."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def bands(self, bands: Iterable[np.ndarray], pixels: int, name: str, *, ahead: bool = False) -> Iterator[np.ndarray]:
        """The same bands, whose pixels are counted.

        With `ahead`, whoever takes the bands works on several at a time: they count when he comes back after a while.
        """
        taken = 0
        with self._shown(pixels, name) as bar:
            for band in bands:
                taken += band.shape[0] * band.shape[1]
                start = time.monotonic()
                if not ahead:
                    bar.update(taken / 1e6 - bar.n)
                yield band
                if ahead and time.monotonic() - start > 0.1:
                    bar.update(taken / 1e6 - bar.n)

    @contextlib.contextmanager
    def search(self, pixels: int | None, name: str) -> Iterator[Callable[[float], None]]:
        """Gives what the pixels of a search are to be counted with, on any thread; None where nobody knows how many."""
        lock = threading.Lock()

        def count(done: float) -> None:
            with lock:
                # sums of parts may come out above the whole, at which tqdm warns
                bar.update(done / 1e6 if bar.total is None else min(done / 1e6, bar.total - bar.n))

        with self._shown(pixels, name) as bar:
            yield count

    def _shown(self, pixels: int | None, name: str) -> contextlib.AbstractContextManager[tqdm]:
        shape = "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} MP, {rate_fmt}, {remaining} left"
        if pixels is None:
            shape = "{desc} {n:.1f} MP in all tries, {rate_fmt}, {elapsed}"
        return _bar(
            self._quiet, total=None if pixels is None else pixels / 1e6, desc=one_line(name), unit="MP", bar_format=shape
        )
