"""The files that a viewer shows: those named, and those in named folders."""

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

CODED_SUFFIX = ".cae"
FILES_MAX = 10_000
"""Largest number of files shown."""
RESCAN_INTERVAL = 2.0
"""Seconds between scans for a file that was not there."""


class PictureFile(NamedTuple):
    """A file: the name shown for it, its path, and the named file or folder that led to it.

    In the name, bytes that are not UTF-8 are replaced.
    """

    name: str
    path: Path
    root: Path

    @property
    def is_within_root(self) -> bool:
        """True if the file lies in its root, links followed."""
        return self.path.is_file() and (self.path == self.root or self.path.resolve().is_relative_to(self.root.resolve()))


class Library:
    """Files by keys. A key reveals nothing of its file's place, and leads to no other file.

    Folders are scanned again for unknown keys, so files may come and go. Links that lead out of a folder are ignored.

    Args:
        roots: files and folders to show.

    Raises:
        CaeError: if a root does not exist.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [path.absolute() for path in roots]
        for path in self._roots:
            if not (path.is_dir() or path.is_file()):
                raise CaeError(f"{path}: no such file or folder")
        self._files: dict[str, PictureFile] = {}
        self._scanned_at = -math.inf

    def __len__(self) -> int:
        """Returns the number of files at the last scan."""
        return len(self._files)

    def scan(self) -> dict[str, PictureFile]:
        """Scans the roots; returns all files by their keys, in the order of roots, and within a folder by path."""
        files = (file for root in self._roots for file in _walk(root) if file.is_within_root)
        self._files = {_key(file.path): file for file in itertools.islice(files, FILES_MAX)}
        self._scanned_at = time.monotonic()
        return self._files

    def find(self, key: str) -> PictureFile | None:
        """Returns the file of a key; None if there is none."""
        if key not in self._files and time.monotonic() - self._scanned_at > RESCAN_INTERVAL:
            self.scan()
        file = self._files.get(key)
        return file if file is not None and file.is_within_root else None


def _walk(root: Path) -> Iterator[PictureFile]:
    if root.is_file():
        yield PictureFile(displayable(root.name), root, root)
        return
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        for name in sorted(names):
            if name.lower().endswith(CODED_SUFFIX):
                path = Path(folder, name)
                yield PictureFile(displayable(str(path.relative_to(root.parent))), path, root)


def displayable(name: str) -> str:
    """Replaces the bytes of a file name that are not UTF-8.

    >>> displayable("caf\\udce9.cae") == "caf\\ufffd.cae"
    True
    """
    return os.fsencode(name).decode("utf-8", "replace")


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
