"""Forked processes: how to notice them, and how to work there. Imports no torch, so that `import codec` can watch for forks."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _was_forked() -> bool:
    """True if multiprocessing had forked this process from one with torch before this module was imported."""
    if "torch" not in sys.modules:
        return False
    # here and below: imports that only children need would delay `import codec` and `cae-info`
    import multiprocessing

    if multiprocessing.parent_process() is None:
        return False
    spawned = isinstance(multiprocessing.current_process(), multiprocessing.get_context("spawn").Process)
    return not spawned and multiprocessing.get_start_method(allow_none=True) != "spawn"


_forked = _was_forked()


def _note() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)


def fork_safe(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Makes a function run on a new thread in a forked process.

    On the thread that forked, GNU OpenMP would wait for ever for threads that only the parent has.
    """

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not _forked:
            return function(*args, **kwargs)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *args, **kwargs).result()

    return run
