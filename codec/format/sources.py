"""Sources of a file's bytes: memory, a path, or any seekable binary file; each is read by pieces, from any thread."""

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
"""Bytes that are read at once, where fewer are asked for."""


class ByteSource(abc.ABC):
    """A file of a fixed `size`, whose bytes can be read in any order; closed at the end of a `with` block."""

    size: int
    _closed = False

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Reads exactly `length` bytes from `offset` on.

        Raises CaeError beyond the file's end, and where the file fails, is closed, or has another size than at first.
        """
        if self._closed:
            raise CaeError("the file is closed; open it again")
        if offset + length > self.size:
            raise CaeError(f"the file is cut off: {self.size} of {offset + length} bytes")
        return self._read(offset, length)

    def has_changed(self) -> bool:
        """True if the file is known to have been written to since it was opened."""
        return False

    def close(self) -> None:
        """Ends reading; reads of other threads that have begun still end well."""
        self._closed = True

    def __enter__(self) -> ByteSource:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @abc.abstractmethod
    def _read(self, offset: int, length: int) -> bytes | memoryview:
        """`read` within the size."""


class MemorySource(ByteSource):
    """Bytes in memory; pieces are views of them."""

    def __init__(self, data: Data) -> None:
        self._data = memoryview(data)
        self.size = len(self._data)

    def _read(self, offset: int, length: int) -> memoryview:
        return self._data[offset : offset + length]


class _Descriptor:
    """A file descriptor that is closed with its last reference, so that no reader gets another file's."""

    def __init__(self, path: str | PathLike[str]) -> None:
        # to open a pipe would wait for its writer
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise CaeError("is a directory; name a file")
        if not stat.S_ISREG(kind):
            raise CaeError("is not a regular file; read it first, and pass its bytes")
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class FileSource(ByteSource):
    """A regular file, read without a lock. CaeError where the path leads to none."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._descriptor: _Descriptor | None = _Descriptor(path)
        status = os.fstat(self._descriptor.number)
        self.size, self._written = status.st_size, status.st_mtime_ns

    def has_changed(self) -> bool:
        descriptor = self._descriptor
        return descriptor is not None and os.fstat(descriptor.number).st_mtime_ns != self._written

    def close(self) -> None:
        super().close()
        self._descriptor = None

    def _read(self, offset: int, length: int) -> bytes:
        descriptor = self._descriptor
        if descriptor is None:
            raise CaeError("the file is closed; open it again")
        try:
            _check_size(self.size, os.fstat(descriptor.number).st_size)
            # in pieces, since a system reads no more than 2 GiB at once
            pieces: list[bytes] = []
            while length and (piece := os.pread(descriptor.number, min(length, 2**30), offset)):
                pieces.append(piece)
                offset, length = offset + len(piece), length - len(piece)
            if length:
                _check_size(self.size, os.fstat(descriptor.number).st_size)
                raise CaeError(f"the file gives no bytes at {offset}; copy it to another disk, and try again")
        except OSError as error:
            raise CaeError(f"the file cannot be read at {offset}: {error.strerror or error}") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Seekable(ByteSource):
    """Any binary file that seeks, from its position 0 on; its owner closes it, unless it is `owned` by this source.

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
    """Another source, for reading from its beginning onwards: few requests bring many small pieces."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self.size = source, source.size
        self._start, self._buffer = 0, memoryview(b"")

    def _read(self, offset: int, length: int) -> memoryview:
        if not self._start <= offset <= self._start + len(self._buffer):
            self._start, self._buffer = offset, memoryview(b"")
        self._buffer = self._buffer[offset - self._start :]
        self._start = offset
        if (missing := length - len(self._buffer)) > 0:
            end = offset + len(self._buffer)
            more = self._source.read(end, min(max(missing, READ_AHEAD), self.size - end))
            self._buffer = memoryview(b"".join([self._buffer, more]) if len(self._buffer) else more)
        return self._buffer[:length]


def open_source(file: Buffer | str | PathLike[str] | BinaryIO) -> ByteSource:
    """Opens a path, an open binary file, or bytes as a source.

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
    """Makes a source of bytes in memory; returns a source as it is."""
    return data if isinstance(data, ByteSource) else MemorySource(data)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _check_size(before: int, now: int) -> None:
    if now != before:
        verb = "grown" if now > before else "shrunk"
        raise CaeError(f"the file has {verb} from {before} to {now} bytes since it was opened; open it again")
