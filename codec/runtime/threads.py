"""Threads: their number, and their share of the work. Knows no torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Protocol, TypeVar

from ..errors import CaeError
from ..options import integer

THREADS_PER_PROCESSOR = 4
"""Upper limit of threads: more would only take memory, or exceed the system's limit."""


class ProductThreads(Protocol):
    """The threads on which a library computes products, for each thread that calls it."""

    def count(self) -> int:
        """Their number for this thread."""

    def use(self, number: int) -> None:
        """Sets their number for this thread, which must be a new one. Other threads keep theirs."""


_libraries: list[ProductThreads] = []
_here = threading.local()
Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count(requested: int | None) -> int:
    """Number of threads to use: as requested, up to THREADS_PER_PROCESSOR; None takes one for each processor.

    Raises CaeError where the number is no integer or below 1.
    """
    if requested is None:
        return processors()
    number = integer("threads", requested)
    if number < 1:
        raise CaeError(f"{number} threads: use at least 1")
    return min(number, THREADS_PER_PROCESSOR * processors())


def share_threads_with(library: ProductThreads) -> None:
    """Shares spare threads of `run_parallel` with a library's products from now on."""
    _libraries.append(library)


def run_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, *, among: int | None = None
) -> list[Result]:
    """Applies `work` to all items on up to `threads` threads; spare threads are shared among the calls' products.

    They are those of `share_threads_with`; NumPy's products have threads of their own, or none.

    Floating-point sums depend on the number of threads of a product. So where the items are part of a larger set of `among`
    items, each call has as many threads as it would have in the whole set. The work runs on new threads, which leaves the
    number of threads of all others unchanged. A single call that needs the caller's own number runs on the caller's thread.
    """
    items = list(items)
    if not items:
        return []
    each = max(1, threads // max(1, min(threads, among or len(items))))
    if min(threads, len(items)) == 1 and all(library.count() == each for library in _libraries):
        # a second team of threads would exceed the processors, and GNU OpenMP would let both sleep between products
        return [work(item) for item in items]
    cancelled = threading.Event()

    def begin() -> None:
        _here.cancelled = cancelled
        for library in _libraries:
            library.use(each)

    with ThreadPoolExecutor(max(1, min(threads, len(items))), initializer=begin) as pool:
        try:
            results = pool.map(work, items)
        except RuntimeError as error:
            raise CaeError(f"the system starts no more threads ({error}); use fewer (-j, threads=)") from None
        try:
            return list(results)
        except BaseException:
            cancelled.set()
            raise


def check_cancelled() -> None:
    """Raises CancelledError on a thread of `run_parallel` that was interrupted, or whose other work has failed.

    Long work calls this from time to time.
    """
    if (cancelled := getattr(_here, "cancelled", None)) and cancelled.is_set():
        raise CancelledError
