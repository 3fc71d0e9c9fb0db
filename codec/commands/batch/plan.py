"""Plans of tasks for files and folders."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...cli.standard_streams import STREAM
from ...errors import CaeError, UsageError
from .task import Task


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tasks in order, and inputs that cannot become one: (file, reason)."""

    tasks: list[Task]
    refused: list[tuple[Path, str]]


def has_many(inputs: Sequence[str], output: str) -> bool:
    """Returns True if the output is a folder, which gets a file for each input."""
    return len(inputs) > 1 or output.endswith(("/", os.sep)) or any(Path(path).is_dir() for path in (*inputs, output))


def make_plan(inputs: Sequence[str], output: str, suffix: str, accepts: Callable[[Path], bool], *, recursive: bool) -> Plan:
    """Plans the tasks for files and folders, whose trees are kept in the output folder.

    Args:
        inputs: files and folders. Named files are read whatever their names.
        output: the output folder. It is not searched itself.
        suffix: suffix of the output files.
        accepts: returns True if a file found in a folder is an input, by its name.
        recursive: search folders with their subfolders; links to folders are not followed.

    Raises:
        CaeError: if the output is a file, an input is a standard stream, or no file is found.
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{output}: is a file; several files need a folder (-o FOLDER)")
    if STREAM in (*inputs, output):
        raise UsageError("standard streams (-) take one file; name files and a folder")
    sources_of: dict[Path, list[Path]] = {}
    for top in map(Path, inputs):
        for path, relative in _find_files(top, folder, accepts, recursive) if top.is_dir() else [(top, Path(top.name))]:
            sources = sources_of.setdefault(folder / relative.with_suffix(suffix), [])
            if path not in sources:
                sources.append(path)
    if not sources_of:
        advice = "" if recursive else " (--recursive searches subfolders too)"
        raise CaeError(f"{', '.join(inputs)}: no files to read{advice}")
    tasks, refused = [], []
    for target, sources in sources_of.items():
        if len(sources) == 1:
            tasks.append(Task(sources[0], target))
            continue
        for path in sources:
            others = " and ".join(str(other) for other in sources if other != path)
            refused.append((path, f"{others} would be written to {target} as well; process them one by one"))
    return Plan(tasks, refused)


def reason_to_skip(task: Task, arguments: argparse.Namespace) -> str | None:
    """Returns why the output of a task stays as it is under --no-overwrite or --update; None if the task is to be done."""
    if arguments.no_overwrite and task.target.exists():
        return "it exists (--no-overwrite)"
    if arguments.update and task.target.exists() and task.source.exists():
        source, target = (path.stat() for path in (task.source, task.target))
        if target.st_mtime_ns >= source.st_mtime_ns:
            return "it is up to date"
    return None


def _find_files(top: Path, output: Path, accepts: Callable[[Path], bool], recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Yields a folder's files in order, with their paths relative to it; hidden files and folders are left out."""

    def fail(error: OSError) -> None:
        raise CaeError(f"{error.filename}: {error.strerror or error}")

    for folder, subfolders, names in os.walk(top, onerror=fail):
        visible = [name for name in subfolders if not name.startswith(".") and not _is_same(Path(folder, name), output)]
        subfolders[:] = sorted(visible) if recursive else []
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and accepts(path):
                yield path, path.relative_to(top)


def _is_same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)
