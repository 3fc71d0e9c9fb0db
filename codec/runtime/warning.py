"""The package's warnings, which a thread may collect or prefix. No state of the process changes for that."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator


class _ThreadState(threading.local):
    messages: list[str] | None = None
    """Gets the messages while the thread collects them."""
    prefix = ""


_state = _ThreadState()


def warn(message: str, stacklevel: int = 1) -> None:
    """Issues a RuntimeWarning at a caller's line, as `warnings.warn` counts them, unless the thread collects warnings."""
    message = message if message.startswith(_state.prefix) else _state.prefix + message
    if _state.messages is None:
        warnings.warn(message, RuntimeWarning, stacklevel=stacklevel + 1)
    else:
        _state.messages.append(message)


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
