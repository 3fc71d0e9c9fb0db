"""Where a file's bytes come from: memory, a path, or any seekable binary file; each is read by pieces, from any thread."""

from __future__ import annotations

import abc
import io
import os
import stat
import threading
from os import PathLike
from types import TracebackType
from typing import BinaryIO

from ..errors import CaeError
from .buffers import Buffer, as_bytes

Data = bytes | bytearray | memoryview
READ_AHEAD = 2**14


class ByteSource(abc.ABC):
    """The bytes of a file of a fixed `size`, of which any may be read at any time; closed at the end of a `with` block."""

    size: int
    _closed = False

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Exactly `length` bytes from `offset` on.

        Raises CaeError beyond the file's end, and where the file fails, is closed, or has another size than at first.
        """
        if self._closed:
            raise CaeError("the file is closed; open it again")
        if offset + length > self.size:
            raise CaeError(f"the file is cut off: {self.size} of {offset + length} bytes")
        return self._read(offset, length)

    def has_changed(self) -> bool:
        """Whether the file is known to have been written to since it was opened."""
        return False

    def close(self) -> None:
        """Ends reading; what other threads read at this moment still comes."""
        self._closed = True

    def __enter__(self) -> ByteSource:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @abc.abstractmethod
    def _read(self, offset: int, length: int) -> bytes | memoryview:
        """`read` within the size."""


class MemorySource(ByteSource):
    """Bytes in memory, of which pieces are views."""

    def __init__(self, data: Data) -> None:
        self._data = memoryview(data)
        self.size = len(self._data)

    def _read(self, offset: int, length: int) -> memoryview:
        return self._data[offset : offset + length]


class _Descriptor:
    """A file descriptor that is closed when nobody holds it any more, so that no reader meets another file's."""

    def __init__(self, path: str | PathLike[str]) -> None:
        # to open a pipe would wait for its writer
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise CaeError("is a directory; name a file")
        if not stat.S_ISREG(kind):
            raise CaeError("is no regular file; read it first, and pass its bytes")
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class FileSource(ByteSource):
    """A regular file, read without a lock. CaeError where the path leads to none."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._descriptor: _Descriptor | None = _Descriptor(path)
        found = os.fstat(self._descriptor.number)
        self.size, self._written = found.st_size, found.st_mtime_ns

    def has_changed(self) -> bool:
        held = self._descriptor
        return held is not None and os.fstat(held.number).st_mtime_ns != self._written

    def close(self) -> None:
        super().close()
        self._descriptor = None

    def _read(self, offset: int, length: int) -> bytes:
        held = self._descriptor
        if held is None:
            raise CaeError("the file is closed; open it again")
        try:
            _check_size(self.size, os.fstat(held.number).st_size)
            # in pieces, since a system reads no more than 2 GiB at once
            pieces: list[bytes] = []
            while length and (piece := os.pread(held.number, min(length, 2**30), offset)):
                pieces.append(piece)
                offset, length = offset + len(piece), length - len(piece)
            if length:
                _check_size(self.size, os.fstat(held.number).st_size)
                raise CaeError(f"the file gives no bytes at {offset}; copy it to another disk, and try again")
        except OSError as error:
            raise CaeError(f"the file cannot be read at {offset}: {error.strerror or error}") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Seekable(ByteSource):
    """Any binary file that seeks, from its position 0 on; who opened it closes it, unless it is `owned`.

    Threads read one after another. Whatever the file raises comes as CaeError, with the error as its cause.
    """

    def __init__(self, file: BinaryIO, *, owned: bool = False) -> None:
        if isinstance(file, io.TextIOBase):
            raise CaeError("the file is open as text; open it in binary mode ('rb')")
        self._file, self._owned = file, owned
        self._lock = threading.Lock()
        try:
            seeks = not hasattr(file, "seekable") or file.seekable()
            self.size = self._length() if seeks else 0
        except Exception as error:
            raise CaeError(f"the {type(file).__name__} cannot be read ({_reason(error)})") from error
        if not seeks:
            raise CaeError(f"the {type(file).__name__} does not seek; read it first, and pass its bytes")

    def close(self) -> None:
        super().close()
        if self._owned:
            with self._lock:
                self._file.close()

    def _length(self) -> int:
        end = self._file.seek(0, os.SEEK_END)
        return self._file.tell() if end is None else end

    def _read(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        try:
            with self._lock:
                _check_size(self.size, self._length())
                self._file.seek(offset)
                while length > 0 and (piece := self._file.read(length)):
                    if not isinstance(piece, Data):
                        raise CaeError(f"the file gives {type(piece).__name__}, not bytes; open it in binary mode ('rb')")
                    pieces.append(piece)
                    offset, length = offset + len(piece), length - len(piece)
        except CaeError:
            raise
        except Exception as error:  # a file in a cloud may raise whatever its library has
            raise CaeError(f"the file cannot be read at {offset} ({_reason(error)})") from error
        if length:
            raise CaeError(f"the file gives {'no' if length > 0 else 'too many'} bytes at {offset}; open it again")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class ReadAheadSource(ByteSource):
    """Another source, for reading on from its beginning: small pieces come together, as few requests."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self.size = source, source.size
        self._start, self._held = 0, memoryview(b"")

    def _read(self, offset: int, length: int) -> memoryview:
        if not self._start <= offset <= self._start + len(self._held):
            self._start, self._held = offset, memoryview(b"")
        self._held = self._held[offset - self._start :]
        self._start = offset
        if (missing := length - len(self._held)) > 0:
            reached = offset + len(self._held)
            more = self._source.read(reached, min(max(missing, READ_AHEAD), self.size - reached))
            self._held = memoryview(b"".join([self._held, more]) if len(self._held) else more)
        return self._held[:length]


def open_source(file: Buffer | str | PathLike[str] | BinaryIO) -> ByteSource:
    """A source of whatever holds a file: a path, an open binary file, or its bytes.

    Raises:
        CaeError: for anything else, and for a path that cannot be opened.
    """
    if isinstance(file, str | PathLike):
        try:
            return FileSource(file) if hasattr(os, "pread") else Seekable(open(file, "rb"), owned=True)
        except OSError as error:
            raise CaeError(f"{os.fspath(file)}: {error.strerror or error}") from None
        except (CaeError, ValueError) as error:  # a path with a null byte
            raise CaeError(f"{os.fspath(file)!s}: {error}") from None
    if hasattr(file, "read") and hasattr(file, "seek"):
        return Seekable(file)
    return MemorySource(as_bytes(file))


def as_source(data: ByteSource | Data) -> ByteSource:
    """A source of bytes in memory, or the source itself."""
    return data if isinstance(data, ByteSource) else MemorySource(data)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _check_size(before: int, now: int) -> None:
    if now != before:
        verb = "grown" if now > before else "shrunk"
        raise CaeError(f"the file has {verb} from {before} to {now} bytes since it was opened; open it again")
