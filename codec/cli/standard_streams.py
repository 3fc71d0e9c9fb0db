"""Standard input and output in place of files, as `-`, and named pipes.

Temporary files stand in for them, since the codec seeks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import CaeError
from ..runtime.warning import collect_warnings, warn

STREAM = "-"
_INPUT_NAMES = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_OUTPUT_NAMES = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def input_name(name: str) -> str:
    """Returns `-` for the system's names of standard input, and other names as they are."""
    return STREAM if name in _INPUT_NAMES else name


def output_name(name: str) -> str:
    """Returns `-` for the system's names of standard output, and other names as they are."""
    return STREAM if name in _OUTPUT_NAMES else name


def is_stream(name: str) -> bool:
    """Returns True for `-` and for named pipes, among them the shell's `<(…)` and `>(…)`."""
    if name == STREAM:
        return True
    try:
        return stat.S_ISFIFO(os.stat(name).st_mode)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def open_input(name: str) -> Iterator[Path]:
    """Gives the path of a file to read; for `-` and named pipes, of a temporary file with all that they hold.

    Raises:
        CaeError: if standard input is a terminal or closed, or a pipe cannot be read.
    """
    if not is_stream(name):
        yield Path(name)
        return
    with _temporary(name, "standard input") as path:
        if name == STREAM and (sys.stdin is None or sys.stdin.isatty()):
            raise CaeError("standard input is a terminal or closed; redirect a file to it, or name one")
        with _named_errors(name), path.open("wb") as file:
            if name == STREAM:
                shutil.copyfileobj(sys.stdin.buffer, file)
            else:
                with open(name, "rb") as pipe:
                    shutil.copyfileobj(pipe, file)
        yield path


@contextlib.contextmanager
def open_output(name: str, suffix: str) -> Iterator[Path]:
    """Gives the path of a file to write. For `-` and named pipes it is temporary, and copied to them unless the block fails.

    Raises:
        CaeError: if standard output is a terminal or closed, or a pipe cannot be written.
    """
    if not is_stream(name):
        yield Path(name)
        return
    with _temporary(name, "standard output", suffix) as path:
        if name == STREAM and (sys.stdout is None or sys.stdout.isatty()):
            raise CaeError("standard output is a terminal or closed; redirect it to a file, or name one")
        yield path
        if name == STREAM:
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with path.open("rb") as file, open(name, "wb") as pipe:
                shutil.copyfileobj(file, pipe)


@contextlib.contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CaeError(f"{'standard input' if name == STREAM else name}: {error.strerror or error}") from None


@contextlib.contextmanager
def _temporary(name: str, stream: str, suffix: str = "") -> Iterator[Path]:
    """Gives the path of a temporary file. Errors and warnings name the stream or pipe in its place."""
    shown = f"{stream}{suffix}" if name == STREAM else name
    with tempfile.TemporaryDirectory(prefix="cae-") as folder:
        path = Path(folder, f"{stream}{suffix}")
        messages: list[str] = []
        try:
            with collect_warnings() as messages:
                yield path
        except CaeError as error:
            raise type(error)(*(str(part).replace(str(path), shown) for part in error.args)) from None
        finally:
            for message in messages:
                warn(message.replace(str(path), shown))
