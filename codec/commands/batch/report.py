"""Reports on files: a line each on standard error, a line of JSON each on standard output, and one line in the end."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from typing import Any

from ...cli.messages import one_line, print_message
from .task import Summary


class Reporter:
    """Reports on files as they are written, skipped or fail.

    Args:
        as_json: print a line of JSON for each file.
        verbose: print a line for each file written or skipped.
    """

    def __init__(self, *, as_json: bool, verbose: bool) -> None:
        self._as_json, self._verbose = as_json, verbose
        self._start = time.monotonic()
        self._written = self._bytes_before = self._bytes_after = 0
        self._skipped: Counter[str] = Counter()

    def report_written(self, source: str, target: str, summary: Summary, seconds: float) -> None:
        """Reports a written file."""
        self._print_json({"input": source, "output": target, **summary, "seconds": round(seconds, 3)})
        self._written += 1
        self._bytes_after += summary.get("bytes", 0)
        with contextlib.suppress(OSError):
            self._bytes_before += os.path.getsize(source)
        if self._verbose:
            quality = f" quality {summary['quality']}," if "quality" in summary else ""
            if score := summary.get("expected_score"):
                quality = f"{quality[:-1]} (about {score:.0f} points),"
            if summary.get("lossless"):
                quality = " lossless,"
            size = f"{summary['width']} x {summary['height']} {summary['mode']}"
            if by := summary.get("resized_by"):
                size += f" by a {by}"
            bpp = summary["bytes"] * 8 / (summary["width"] * summary["height"])
            line = f"{source} -> {target}: {size},{quality} {summary['bytes']} bytes, {bpp:.3f} bpp, {seconds:.2f} s"
            print_message(one_line(line))

    def report_skipped(self, source: str, target: str, reason: str) -> None:
        """Reports a file that stays as it is."""
        self._print_json({"input": source, "output": target, "skipped": reason})
        self._skipped[reason] += 1
        if self._verbose:
            print_message(one_line(f"{source} -> {target}: skipped, {reason}"))

    def report_failed(self, source: str, message: str) -> None:
        """Reports a file that could not be written."""
        self._print_json({"input": source, "error": message})

    def report_end(self, program: str, ignored: int) -> None:
        """Prints how many files were written, their bytes before and after, the time, and what was left out.

        Args:
            program: the command's name.
            ignored: files in folders that are no inputs by their names.
        """
        seconds = time.monotonic() - self._start
        before = f"{format_size(self._bytes_before)} -> " if self._bytes_before else ""  # none are known of pipes
        sizes = f"{before}{format_size(self._bytes_after)}"
        line = f"{program}: {_count(self._written, 'file')}, {sizes}, {seconds:.1f} s"
        for reason, count in self._skipped.items():
            line += f"; {count} skipped: {reason}"
        if ignored:
            line += f"; {_count(ignored, 'other file')} ignored"
        print_message(one_line(line))

    def _print_json(self, facts: dict[str, Any]) -> None:
        if self._as_json:
            print(json.dumps(facts), flush=True)


def format_size(size: int) -> str:
    """Formats a number of bytes.

    >>> format_size(999), format_size(12_345), format_size(4_000_000)
    ('999 bytes', '12.3 kB', '4.0 MB')
    """
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.95:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
