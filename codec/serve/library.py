"""Which files a viewer shows: those that were named, and those in folders that were."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import CaeError

SUFFIX = ".cae"
FILES_MAX = 10_000
"""More files of folders than that are not shown."""
LOOK_AGAIN = 2.0
"""Seconds between looks for a file that was not there."""


class Found(NamedTuple):
    """A file: its name as it is shown, its path, and the file or folder by which it was named."""

    name: str
    path: Path
    root: Path

    @property
    def is_within(self) -> bool:
        """Whether it lies where it was found, links followed."""
        return self.path.is_file() and (self.path == self.root or self.path.resolve().is_relative_to(self.root.resolve()))


class Library:
    """Files by keys, which say nothing of where they lie and lead to no others.

    Folders are looked through again, so files may come and go. Links that lead out of a folder count as nothing.
    """

    def __init__(self, named: Sequence[Path]) -> None:
        self._named = [path.absolute() for path in named]
        for path in self._named:
            if not (path.is_dir() or path.is_file()):
                raise CaeError(f"{path}: there is no such file or folder")
        self._found: dict[str, Found] = {}
        self._looked = -math.inf

    def __len__(self) -> int:
        """How many files there were when it was last looked."""
        return len(self._found)

    def files(self) -> dict[str, Found]:
        """All files by their keys, in the order in which they were named, those of a folder by their paths."""
        every = (Found(*found) for root in self._named for found in _at(root))
        inside = (found for found in every if found.is_within)
        self._found = {_key(found.path): found for found in itertools.islice(inside, FILES_MAX)}
        self._looked = time.monotonic()
        return self._found

    def find(self, key: str) -> Found | None:
        """The file of a key; None where there is none."""
        if key not in self._found and time.monotonic() - self._looked > LOOK_AGAIN:
            self.files()
        found = self._found.get(key)
        return found if found is not None and found.is_within else None


def _at(root: Path) -> Iterator[tuple[str, Path, Path]]:
    if root.is_file():
        yield root.name, root, root
        return
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(SUFFIX):
                path = Path(folder, name)
                yield str(path.relative_to(root.parent)), path, root


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
