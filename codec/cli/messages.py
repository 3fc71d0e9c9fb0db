"""Errors and warnings as one line on standard error each, and the exit status of a command."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ..errors import AdvisableError, CaeError, TooLargeError, UsageError, advised, torch_is_missing
from ..runtime import environment

_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    """Escapes line breaks, other control characters, and bytes that are not UTF-8, which file names may hold.

    >>> print(one_line("two\\nlines"))
    two\\nlines
    """
    return _CONTROL_CHARACTERS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def print_message(line: str) -> None:
    """Prints a line to standard error, above a progress bar if there is one."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


@contextlib.contextmanager
def report_errors(
    program: str, out_of_memory_advice: str = "use fewer threads (-j 1), smaller tiles, or --region", *, quiet: bool = False
) -> Iterator[None]:
    """Turns errors and warnings into one line on standard error each, for a command that has the process to itself.

    It prepares the environment for torch as well. An error ends the program with status 1, a UsageError with 2. SIGTERM and
    SIGHUP end it as Ctrl-C does, so that no partial file stays behind.

    Args:
        program: the command's name, with which each line begins.
        out_of_memory_advice: ends the message when memory is exhausted.
        quiet: drop warnings.
    """

    def show_warning(message, *_args, **_kwargs) -> None:
        if not quiet:
            print_message(one_line(f"{program}: warning: {message}"))

    def fail(message: object) -> NoReturn:
        sys.exit(one_line(f"{program}: {message}"))

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    environment.prepare()
    with warnings.catch_warnings(), _handle_termination(end):
        warnings.showwarning = show_warning
        try:
            yield
            if sys.stdout is not None:
                sys.stdout.flush()
        except UsageError as error:
            print_message(one_line(f"{program}: {error}; see {program} --help"))
            sys.exit(2)
        except CaeError as error:
            fail(error)
        except OSError as error:
            if sys.stdout is not None:
                # otherwise Python would complain again, at its end, about what it cannot write
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            # a broken pipe: the reader has stopped reading, as `head` does
            if isinstance(error, BrokenPipeError):
                sys.exit(128 + signal.SIGPIPE)
            fail(error)
        except ModuleNotFoundError as error:
            if (error.name or __package__).partition(".")[0] == __package__.partition(".")[0]:
                raise
            if error.name == "torch":
                fail(torch_is_missing("this"))
            fail(f"the module {error.name} is missing; install the package with what it needs: pip install . in its checkout")
        except (MemoryError, RuntimeError) as error:
            # torch raises a plain RuntimeError when the CPU's memory is exhausted
            if not isinstance(error, MemoryError) and not re.search("(out of|allocate) memory", str(error)):
                raise
            fail(f"out of memory; {out_of_memory_advice}")
        except KeyboardInterrupt:
            sys.exit(130)


@contextlib.contextmanager
def _handle_termination(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handles SIGTERM during the block, and SIGHUP unless it is ignored, as under nohup."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Windows has no SIGHUP
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as scripts set it while they import
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def prefix_errors(path: Path) -> Iterator[None]:
    """Puts the file's path before the message of a CaeError that the block raises."""
    try:
        yield
    except CaeError as error:
        raise error.prefixed(f"{path}: ") from None


@contextlib.contextmanager
def name_pixel_limit() -> Iterator[None]:
    """Names the option of the limit in errors about image files that are too large."""
    try:
        yield
    except TooLargeError as error:
        raise CaeError(f"{error.fact} (--max-pixels){error.advice}") from None


@contextlib.contextmanager
def advise(advice: Mapping[type[AdvisableError], str]) -> Iterator[None]:
    """Replaces the advice in errors of these classes, by one in terms of a command's options."""
    try:
        yield
    except CaeError as error:
        raise advised(error, advice) from None
