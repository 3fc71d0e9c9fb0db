"""The package's warnings, which a thread may collect or prefix. No state of the process changes for that."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator

_INTERNAL = tuple(f"{__name__.split('.', 1)[0]}.{room}." for room in ("api", "coding", "images", "networks", "runtime"))
"""Beginnings of the names of modules that work for a caller."""


class _ThreadState(threading.local):
    messages: list[str] | None = None
    """Gets the messages while the thread collects them."""
    prefix = ""


_state = _ThreadState()


def warn(message: str) -> None:
    """Issues a RuntimeWarning, unless the thread collects warnings.

    It names the line of the innermost frame outside the modules that work for a caller.
    """
    message = message if message.startswith(_state.prefix) else _state.prefix + message
    if _state.messages is not None:
        _state.messages.append(message)
        return
    level, frame = 1, sys._getframe()
    while frame.f_back and f"{frame.f_globals.get('__name__', '')}.".startswith(_INTERNAL):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level)


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Gives a list that gets the messages of this thread's warnings during the block; they are not shown."""
    outer, _state.messages = _state.messages, []
    try:
        yield _state.messages
    finally:
        _state.messages = outer


@contextlib.contextmanager
def prefix_warnings(prefix: str) -> Iterator[None]:
    """Puts a prefix, such as a file's name, before the messages of this thread's warnings that have it not yet."""
    outer, _state.prefix = _state.prefix, prefix
    try:
        yield
    finally:
        _state.prefix = outer
