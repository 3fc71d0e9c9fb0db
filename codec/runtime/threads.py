"""Threads: their number, and their share of the work."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TypeVar

import torch

from ..errors import CaeError
from ..options import integer

THREADS_PER_PROCESSOR = 4
"""Upper limit of threads: more would only take memory, or exceed the system's limit."""

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


def run_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, *, among: int | None = None
) -> list[Result]:
    """Applies `work` to all items on up to `threads` threads; spare threads are shared among the calls' products.

    Floating-point sums depend on the number of threads of a product. So where the items are part of a larger set of `among`
    items, each call has as many threads as it would have in the whole set. The work runs on new threads, which leaves torch's
    number of threads unchanged for all others. A single call that needs the caller's own number runs on the caller's thread.
    """
    items = list(items)
    if not items:
        return []
    each = max(1, threads // max(1, min(threads, among or len(items))))
    if min(threads, len(items)) == 1 and torch.get_num_threads() == each:
        # a second team of threads would exceed the processors, and GNU OpenMP would let both sleep between products
        return [work(item) for item in items]
    cancelled = threading.Event()

    def begin() -> None:
        _here.cancelled = cancelled
        use_in_this_thread(each)

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


def use_in_this_thread(number: int) -> None:
    """Sets the number of threads of this thread's products; it must be a new thread. Other threads keep theirs."""
    setters = _setters()
    if not setters:
        _use_by_torch(number)
        return
    # torch sets a new thread's number when it is first asked for: later it would undo what is set here
    torch.get_num_threads()
    for setter in setters:
        setter(number)


@functools.cache
def _setters() -> tuple[Callable[[int], object], ...]:
    """Functions of torch's libraries that set the number of threads of the calling thread alone; empty if out of reach.

    `torch.set_num_threads` would change the number of later threads as well.
    """
    names = ["omp_set_num_threads"] + ["MKL_Set_Num_Threads_Local"] * torch.backends.mkl.is_available()
    functions = {}
    # symbols of the whole process come first, as they do for the linker
    for path in (None, torch._C.__file__):
        with contextlib.suppress(OSError, TypeError):
            library = ctypes.CDLL(path)
            functions = {name: getattr(library, name) for name in names if hasattr(library, name)} | functions
    if len(functions) < len(names):
        return ()
    before = torch.get_num_threads()
    functions["omp_set_num_threads"](before + 1)
    works = torch.get_num_threads() == before + 1
    functions["omp_set_num_threads"](before)
    return tuple(functions.values()) if works else ()


_one_at_a_time = threading.Lock()


def _use_by_torch(number: int) -> None:
    """Sets the number by torch itself, the last resort: a thread that starts in this moment may take it over."""
    with _one_at_a_time:
        of_new_threads = torch.get_num_threads()
        torch.set_num_threads(number)
        restorer = threading.Thread(target=torch.set_num_threads, args=(of_new_threads,))
        restorer.start()
        restorer.join()
