"""The heap of the C library."""

from __future__ import annotations

import ctypes
import sys


def trim_heap() -> None:
    """Returns freed memory to the system, if the allocator can; glibc's would keep most of it."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
