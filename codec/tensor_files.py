"""Safetensors files that nobody should trust, weights and statistics: their bytes, and their header without the tensors."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .errors import CaeError


def read_regular(path: Path, most: int, what: str) -> bytes:
    """All bytes of a regular file of at most so many; CaeError, which says `what` it should be, for any other."""
    with open_regular(path, most, what) as file:
        return file.read()


@contextlib.contextmanager
def open_regular(path: Path, most: int, what: str) -> Iterator[BinaryIO]:
    """Opens a regular file of at most so many bytes; CaeError, which says `what` it should be, for any other."""
    try:
        status = path.stat()
        # a pipe would be waited for, a device read for ever
        if not stat.S_ISREG(status.st_mode):
            raise CaeError(f"{path}: is not a regular file; name a {what} file")
        if status.st_size > most:
            raise CaeError(f"{path}: has {status.st_size} bytes, more than any {what} file of this codec")
        with path.open("rb") as file:
            yield file
    except (OSError, ValueError) as error:
        raise CaeError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def parse_header(data: bytes) -> dict[str, Any]:
    """Parses the header of a safetensors file from its first bytes, or all of them; ValueError where it is none."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header
