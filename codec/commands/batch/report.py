"""Reports on files: a line each on standard error, a line of JSON each on standard output."""

from __future__ import annotations

import json
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

    def report_written(self, source: str, target: str, summary: Summary, seconds: float) -> None:
        """Reports a written file."""
        self._print_json({"input": source, "output": target, **summary, "seconds": round(seconds, 3)})
        if self._verbose:
            quality = f" quality {summary['quality']}," if "quality" in summary else ""
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
        if self._verbose:
            print_message(one_line(f"{source} -> {target}: skipped, {reason}"))

    def report_failed(self, source: str, message: str) -> None:
        """Reports a file that could not be written."""
        self._print_json({"input": source, "error": message})

    def _print_json(self, facts: dict[str, Any]) -> None:
        if self._as_json:
            print(json.dumps(facts), flush=True)
