"""`-`: standard input and output in the place of files, by way of temporary ones, since reading and writing seek."""

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
def as_source(name: str) -> Iterator[Path]:
    """The path of a file to read, or of what comes from standard input; CaeError where that is a terminal."""
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
def as_target(name: str, suffix: str) -> Iterator[Path]:
    """The path of a file to write, or of one that goes to standard output when the block ends well."""
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
    """A path for a file that vanishes, and whose name in errors is its own alone."""
    with tempfile.TemporaryDirectory(prefix="cae-") as folder:
        path = Path(folder, name)
        try:
            yield path
        except CaeError as error:
            raise CaeError(str(error).replace(str(path), name)) from None
