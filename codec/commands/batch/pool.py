"""Tasks on the threads of this process: small pictures side by side, each large picture alone by all threads."""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from ...cli.standard_streams import open_input
from ...errors import CaeError
from .task import Outcome, Task, Tools, Work

if TYPE_CHECKING:
    import numpy as np

LARGE_PICTURE = 2**25
"""Pixels from which a picture is processed alone, by all threads. Smaller pictures share the threads."""
PIXELS_PER_THREAD = 2**24
"""Pixels in work at the same time for each thread, on average."""


class _StoppedError(Exception):
    """The command ends before the picture is finished."""


class PixelBudget:
    """Bounds the pixels in work at the same time, and so the memory."""

    def __init__(self, pixels: int) -> None:
        self._pixels, self._used = pixels, 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Waits until so many pixels are free, and holds them during the block; at most the whole budget."""
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
    """Does tasks within a budget of memory, several at a time as the caller's threads bring them.

    It is the progress monitor of its work, which ends at the next band after `stop`.

    Args:
        work: the command's work.
        arguments: the command's arguments.
        threads: CPU threads in all.
        tasks: tasks that come at the same time.
        count_pixels: called with the number of pixels done, on any thread.
        large: pixels from which a picture is processed alone.
    """

    def __init__(
        self,
        work: Work,
        arguments: argparse.Namespace,
        threads: int,
        tasks: int,
        count_pixels: Callable[[int], None],
        large: int = LARGE_PICTURE,
    ) -> None:
        self._work, self._count_pixels, self._large = work, count_pixels, large
        self._stopping = threading.Event()
        self._shared_tools = Tools(arguments, max(1, threads // tasks), self)
        self._all_tools = Tools(arguments, threads, self)
        self._budget_size = PIXELS_PER_THREAD * threads
        self._budget = PixelBudget(self._budget_size)

    def run(self, task: Task) -> Outcome:
        """Does a task. Errors become part of the outcome."""
        try:
            return self._run(task)
        except Exception as error:  # any kind, from many libraries: the other files must go on
            return Outcome(error=str(error) if isinstance(error, CaeError) else f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        """Ends tasks in progress at their next band. They leave no files."""
        self._stopping.set()

    def _run(self, task: Task) -> Outcome:
        try:
            task.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaeError(f"{task.target.parent}: {error.strerror or error}") from None
        with open_input(str(task.source)) as source:
            pixels = self._work.count_pixels(source)
            is_large = pixels >= self._large
            with self._budget.reserve(self._budget_size if is_large else pixels):
                self._check()
                start = time.monotonic()
                tools = self._all_tools if is_large else self._shared_tools
                summary = self._work.run(Task(source, task.target), tools)
                return Outcome(summary, time.monotonic() - start)

    def track_bands(self, bands: Iterator[np.ndarray], pixels: int, name: str) -> Iterator[np.ndarray]:
        """See `ProgressMonitor`."""
        for band in bands:
            self._check()
            yield band
            self._count_pixels(band.shape[0] * band.shape[1])

    @contextlib.contextmanager
    def track_work(self, pixels: int | None, name: str) -> Iterator[Callable[[float], None]]:
        """See `ProgressMonitor`."""
        yield lambda _: self._check()
        self._count_pixels(pixels or 0)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise _StoppedError


def run_tasks(
    work: Work, tasks: Sequence[Task], arguments: argparse.Namespace, count_pixels: Callable[[int], None]
) -> Iterator[tuple[Task, Outcome]]:
    """Does tasks on this process's threads; yields them as they finish."""
    from ...runtime.threads import thread_count

    threads = thread_count(arguments.threads)
    pool = TaskPool(work, arguments, threads, len(tasks), count_pixels)
    executor = ThreadPoolExecutor(threads)
    try:
        for task, future in _completed(executor, pool, tasks, 2 * threads):
            yield task, future.result()
    finally:
        pool.stop()
        executor.shutdown(cancel_futures=True)


def _completed(
    executor: ThreadPoolExecutor, pool: TaskPool, tasks: Sequence[Task], pending_max: int
) -> Iterator[tuple[Task, Future[Outcome]]]:
    """Submits tasks, at most `pending_max` at a time, and yields them as they finish."""
    pending: dict[Future[Outcome], Task] = {}
    remaining = iter(tasks)
    while True:
        for task in remaining:
            pending[executor.submit(pool.run, task)] = task
            if len(pending) >= pending_max:
                break
        if not pending:
            return
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            yield pending.pop(future), future
