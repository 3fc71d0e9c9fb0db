"""How many threads work, and on what."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from ..errors import CaeError

Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_count(wanted: int | None) -> int:
    """Threads to use: as wanted, else one for each processor that this process may use."""
    if wanted is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not isinstance(wanted, int) or wanted < 1:
        raise CaeError(f"{wanted!r} threads: use a whole number, at least 1")
    return wanted


def run_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, *, among: int | None = None
) -> list[Result]:
    """Applies `work` to all items on up to `threads` threads; the threads that are left over go to each call's products.

    Where the items are some `among` many, each call has as many threads as if all were there: floating-point sums depend
    on their number.
    """
    items = list(items)
    workers = max(1, min(threads, len(items)))
    before = torch.get_num_threads()
    each = max(1, threads // max(1, min(threads, among or len(items))))
    try:
        if workers == 1:
            torch.set_num_threads(each)
            return [work(item) for item in items]
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(each,)) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(before)
