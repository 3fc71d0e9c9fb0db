"""Progress bars, shown on a terminal after a delay."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...cli.messages import one_line

if TYPE_CHECKING:
    import numpy as np
    from tqdm import tqdm

DELAY = 2.0
"""Seconds from a command's start, with its imports, to the first bar."""
_DELAY_MIN = 0.3
"""Seconds of work for which no bar appears."""
_started = time.monotonic()


def _remaining_delay() -> float:
    return max(_DELAY_MIN, DELAY - (time.monotonic() - _started))


class FilesBar:
    """A bar that counts files and shows the pixels per second.

    Args:
        files: number of files.
        quiet: show nothing.
        delay: seconds before the bar appears; None for what remains of `DELAY`.
    """

    def __init__(self, files: int, quiet: bool, delay: float | None = None) -> None:
        bar_format = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} files{postfix}, {remaining} left"
        self._context = _open_bar(quiet, delay, total=files, unit="file", bar_format=bar_format)
        self._start, self._pixels = time.monotonic(), 0
        self._lock = threading.Lock()

    def __enter__(self) -> FilesBar:
        self._bar = self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def add_pixels(self, count: int) -> None:
        """Counts pixels, on any thread."""
        with self._lock:
            self._pixels += count
            speed = self._pixels / 1e6 / max(time.monotonic() - self._start, 1e-3)
            self._bar.set_postfix_str(f"{speed:.1f} MP/s", refresh=False)

    def add_file(self) -> None:
        """Counts a file."""
        self._bar.update()


class PictureBar:
    """A bar that counts one picture's pixels. A `ProgressMonitor`.

    Args:
        quiet: show nothing.
        delay: seconds before the bar appears; None for what remains of `DELAY`.
    """

    def __init__(self, quiet: bool, delay: float | None = None) -> None:
        self._quiet, self._delay = quiet, delay

    def track_bands(self, bands: Iterable[np.ndarray], pixels: int, name: str) -> Iterator[np.ndarray]:
        """Passes on the bands and counts their pixels."""
        with self._open(pixels, name) as bar:
            for band in bands:
                bar.update(band.shape[0] * band.shape[1] / 1e6)
                yield band

    @contextlib.contextmanager
    def track_work(self, pixels: int | None, name: str) -> Iterator[Callable[[float], None]]:
        """Gives a function that counts pixels, on any thread; `pixels` is None where the sum is unknown."""
        lock = threading.Lock()

        def count(done: float) -> None:
            with lock:
                # rounding may bring the sum above the total, at which tqdm warns
                bar.update(done / 1e6 if bar.total is None else min(done / 1e6, bar.total - bar.n))

        with self._open(pixels, name) as bar:
            yield count

    def _open(self, pixels: int | None, name: str) -> contextlib.AbstractContextManager[tqdm]:
        bar_format = "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} MP, {rate_fmt}, {remaining} left"
        if pixels is None:
            bar_format = "{desc} {n:.1f} MP in all tries, {rate_fmt}, {elapsed}"
        total = None if pixels is None else pixels / 1e6
        return _open_bar(self._quiet, self._delay, total=total, desc=one_line(name), unit="MP", bar_format=bar_format)


def _shape() -> dict[str, int]:
    """Returns tqdm's options for a terminal that does not know its size, where it would show nothing; else none."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # standard error is no terminal, or no file
        known = True
    return {} if known else {"ncols": 80, "nrows": 24}


@contextlib.contextmanager
def _open_bar(quiet: bool, delay: float | None, **options: Any) -> Iterator[tqdm]:
    """Gives a bar that a thread redraws every second, since one step may take long."""
    from tqdm import tqdm

    delay = _remaining_delay() if delay is None else delay
    ended = threading.Event()

    def refresh() -> None:
        pause = delay
        while not ended.wait(pause):
            bar.refresh()
            pause = 1

    with tqdm(delay=delay, disable=quiet or None, leave=False, **_shape(), **options) as bar:
        if not bar.disable:
            threading.Thread(target=refresh, daemon=True).start()
        try:
            yield bar
        finally:
            ended.set()
