"""Writing a `.cae` file row by row."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from ..coding.jobs import EncodeJob
from ..errors import CaeError, SampleError
from ..format import container
from ..format.buffers import as_bytes
from ..format.header import MODES, Kind
from ..format.info import Info, PayloadCounts
from ..format.payload import lossless_length
from ..metadata import KNOWN_NAMES, SECTION_NAMES
from ..options import integer
from ..runtime.atomic_write import atomic_write
from ..runtime.forking import fork_safe


class PictureWriter:
    """A `.cae` file that is being written, row by row from top to bottom. For one thread at a time.

    `codec.create` makes it. At the end of its `with` block the file takes its place; where the block ends early or with an
    error there is no file, and one that was there before stays. A file object may then hold a part, which no reader takes
    for a whole file.
    """

    def __init__(
        self,
        file: str | PathLike[str] | BinaryIO,
        job: EncodeJob,
        metadata: Mapping[str, bytes],
    ) -> None:
        self._ending = contextlib.ExitStack()
        self._name = ""
        if isinstance(file, str | PathLike):
            self._name = f"{file!s}: "
            self._file = self._ending.enter_context(atomic_write(Path(file)))
        else:
            self._file = _seekable(file)
        self._header = job.header
        self._counts = PayloadCounts(job.header)
        self._info: Info | None = None
        from ..coding.encoder import BandEncoder  # needs torch, which decoding does not

        self._encoder = BandEncoder(job)
        self._failed = self._ended = False
        try:
            with self._errors_named():
                self._writer = container.Writer(self._file, job.header, metadata)
        except BaseException:
            self.abandon()
            raise

    @property
    def info(self) -> Info:
        """Facts of the finished file, as `codec.info` gives them; CaeError before `close`."""
        if self._info is None:
            raise CaeError(f"{self._name}the file is not finished; close it first")
        return self._info

    @property
    def largest_sample(self) -> int:
        """The largest sample of colours so far, in pictures of more than 8 bits."""
        return self._encoder.largest

    @fork_safe
    def write(self, rows: np.ndarray) -> None:
        """Takes the next rows, any number of them: (rows, width, channels), or (rows, width) in mode L.

        They are uint8, or uint16 in a picture of more than 8 bits a sample. The array may be used again at once.

        Raises:
            CaeError: where it does not fit the picture, and where the file cannot be written; the file cannot be finished then.
        """
        self._check()
        if self._ended:
            raise CaeError(f"{self._name}the file is closed; no more rows can be written")
        self._failed = True
        with self._errors_named():
            array = np.asarray(rows)
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            for payload in self._encoder.add(array[..., None] if array.ndim == 2 and self._header.channels == 1 else array):
                lossless = lossless_length(payload.data) if payload.kind is Kind.MIXED else 0
                self._counts.add(payload.kind, len(payload.data), lossless)
                self._writer.add(payload)
        self._failed = False

    @fork_safe
    def close(self) -> None:
        """Finishes the file and puts it in its place; CaeError, and no file, where rows are missing or a write has failed.

        Does nothing if the file is finished or abandoned already.
        """
        if self._ended:
            return
        try:
            self._check()
            with self._errors_named():
                self._encoder.finish()
                self._writer.finish()
                self._file.truncate()
                self._file.flush()
        except BaseException:
            self.abandon()
            raise
        self._ended = True
        self._ending.close()
        self._info = self._counts.info(self._writer.sizes, self._writer.metadata_bytes, self._writer.size)

    def abandon(self) -> None:
        """Leaves no file at its path. Does nothing if the file is finished or abandoned already."""
        self._ended = True
        with contextlib.suppress(_Abandoned):
            self._ending.__exit__(_Abandoned, _Abandoned(), None)

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _check(self) -> None:
        if self._failed:
            raise CaeError(f"{self._name}an earlier write has failed; create the file again")

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Turns errors of the file into CaeError, and puts its name before them. Wrong samples are not the file's fault."""
        try:
            yield
        except SampleError:
            raise
        except CaeError as error:
            raise error.prefixed(self._name) from None
        except (OSError, ValueError) as error:  # the latter where the file is closed
            reason = getattr(error, "strerror", None) or error
            raise CaeError(f"{self._name or 'the file cannot be written: '}{reason}") from None


class _Abandoned(Exception):
    """Makes `atomic_write` discard its file."""


def _seekable(file: BinaryIO) -> BinaryIO:
    """Returns the file; CaeError where it cannot be written to, or does not seek."""
    try:
        if file.seekable() and file.writable() and not isinstance(file, io.TextIOBase):
            return file
    except (AttributeError, ValueError) as error:
        raise CaeError(f"cannot write to a {type(file).__name__} ({error}); pass a path or a seekable binary file") from None
    raise CaeError(f"the {type(file).__name__} does not seek, or takes no bytes; write to a path or to io.BytesIO")


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns width and height as int; CaeError where they are not two integers."""
    try:
        width, height = (integer("size", side) for side in size)
    except (CaeError, TypeError, ValueError):
        raise CaeError(f"size {size!r} is not (width, height) in pixels") from None
    return width, height


def channels_of(mode: str) -> int:
    """Returns the number of channels of a colour mode; CaeError where there is no such mode."""
    for channels, name in MODES.items():
        if name == mode:
            return channels
    raise CaeError(f"mode {mode!r} is not one of {', '.join(MODES.values())}")


def checked_metadata(metadata: Mapping[str, bytes] | None) -> dict[str, bytes]:
    """Returns metadata by section name as bytes; CaeError for names that the format does not know."""
    checked = {}
    for name, content in (metadata or {}).items():
        if name not in KNOWN_NAMES:
            raise CaeError(f"metadata {name!r} is unknown; there are {', '.join(map(repr, SECTION_NAMES))}")
        try:
            checked[name] = bytes(as_bytes(content))
        except CaeError:
            raise CaeError(f"metadata {name!r} is of type {type(content).__name__}, not bytes") from None
    return checked
