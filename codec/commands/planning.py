"""Which files many inputs are, and what is made of each. Knows no pictures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import CaeError
from .working import Task


@dataclasses.dataclass(frozen=True)
class Plan:
    """What there is to do, in order, and what cannot be done: (file, why)."""

    tasks: list[Task]
    refused: list[tuple[Path, str]]


def is_for_many(inputs: Sequence[str], output: str) -> bool:
    """Whether the output is a folder, in which a file is made of each input."""
    return len(inputs) > 1 or output.endswith(("/", os.sep)) or any(Path(path).is_dir() for path in (*inputs, output))


def plan(inputs: Sequence[str], output: str, suffix: str, accepts: Callable[[Path], bool], *, recursive: bool) -> Plan:
    """The tasks for files and folders, whose trees are kept under the output.

    Args:
        suffix: of the files to make.
        accepts: whether a file in a folder is one to read, by its name; files that are named are read in any case.
        recursive: whether folders are searched with the folders in them. Links to folders are not followed, and neither
            is the output.

    Raises:
        CaeError: where the output is a file, an input is a standard stream, or there is no file at all.
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise CaeError(f"{output}: is a file; several files need a folder (-o FOLDER)")
    if "-" in (*inputs, output):
        raise CaeError("standard streams (-) take one file; name files and a folder")
    makers: dict[Path, list[Path]] = {}
    for given in map(Path, inputs):
        for path, below in _files(given, folder, accepts, recursive) if given.is_dir() else [(given, Path(given.name))]:
            sources = makers.setdefault(folder / below.with_suffix(suffix), [])
            if path not in sources:
                sources.append(path)
    if not makers:
        found = "no files to read" if recursive else "no files to read (--recursive searches the folders in it)"
        raise CaeError(f"{', '.join(inputs)}: {found}")
    tasks, refused = [], []
    for target, sources in makers.items():
        if len(sources) == 1:
            tasks.append(Task(sources[0], target))
        else:
            refused += [
                (path, f"{_others(path, sources)} would become {target} as well; do them one by one") for path in sources
            ]
    return Plan(tasks, refused)


def _others(path: Path, sources: Sequence[Path]) -> str:
    return " and ".join(str(other) for other in sources if other != path)


def _files(top: Path, output: Path, accepts: Callable[[Path], bool], recursive: bool) -> Iterator[tuple[Path, Path]]:
    """The files of a folder, in order, and where they lie in it; hidden ones are left out."""

    def fail(error: OSError) -> None:
        raise CaeError(f"{error.filename}: {error.strerror or error}")

    for path, folders, names in os.walk(top, onerror=fail):
        inside = (name for name in folders if not name.startswith(".") and not _same(Path(path, name), output))
        folders[:] = sorted(inside) if recursive else []
        for name in sorted(names):
            if not name.startswith(".") and accepts(found := Path(path, name)):
                yield found, found.relative_to(top)


def _same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)
