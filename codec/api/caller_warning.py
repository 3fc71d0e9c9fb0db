"""Warnings that point at the line of the program that called the codec."""

from __future__ import annotations

import sys
import warnings

_INTERNAL = tuple(f"{__name__.split('.', 1)[0]}.{room}." for room in ("api", "coding", "images", "networks", "runtime"))
"""Beginnings of the names of modules that work for a caller."""


def warn(message: str) -> None:
    """Issues a RuntimeWarning at the innermost frame outside the modules that work for a caller."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and f"{frame.f_globals.get('__name__', '')}.".startswith(_INTERNAL):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level)
