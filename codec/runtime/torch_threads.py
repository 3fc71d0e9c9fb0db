"""The threads of torch's products, which `threads.run_parallel` shares as soon as this module is imported."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable

import torch

from .threads import share_threads_with


class TorchThreads:
    """`ProductThreads` of torch."""

    def count(self) -> int:
        """See `ProductThreads`."""
        return torch.get_num_threads()

    def use(self, number: int) -> None:
        """See `ProductThreads`."""
        use_in_this_thread(number)


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


share_threads_with(TorchThreads())
