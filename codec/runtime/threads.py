"""How many threads work, and on what."""

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
"""More threads than that are never started: they would only take memory, or more than the system has."""

_here = threading.local()
Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count(wanted: int | None) -> int:
    """Threads to use: as many as wanted, within THREADS_PER_PROCESSOR; None takes one for each processor.

    Raises CaeError where the number is no integer or below 1.
    """
    if wanted is None:
        return processors()
    number = integer("threads", wanted)
    if number < 1:
        raise CaeError(f"{number} threads: use at least 1")
    return min(number, THREADS_PER_PROCESSOR * processors())


def run_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, *, among: int | None = None
) -> list[Result]:
    """Applies `work` to all items on up to `threads` threads; the threads that are left over go to each call's products.

    Where the items are some `among` many, each call has as many threads as if all were there: floating-point sums depend
    on their number. The work runs in threads of its own, so that torch's number of threads stays what it was for the
    caller and for everybody else; or in the caller's, where it is one call at a time with just the caller's number.
    """
    items = list(items)
    if not items:
        return []
    each = max(1, threads // max(1, min(threads, among or len(items))))
    if min(threads, len(items)) == 1 and torch.get_num_threads() == each:
        # with a team of this thread and one of another, GNU OpenMP counts more threads than processors, and has them sleep
        # between any two products
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
    """Ends the work of a thread of `run_parallel` that was interrupted, or where other work failed: CancelledError.

    Work that takes long calls this from time to time.
    """
    if (cancelled := getattr(_here, "cancelled", None)) and cancelled.is_set():
        raise CancelledError


def use_in_this_thread(number: int) -> None:
    """Gives this thread's products a number of threads; it must be a new thread. The numbers of others stay."""
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
    """Functions that set the calling thread's number of threads alone, in the libraries that torch computes with.

    There are none where they are out of reach. `torch.set_num_threads` would change what later threads begin with.
    """
    names = ["omp_set_num_threads"] + ["MKL_Set_Num_Threads_Local"] * torch.backends.mkl.is_available()
    found = {}
    # what the whole process shares comes first, as it does for the linker
    for path in (None, torch._C.__file__):
        with contextlib.suppress(OSError, TypeError):
            library = ctypes.CDLL(path)
            found = {name: getattr(library, name) for name in names if hasattr(library, name)} | found
    if len(found) < len(names):
        return ()
    before = torch.get_num_threads()
    found["omp_set_num_threads"](before + 1)
    works = torch.get_num_threads() == before + 1
    found["omp_set_num_threads"](before)
    return tuple(found.values()) if works else ()


_one_at_a_time = threading.Lock()


def _use_by_torch(number: int) -> None:
    """Where nothing else is in reach: threads that begin in this moment, or set their own number, may take this one."""
    with _one_at_a_time:
        of_new_threads = torch.get_num_threads()
        torch.set_num_threads(number)
        restorer = threading.Thread(target=torch.set_num_threads, args=(of_new_threads,))
        restorer.start()
        restorer.join()
