"""Tasks, the work that a command does on each, and the tools for it."""

from __future__ import annotations

import argparse
import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from ...api.codec import Codec

Summary = dict[str, Any]
"""Facts about a written file, as reports show them: width, height, mode, bytes and others."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A file to read, and the file to write from it."""

    source: Path
    target: Path


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a task: a summary of the written file and the seconds taken, or an error message.

    `warnings` are those that a remote worker raised.
    """

    summary: Summary = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    warnings: tuple[str, ...] = ()


class ProgressMonitor(Protocol):
    """Follows the work on one picture at a time."""

    def track_bands(self, bands: Iterator[np.ndarray], pixels: int, name: str) -> Iterator[np.ndarray]:
        """Passes on the bands of the picture `name` and counts their pixels, `pixels` in all."""

    def track_work(self, pixels: int | None, name: str) -> AbstractContextManager[Callable[[float], None]]:
        """Gives a function that counts pixels that are done, on any thread; `pixels` is None where their sum is unknown."""


class Tools:
    """Codecs for a command's work, and the monitor of its progress. Safe to use from several threads.

    Args:
        arguments: the command's arguments, those of `add_resource_arguments` among them.
        threads: CPU threads for each picture; None for all processors.
        monitor: follows the work.
    """

    def __init__(self, arguments: argparse.Namespace, threads: int | None, monitor: ProgressMonitor) -> None:
        self._arguments, self.threads, self.monitor = arguments, threads, monitor
        self._codecs: dict[tuple[tuple[str, Any], ...], Codec] = {}
        self._lock = threading.Lock()

    def codec(self, **options: Any) -> Codec:
        """Returns a codec with these options of `Codec`, the same one for the same options."""
        from ... import Codec

        key = tuple(options.items())
        with self._lock:
            if key not in self._codecs:
                arguments = self._arguments
                self._codecs[key] = Codec(weights=arguments.weights, device=arguments.device, threads=self.threads, **options)
            return self._codecs[key]


class Work(Protocol):
    """The work of a command on one file."""

    arguments: argparse.Namespace
    suffix: str
    """Suffix of output files that are not named by the user."""

    def check_output(self, name: str) -> None:
        """Raises UsageError if a file of this name, or of this format, cannot be written."""

    def accepts(self, path: Path) -> bool:
        """Returns True if a file found in a folder is an input, by its name."""

    def count_pixels(self, path: Path) -> int:
        """Returns the pixels of an input file (twice as many for high bit depth), by a quick look; 0 if unknown."""

    def run(self, task: Task, tools: Tools) -> Summary:
        """Does a task; raises CaeError, and leaves no file, where it fails."""
