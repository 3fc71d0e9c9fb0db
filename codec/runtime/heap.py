"""Memory that is given back to the system."""

from __future__ import annotations

import ctypes
import sys


def trim_heap() -> None:
    """Gives back what the allocator keeps of memory that was freed, where it can; glibc's keeps most of it for good."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
