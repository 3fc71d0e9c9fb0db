"""The registry of weights files, which are found by the id that every `.cae` file carries. Knows no torch."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CaeError

if TYPE_CHECKING:
    from .model import Model

WEIGHTS_FOLDER = Path(__file__).parents[1] / "weights"
DEFAULT = "base"
ID_BYTES = 8


@functools.cache
def _digest(path: Path, _size: int, _modified: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:ID_BYTES]


def model_id(path: Path) -> bytes:
    """First 8 bytes of the SHA-256 of a weights file."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


def installed() -> dict[bytes, Path]:
    """Weights files that come with the package, by id."""
    return {model_id(path): path for path in sorted(WEIGHTS_FOLDER.glob("*.safetensors"))}


def find(wanted: bytes, tried: Model | None = None) -> Path:
    """The weights file with an id; CaeError, which names the ones that were `tried`, where it is not installed."""
    known = installed()
    if wanted not in known and tried is not None and tried.id not in known:
        raise CaeError(
            f"the file needs the weights with id {wanted.hex()}, but {tried.path} has the id {tried.id.hex()}; "
            "pass the weights file that made it"
        )
    if wanted not in known:
        have = ", ".join(f"{key.hex()} ({path.stem})" for key, path in known.items())
        raise CaeError(
            f"the file needs the weights with id {wanted.hex()}, which are not installed; pass the weights file that made it "
            f"(weights=…, --weights), or install the release that has it. Installed: {have}"
        )
    return known[wanted]


def default_path() -> Path:
    """The weights that encoding uses unless told otherwise."""
    return WEIGHTS_FOLDER / f"{DEFAULT}.safetensors"
