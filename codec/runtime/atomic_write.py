"""Writing files: checked beforehand, and never left half-written."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import CaeError


def check_target(path: Path, source: Path | None = None) -> None:
    """Raises CaeError if a file (made from `source`) cannot be written to `path`.

    A file whose permission bits let nobody write is refused, even to root.
    """
    try:
        problem = _problem(path, source)
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise CaeError(f"{path}: {problem}")


def _problem(path: Path, source: Path | None) -> str | None:
    old = _status(path)
    if old and stat.S_ISDIR(old.st_mode):
        return "is a folder; name a file"
    if old and not stat.S_ISREG(old.st_mode):
        return "is not a regular file; name a file"
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    target = path.resolve()
    folder = target.parent
    if not folder.is_dir():
        return f"is a link into {folder}, which does not exist"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {folder} is not writable"
    if not old:
        return None
    if source is not None and (other := _status(source)) and os.path.samestat(old, other):
        return "would replace its own source; name another file"
    if not old.st_mode & 0o222 or not os.access(path, os.W_OK):
        return "is read-only; make it writable, or name another file"
    if not _replaceable(old, folder.stat()):
        return f"belongs to someone else, and {folder} lets only owners replace files; name another file"
    return None


def _status(path: Path) -> os.stat_result | None:
    """Status of the file that a path leads to; None if there is none."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _replaceable(file: os.stat_result, folder: os.stat_result) -> bool:
    """True if this user may replace a file in a folder, also in one with the sticky bit, such as /tmp."""
    return not folder.st_mode & stat.S_ISVTX or os.geteuid() in (0, file.st_uid, folder.st_uid)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Opens a file beside `path` that takes its place if the block succeeds, and is removed if it does not.

    It gets the permission bits of the file that it replaces, and its owner and group if this user may set them. A new file
    gets the usual ones. A link stays a link, and its target is replaced.

    Raises:
        CaeError: where `check_target` refuses the path, and where writing fails.
    """
    check_target(path)
    target = path.resolve()
    temporary = target.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        old = _status(target)
        # until it has the old file's permissions, nobody else may open it
        with open(temporary, "xb", opener=functools.partial(os.open, mode=0o600 if old else 0o666)) as file:
            if old and hasattr(os, "fchown"):  # not on Windows
                _copy_ownership(file, old)
            yield file
        os.replace(temporary, target)
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _copy_ownership(file: BinaryIO, old: os.stat_result) -> None:
    """Gives an open file the owner, group and permission bits of another, where the system allows it."""
    new = os.fstat(file.fileno())
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        if owner not in (-1, new.st_uid) or group not in (-1, new.st_gid):
            with contextlib.suppress(OSError):
                os.fchown(file.fileno(), owner, group)
    with contextlib.suppress(OSError):
        os.fchmod(file.fileno(), old.st_mode & 0o777)
