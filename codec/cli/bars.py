"""Progress bars on a terminal, which show within two seconds that a command lives. In logs they are silent."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

DELAY = 2.0
"""Seconds from a command's start, with its imports, to the first bar."""
_DELAY_MIN = 0.3
"""Seconds of work for which no bar appears."""
_started = time.monotonic()


@contextlib.contextmanager
def open_bar(quiet: bool, delay: float | None = None, *, leave: bool = False, **options: Any) -> Iterator[tqdm]:
    """Gives a bar that a thread redraws every second, since one step may take long.

    Args:
        quiet: show nothing.
        delay: seconds before the bar appears; None for what remains of `DELAY`.
        leave: leave the bar on the screen at its end.
        options: those of tqdm.
    """
    from tqdm import tqdm

    delay = max(_DELAY_MIN, DELAY - (time.monotonic() - _started)) if delay is None else delay
    ended = threading.Event()

    def refresh() -> None:
        pause = delay
        while not ended.wait(pause):
            bar.refresh()
            pause = 1

    with tqdm(delay=delay, disable=quiet or None, leave=leave, **_shape(), **options) as bar:
        if not bar.disable:
            threading.Thread(target=refresh, daemon=True).start()
        try:
            yield bar
        finally:
            ended.set()


def show_activity(quiet: bool, name: str) -> contextlib.AbstractContextManager[tqdm]:
    """Gives a bar of work whose pieces are not counted: its name and the seconds it has taken."""
    return open_bar(quiet, desc=name, total=None, bar_format="{desc}, {elapsed}")


def _shape() -> dict[str, int]:
    """Returns tqdm's options for a terminal that does not know its size, where it would show nothing; else none."""
    try:
        has_size = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # standard error is no terminal, or no file
        has_size = True
    return {} if has_size else {"ncols": 80, "nrows": 24}
