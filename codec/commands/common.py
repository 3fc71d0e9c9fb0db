"""What the commands share: errors and warnings as one line, and how the commands end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ..errors import CaeError

_BREAKING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """A message with line breaks and control characters (of file names, for instance) escaped.

    >>> print(one_line("two\\nlines"))
    two\\nlines
    """
    return _BREAKING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


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


def tell(line: str) -> None:
    """Prints a line to stderr, above a progress bar if there is one."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


@contextlib.contextmanager
def reporting(
    program: str, at_out_of_memory: str = "use fewer threads (-j 1), smaller tiles, or --region", *, quiet: bool = False
) -> Iterator[None]:
    """Turns errors and warnings into one line on stderr each; errors end the program with status 1, `quiet` drops warnings.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that no partial file stays behind.
    """

    def show(message, *_args, **_kwargs) -> None:
        if not quiet:
            tell(one_line(f"{program}: warning: {message}"))

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


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name before the message of an error that arises with it."""
    try:
        yield
    except CaeError as error:
        raise CaeError(f"{path}: {error}") from None
