"""One file's work: what it is, what it is done with, and what is told of it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import CaeError
from .common import one_line, tell
from .table import Table

if TYPE_CHECKING:
    import numpy as np

    from ..api.codec import Codec

Facts = dict[str, Any]
"""What is told of a file that was made: width, height, mode, bytes and so on."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A file to read and a file to make of it."""

    source: Path
    target: Path


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a task: facts of the file that was made in so many seconds, or why there is none.

    `warnings` were given on another machine meanwhile.
    """

    facts: Facts = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    warnings: tuple[str, ...] = ()


class Watch(Protocol):
    """Follows the work on a picture of so many pixels and a name, by what passes of its bands or by its search."""

    def bands(self, bands: Iterator[np.ndarray], pixels: int, name: str, *, ahead: bool = False) -> Iterator[np.ndarray]:
        """The same bands; `ahead` says that whoever takes them works on several at a time."""

    def search(self, pixels: int | None, name: str) -> AbstractContextManager[Callable[[float], None]]:
        """Gives what counts pixels as the search for their symbols goes on, on any thread; None where nobody knows how many."""


class Tools:
    """What the work is done with, on any thread.

    Args:
        given: the command's arguments that `add_running` adds.
        threads: for each picture.
        watch: is told how far each picture is.
    """

    def __init__(self, given: argparse.Namespace, threads: int | None, watch: Watch) -> None:
        self._given, self.threads, self.watch = given, threads, watch
        self._codecs: dict[tuple[tuple[str, Any], ...], Codec] = {}
        self._lock = threading.Lock()

    def codec(self, **arguments: Any) -> Codec:
        """A codec with these arguments of its own, kept from one picture to the next."""
        from .. import Codec

        key = tuple(arguments.items())
        with self._lock:
            if key not in self._codecs:
                given = self._given
                self._codecs[key] = Codec(weights=given.weights, device=given.device, threads=self.threads, **arguments)
            return self._codecs[key]


class Work(Protocol):
    """What a command does with files."""

    suffix: str
    """Of the files that are made where nothing else is named."""

    def accepts(self, path: Path) -> bool:
        """Whether a file in a folder is one to read, by its name."""

    def pixels(self, path: Path) -> int:
        """How many pixels (deep ones twice) a file to read says to have, as far as that is found out quickly; else 0."""

    def run(self, task: Task, tools: Tools) -> Facts:
        """Does one task; CaeError, and no file, where that is not possible."""


class Reporter:
    """What is told of the files: a line each on stderr if wanted, or a line of JSON on stdout, and a table at its end."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._json, self._verbose = given.json, given.verbose
        self._table = Table(given.table) if given.table else None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._table:
            self._table.write()

    def made(self, source: str, target: str, facts: Facts, seconds: float) -> None:
        """A file has been made."""
        self._tell({"input": source, "output": target, **facts, "seconds": round(seconds, 3)})
        if self._verbose:
            quality = f" quality {facts['quality']}," if "quality" in facts else ""
            size = f"{facts['width']} x {facts['height']} {facts['mode']}"
            if by := facts.get("resized_by"):
                size += f" by a {by}"
            bits = facts["bytes"] * 8 / (facts["width"] * facts["height"])
            tell(one_line(f"{source} -> {target}: {size},{quality} {facts['bytes']} bytes, {bits:.3f} bpp, {seconds:.2f} s"))

    def skipped(self, source: str, target: str, reason: str) -> None:
        """A file was left as it is."""
        self._tell({"input": source, "output": target, "skipped": reason})
        if self._verbose:
            tell(one_line(f"{source} -> {target}: skipped, {reason}"))

    def failed(self, source: str, message: str) -> None:
        """A file could not be made."""
        self._tell({"input": source, "error": message})

    def _tell(self, facts: Facts) -> None:
        if self._table:
            self._table.add(facts)
        if self._json:
            print(json.dumps(facts), flush=True)


def refusal(task: Task, given: argparse.Namespace) -> str | None:
    """Why a file is left as it is; None where it is to be made."""
    if given.no_overwrite and task.target.exists():
        return "it exists (--no-overwrite)"
    if given.update and task.target.exists() and task.source.exists():
        source, target = (path.stat() for path in (task.source, task.target))
        if target.st_mtime_ns >= source.st_mtime_ns:
            return "it is up to date"
    return None


def run(work: Work, given: argparse.Namespace, program: str) -> None:
    """Makes a file, or many, as the command's arguments say."""
    from . import cluster, many, planning

    # without -o, a folder in OUT's place is a mistake
    if given.named_output and planning.is_for_many(given.inputs, given.output):
        if given.scheduler is not None:
            cluster.make_absolute(given)
        plan = planning.plan(given.inputs, given.output, work.suffix, work.accepts, recursive=given.recursive)
        many.run_many(work, plan, given, program)
    elif given.scheduler is not None:
        raise CaeError("--scheduler is for many files; name a folder for what is made of them (-o FOLDER)")
    else:
        with Reporter(given) as telling:
            run_one(work, given, telling)


def run_one(work: Work, given: argparse.Namespace, telling: Reporter) -> None:
    """Makes one file of another, either of which may be a standard stream."""
    from . import progress
    from .standard_streams import as_source, as_target

    (source,), target = given.inputs, given.output
    try:
        with as_source(source) as reading, as_target(target, work.suffix) as writing:
            task = Task(reading, writing)
            if reason := refusal(task, given):
                if given.no_overwrite:
                    raise CaeError(f"{target}: {reason}")
                telling.skipped(source, target, reason)
                return
            start = time.monotonic()
            facts = work.run(task, Tools(given, given.threads, progress.PictureBar(given.quiet)))
            seconds = time.monotonic() - start
    except CaeError as error:
        telling.failed(source, str(error))
        raise
    telling.made(source, target, facts, seconds)
