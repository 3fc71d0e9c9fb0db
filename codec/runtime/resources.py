"""Data files of the package as folders, also where the package is imported from a ZIP archive."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path


def package_folder(name: str) -> Path:
    """Returns a folder of the package, such as "weights".

    From an archive its files are copied to a temporary folder, which is removed when the process ends.
    """
    folder = Path(__file__).parents[1] / name
    if folder.is_dir():
        return folder
    packed = resources.files(__package__.partition(".")[0]).joinpath(*name.split("/"))
    if not packed.is_dir():
        return folder  # whoever reads from it reports what is missing
    copy = Path(tempfile.mkdtemp(prefix="cae-"))
    atexit.register(_remove, copy, os.getpid())
    for file in packed.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    return copy


def _remove(folder: Path, process: int) -> None:
    """Removes a folder, but not in a process that was forked from its owner."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
