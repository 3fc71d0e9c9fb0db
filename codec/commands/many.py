"""Many files at a time: small pictures side by side, so that reading, networks, entropy coding and writing overlap."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from ..errors import CaeError
from . import progress
from .common import one_line, tell
from .planning import Plan
from .working import Facts, Task, Telling, Tools, Work, refusal

if TYPE_CHECKING:
    import numpy as np

ALONE_FROM = 2**25
"""Pixels from which on a picture is worked on alone, by all threads, among which smaller ones are shared out."""
ROOM = 2**24
"""Pixels at a time for each thread, on average."""


class _Stopped(Exception):
    """The command ends before this picture is done."""


class _Room:
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


class _Workers:
    """Does tasks on several threads."""

    def __init__(self, work: Work, given: argparse.Namespace, count: int, tasks: int, bar: progress.FilesBar) -> None:
        self._work, self._bar = work, bar
        self._stopping = threading.Event()
        self._side_by_side = Tools(given, max(1, count // tasks), self._watched)
        self._alone = Tools(given, count, self._watched)
        self._all = ROOM * count
        self._room = _Room(self._all)

    def do(self, task: Task) -> tuple[Facts, float]:
        """Does a task: what is told of the file, and the seconds that it took."""
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
            return facts, time.monotonic() - start

    def stop(self) -> None:
        """Has the work that is under way end soon, with no file left."""
        self._stopping.set()

    def _watched(self, bands: Iterator[np.ndarray], pixels: int, name: str, *, ahead: bool = False) -> Iterator[np.ndarray]:
        for band in bands:
            if self._stopping.is_set():
                raise _Stopped
            yield band
            self._bar.add_pixels(band.shape[0] * band.shape[1])


def run_many(work: Work, plan: Plan, given: argparse.Namespace, program: str) -> None:
    """Does a plan's tasks, goes on after those that fail, and names them at the end; status 1 where there are such."""
    telling = Telling(given)
    failed = [(str(path), message) for path, message in plan.refused]
    for path, message in failed:
        telling.failed(path, message)
    tasks = []
    for task in plan.tasks:
        if reason := refusal(task, given):
            telling.skipped(str(task.source), str(task.target), reason)
        else:
            tasks.append(task)
    if tasks:
        failed += _run(work, tasks, given, telling)
    for path, message in failed:
        tell(one_line(f"{program}: {message if message.startswith(path) else f'{path}: {message}'}"))
    if failed:
        total = len(plan.tasks) + len(plan.refused)
        sys.exit(f"{program}: {len(failed)} of {total} files failed")


def _run(work: Work, tasks: Sequence[Task], given: argparse.Namespace, telling: Telling) -> list[tuple[str, str]]:
    """Does tasks; the files that fail, and why."""
    from ..runtime import environment

    environment.prepare()
    from ..runtime.threads import thread_count

    failed = []
    count = thread_count(given.threads)
    with progress.FilesBar(len(tasks), given.quiet) as bar:
        workers = _Workers(work, given, count, len(tasks), bar)
        pool = ThreadPoolExecutor(count)
        try:
            for task, future in _done(pool, workers, tasks, 2 * count):
                try:
                    facts, seconds = future.result()
                except Exception as error:  # of many libraries, and none shall end the work on the other files
                    message = str(error) if isinstance(error, CaeError) else f"{type(error).__name__}: {error}"
                    failed.append((str(task.source), message))
                    telling.failed(*failed[-1])
                else:
                    telling.made(str(task.source), str(task.target), facts, seconds)
                bar.add_file()
        finally:
            workers.stop()
            pool.shutdown(cancel_futures=True)
    return failed


def _done(
    pool: ThreadPoolExecutor, workers: _Workers, tasks: Sequence[Task], ahead: int
) -> Iterator[tuple[Task, Future[tuple[Facts, float]]]]:
    """The tasks as they are done, of which no more than `ahead` are begun or wait."""
    pending: dict[Future[tuple[Facts, float]], Task] = {}
    left = iter(tasks)
    while True:
        for task in left:
            pending[pool.submit(workers.do, task)] = task
            if len(pending) >= ahead:
                break
        if not pending:
            return
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            yield pending.pop(future), future
