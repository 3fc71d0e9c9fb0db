"""Plans of tasks for files and folders."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...cli.standard_streams import STREAM
from ...errors import CaeError, UsageError
from .task import Task


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Inputs that cannot become tasks, and the reason that they share."""

    paths: tuple[Path, ...]
    message: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tasks in order, inputs that cannot become one, and the number of files in folders that are no inputs by their names."""

    tasks: list[Task]
    refused: list[Refusal]
    ignored: int = 0


def has_many(inputs: Sequence[str], output: str, *, force: bool = False) -> bool:
    """Returns True if the output is a folder, which gets a file for each input.

    Such is an output that exists as a folder, ends in a slash, or has no suffix and does not exist.

    Args:
        inputs: files and folders.
        output: the output that was named by an option.
        force: an output without a suffix is a file.
    """
    if len(inputs) > 1 or output.endswith(("/", os.sep)) or any(os.path.isdir(path) for path in (*inputs, output)):
        return True
    return not force and STREAM not in (*inputs, output) and not _has_suffix(output) and not os.path.exists(output)


def _has_suffix(name: str) -> bool:
    """Returns True if a file name has a suffix with a letter, or begins with a dot; "2026.11" has none."""
    path = Path(name)
    return path.name.startswith(".") or re.search("[A-Za-z]", path.suffix) is not None


def make_plan(
    inputs: Sequence[str],
    output: str,
    suffix: str,
    accepts: Callable[[Path], bool],
    *,
    recursive: bool,
    keep_suffix: bool = False,
) -> Plan:
    """Plans the tasks for files and folders, whose trees are kept in the output folder.

    Args:
        inputs: files and folders. Named files are read whatever their names.
        output: the output folder. It is not searched itself.
        suffix: suffix of the output files.
        accepts: returns True if a file found in a folder is an input, by its name.
        recursive: search folders with their subfolders; links to folders are not followed.
        keep_suffix: add the suffix to the inputs' names, in place of their own.

    Raises:
        UsageError: if the output is or names a file, or an input is a standard stream.
        CaeError: if no file is found.
    """
    folder = Path(output)
    _check_folder(output)
    if STREAM in (*inputs, output):
        raise UsageError("standard streams (-) take one file; name files and a folder")
    refused: list[Refusal] = []
    ignored = 0
    sources_of: dict[Path, list[Path]] = {}
    for top in map(Path, inputs):
        if os.path.isdir(top):
            search = _FolderSearch(top, folder, accepts, recursive)
            files = list(search.find())
            refused += search.refused
            ignored += search.ignored
        else:
            files = [(top, Path(top.name))]
        for path, relative in files:
            target = folder / (Path(f"{relative}{suffix}") if keep_suffix else relative.with_suffix(suffix))
            sources = sources_of.setdefault(target, [])
            if path not in sources:
                sources.append(path)
    if not sources_of and not refused:
        advice = "" if recursive else " (--recursive searches subfolders too)"
        raise CaeError(f"{', '.join(inputs)}: no files to read{advice}")
    tasks = []
    for target, sources in sources_of.items():
        if len(sources) == 1:
            tasks.append(Task(sources[0], target))
        else:
            suffixes = {path.suffix for path in sources}
            advice = "process them one by one" if keep_suffix or len(suffixes) < len(sources) else "pass --keep-suffix"
            names = " and ".join(map(str, sources))
            quantity = "both" if len(sources) == 2 else "all"
            refused.append(Refusal(tuple(sources), f"{names} would {quantity} be written to {target}; {advice}"))
    return Plan(tasks, refused, ignored)


def _check_folder(output: str) -> None:
    """Raises UsageError where an output is or names a file."""
    from ...images import streams

    path = Path(output)
    if os.path.isdir(output):
        return
    if path.exists():
        raise UsageError(f"{output}: is a file; several inputs need an output folder (-o FOLDER)")
    if path.suffix.lower() in {".cae", *streams.suffixes()} and not output.endswith(("/", os.sep)):
        raise UsageError(f"{output}: names a file, but several inputs need an output folder (-o FOLDER, or -o {output}/)")


def reason_to_skip(task: Task, arguments: argparse.Namespace) -> str | None:
    """Returns why the output of a task stays as it is under --no-overwrite or --update; None if the task is due."""
    if arguments.no_overwrite and task.target.exists():
        return "it exists (--no-overwrite)"
    if arguments.update and task.target.exists() and task.source.exists():
        source, target = (path.stat() for path in (task.source, task.target))
        if target.st_mtime_ns >= source.st_mtime_ns:
            return "it is up to date"
    return None


class _FolderSearch:
    """Finds a folder's files. `refused` are folders that cannot be read, `ignored` counts files that are no inputs.

    Args:
        top: the folder.
        output: a folder that is left out.
        accepts: returns True if a file is an input, by its name.
        recursive: search subfolders too.
    """

    def __init__(self, top: Path, output: Path, accepts: Callable[[Path], bool], recursive: bool) -> None:
        self._top, self._output, self._accepts, self._recursive = top, output, accepts, recursive
        self.refused: list[Refusal] = []
        self.ignored = 0

    def find(self) -> Iterator[tuple[Path, Path]]:
        """Yields files in order, with their paths relative to the folder; hidden files and folders are left out."""
        for folder, subfolders, names in os.walk(self._top, onerror=self._refuse):
            visible = (name for name in subfolders if not name.startswith("."))
            searched = sorted(visible) if self._recursive else ()
            subfolders[:] = [name for name in searched if not self._is_output(Path(folder, name))]
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith("."):
                    continue
                if self._accepts(path):
                    yield path, path.relative_to(self._top)
                else:
                    self.ignored += 1

    def _refuse(self, error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        self.refused.append(Refusal((path,), f"{path}: {error.strerror or error}"))

    def _is_output(self, path: Path) -> bool:
        try:
            return path.samefile(self._output)
        except OSError:
            return False
