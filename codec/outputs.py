"""Files that are written: checked beforehand, and never left half-written."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import CaeError


def check_target(path: Path, source: Path | None = None) -> None:
    """CaeError where a file (made from `source`) cannot be written to `path`."""
    if path.is_dir():
        raise CaeError(f"{path}: is a folder; name a file")
    if path.exists() and not path.is_file():
        raise CaeError(f"{path}: is no regular file; name a file")
    if not path.parent.is_dir():
        raise CaeError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.resolve().parent, os.W_OK):
        raise CaeError(f"{path}: the folder {path.resolve().parent} is not writable")
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise CaeError(f"{path}: would replace its own source; name another file")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place when the block ends well, and vanishes when it does not."""
    target = path.resolve()
    temporary = target.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, target)
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
