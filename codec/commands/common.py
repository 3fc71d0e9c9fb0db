"""What the commands share: arguments, and errors as one line."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from .. import __version__
from ..errors import CaeError
from ..format.limits import PIXELS_MAX

if TYPE_CHECKING:
    import numpy as np

PROGRESS_AFTER = 2.0
"""Seconds."""
_BREAKING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """A message with line breaks and control characters (of file names, for instance) escaped.

    >>> print(one_line("two\\nlines"))
    two\\nlines
    """
    return _BREAKING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, one_line(f"{self.prog}: {message}; see {self.prog} --help") + "\n")


def parser(name: str, description: str) -> Parser:
    """A command's parser."""
    parser = Parser(name, description=description)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_running(parser: argparse.ArgumentParser) -> None:
    """Options that say where a command runs, with which weights and within which limits."""
    parser.add_argument(
        "--device", metavar="auto|cpu|cuda[:N]", default="auto", help="where to run (default: auto, CUDA if it works)"
    )
    parser.add_argument("-j", "--threads", type=int, metavar="N", help="CPU threads (default: all processors)")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights file (default: the one that comes with the codec)"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help="refuse larger pictures, which may be forged to use up memory "
        f"(default: {PIXELS_MAX} for those held whole; for others, as many in a band)",
    )


@contextlib.contextmanager
def _ending_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Has SIGTERM handled for the time of the block, and SIGHUP where it is not ignored (as by nohup)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Windows has none
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def reporting(program: str, at_out_of_memory: str = "use fewer threads (-j 1), smaller tiles, or --region") -> Iterator[None]:
    """Turns errors and warnings into one line on stderr each; errors end the program with status 1.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that no partial file stays behind.
    """

    def show(message, *_args, **_kwargs) -> None:
        print(one_line(f"{program}: warning: {message}"), file=sys.stderr)

    def fail(message: object) -> NoReturn:
        sys.exit(one_line(f"{program}: {message}"))

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    with warnings.catch_warnings(), _ending_by(end):
        warnings.showwarning = show
        try:
            yield
            if sys.stdout is not None:
                sys.stdout.flush()
        except CaeError as error:
            fail(error)
        except OSError as error:
            if sys.stdout is not None:
                # python would complain once more at its end of what it cannot write
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            # at a broken pipe, whoever read the output has what it wanted
            if isinstance(error, BrokenPipeError):
                sys.exit(128 + signal.SIGPIPE)
            fail(error)
        except (MemoryError, RuntimeError) as error:
            # torch reports the CPU's memory as a plain RuntimeError
            if not isinstance(error, MemoryError) and not re.search("(out of|allocate) memory", str(error)):
                raise
            fail(f"out of memory; {at_out_of_memory}")
        except KeyboardInterrupt:
            sys.exit(130)


def progress(bands: Iterable[np.ndarray], pixels: int, name: str, *, ahead: bool = False) -> Iterator[np.ndarray]:
    """The same bands; a terminal shows how many of the picture's pixels are done, from PROGRESS_AFTER seconds on.

    With `ahead`, whoever takes the bands works on several at a time: they count when he comes back after a while.
    """
    from tqdm import tqdm

    shape = "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} MP, {rate_fmt}, {remaining} left"
    bar = tqdm(
        total=pixels / 1e6, desc=one_line(name), unit="MP", bar_format=shape, delay=PROGRESS_AFTER, disable=None, leave=False
    )
    ended = threading.Event()

    def refresh() -> None:
        # a band may take longer than anyone waits for a sign
        wait = PROGRESS_AFTER
        while not ended.wait(wait):
            bar.refresh()
            wait = 1

    if not bar.disable:
        threading.Thread(target=refresh, daemon=True).start()
    taken = 0
    try:
        for band in bands:
            taken += band.shape[0] * band.shape[1]
            start = time.monotonic()
            if not ahead:
                bar.update(taken / 1e6 - bar.n)
            yield band
            if ahead and time.monotonic() - start > 0.1:
                bar.update(taken / 1e6 - bar.n)
    finally:
        ended.set()
        bar.close()


def read_bytes(path: Path) -> bytes:
    """A file's bytes; CaeError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name before the message of an error that arises with it."""
    try:
        yield
    except CaeError as error:
        raise CaeError(f"{path}: {error}") from None
