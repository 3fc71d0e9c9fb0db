"""What one process does at a time: small pictures side by side, large ones alone by all threads."""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..errors import CaeError
from .working import Outcome, Task, Tools, Work

if TYPE_CHECKING:
    import numpy as np

ALONE_FROM = 2**25
"""Pixels from which on a picture is worked on alone, by all threads, among which smaller ones are shared out."""
ROOM = 2**24
"""Pixels at a time for each thread, on average."""


class _Stopped(Exception):
    """The command ends before this picture is done."""


class _PixelBudget:
    """Bounds the memory of what is worked on at the same time."""

    def __init__(self, pixels: int) -> None:
        self._pixels, self._used = pixels, 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for so many pixels, or, for more than there ever is, until all is free."""
        pixels = min(pixels, self._pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._used + pixels <= self._pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


class TaskPool:
    """Does tasks that several threads bring.

    Args:
        given: the command's arguments.
        count: threads of the processor.
        tasks: how many are brought at a time.
        count_pixels: is told of pixels as they are done, on any thread.
    """

    def __init__(
        self, work: Work, given: argparse.Namespace, count: int, tasks: int, count_pixels: Callable[[int], None]
    ) -> None:
        self._work, self._count_pixels = work, count_pixels
        self._stopping = threading.Event()
        self._side_by_side = Tools(given, max(1, count // tasks), self)
        self._alone = Tools(given, count, self)
        self._all = ROOM * count
        self._room = _PixelBudget(self._all)

    def do(self, task: Task) -> Outcome:
        """Does a task, or says why not."""
        try:
            return self._do(task)
        except Exception as error:  # of many libraries, and none shall end the work on the other files
            return Outcome(error=str(error) if isinstance(error, CaeError) else f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        """Has the work that is under way end soon, with no file left."""
        self._stopping.set()

    def _do(self, task: Task) -> Outcome:
        try:
            task.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaeError(f"{task.target.parent}: {error.strerror or error}") from None
        pixels = self._work.pixels(task.source)
        alone = pixels >= ALONE_FROM
        with self._room.of(self._all if alone else pixels):
            if self._stopping.is_set():
                raise _Stopped
            start = time.monotonic()
            facts = self._work.run(task, self._alone if alone else self._side_by_side)
            return Outcome(facts, time.monotonic() - start)

    def bands(self, bands: Iterator[np.ndarray], pixels: int, name: str, *, ahead: bool = False) -> Iterator[np.ndarray]:
        """As `working.Watch` has it; ends the work where it is to stop."""
        for band in bands:
            self._check()
            yield band
            self._count_pixels(band.shape[0] * band.shape[1])

    @contextlib.contextmanager
    def search(self, pixels: int | None, name: str) -> Iterator[Callable[[float], None]]:
        """As `working.Watch` has it; ends the work where it is to stop."""
        yield lambda _: self._check()
        self._count_pixels(pixels or 0)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise _Stopped
