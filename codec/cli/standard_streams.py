"""Standard input and output in place of files, as `-`. Temporary files stand in for them, since the codec seeks."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import CaeError

STREAM = "-"


@contextlib.contextmanager
def open_input(name: str) -> Iterator[Path]:
    """Gives the path of a file to read; for `-`, of a temporary file with all of standard input.

    Raises:
        CaeError: if standard input is a terminal or closed.
    """
    if name != STREAM:
        yield Path(name)
        return
    with _temporary("standard input") as path:
        if sys.stdin is None or sys.stdin.isatty():
            raise CaeError("standard input is a terminal or closed; redirect a file to it, or name one")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


@contextlib.contextmanager
def open_output(name: str, suffix: str) -> Iterator[Path]:
    """Gives the path of a file to write; for `-`, of a temporary file that is copied to standard output unless the block fails.

    Raises:
        CaeError: if standard output is a terminal or closed.
    """
    if name != STREAM:
        yield Path(name)
        return
    with _temporary(f"standard output{suffix}") as path:
        if sys.stdout is None or sys.stdout.isatty():
            raise CaeError("standard output is a terminal or closed; redirect it to a file, or name one")
        yield path
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@contextlib.contextmanager
def _temporary(name: str) -> Iterator[Path]:
    """Gives the path of a temporary file. Errors name it without its folder."""
    with tempfile.TemporaryDirectory(prefix="cae-") as folder:
        path = Path(folder, name)
        try:
            yield path
        except CaeError as error:
            raise CaeError(str(error).replace(str(path), name)) from None
