"""Pictures that are read out of their files piece by piece."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from os import PathLike
from types import TracebackType
from typing import BinaryIO, Generic, TypeVar

import numpy as np

from ..coding.concealment import Damage
from ..coding.decoder import check_payloads, decode, decode_bands, transform_bits
from ..coding.settings import Job, Settings
from ..errors import CaeError
from ..format import container
from ..format.buffers import Buffer
from ..format.header import NO_MODEL, Header
from ..format.sources import open_source
from ..networks.model import Model
from ..options import DecodeOptions, OnError, Region, integer
from ..runtime.forking import fork_safe
from ..runtime.tile_cache import TileCache

Item = TypeVar("Item")
File = str | PathLike[str] | BinaryIO | Buffer


class PictureReader:
    """An open `.cae` file, of which only what is asked for is read. Safe to use from several threads at once.

    It is what `codec.open` gives, and closes at the end of a `with` block. Any method raises CaeError, which begins with the
    file's path if it has one, where a tile that it needs is damaged (unless damage is to be filled), and where the file
    fails, is closed, or has been written to since it was opened.
    """

    def __init__(
        self, file: File, model_for: Callable[[Header], Model], settings: Settings, on_error: OnError, cache: int
    ) -> None:
        self._options = DecodeOptions(on_error=on_error)
        self._cache = TileCache(integer("cache", cache))
        self._name = f"{file!s}: " if isinstance(file, str | PathLike) else ""
        self._source = open_source(file)
        try:
            with self._naming():
                self._file = container.read(self._source, cut_off=on_error == "fill")
                self._model = model_for(self._file.header)
        except BaseException:
            self._source.close()
            raise
        self._settings = settings

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._file.header.width, self._file.header.height

    @property
    def mode(self) -> str:
        """L, LA, RGB or RGBA."""
        return self._file.header.mode

    @property
    def depth(self) -> int:
        """Bits of a sample: 8, or 9 to 16, and pixels are uint16 then."""
        return self._file.header.depth

    @property
    def tile_size(self) -> int:
        """Side of a tile in pixels."""
        return self._file.header.tile

    @property
    def quality(self) -> int:
        """What the picture was encoded with, 1 to 100."""
        return self._file.header.quality

    @property
    def scales(self) -> tuple[Fraction, ...]:
        """Scales at which a decoder of the weights makes the pixels; at others those of the full size are filtered."""
        if self._file.header.model_id == NO_MODEL:
            return (Fraction(1),)
        return Fraction(1), *self._model.resized

    @property
    def metadata(self) -> dict[str, bytes]:
        """ICC profile, EXIF block and XMP packet, as far as there are any, under `iccp`, `exif` and `xmp `."""
        return dict(self._file.metadata)

    @fork_safe
    def read(self, region: Region | None = None, scale: float | Fraction = 1) -> np.ndarray:
        """The pixels of a region, or of all, as `codec.decode` gives them: (h, w), (h, w, 2), (h, w, 3) or (h, w, 4).

        Args:
            region: (x, y, width, height) in pixels of the full size, whatever the scale; only the tiles that it needs are
                read, but for those that are cached.
            scale: 2, 1, 1/2, 1/4 or 1/8, see `Codec.decode`.
        """
        damage = self._damage()
        with self._naming():
            job = dataclasses.replace(self._job(region, scale), tiles=self._cache)
            pixels = decode(self._source, self._file, job, damage)
        if damage:
            damage.warn(stacklevel=3)
        return _shaped(pixels)

    def bands(self, region: Region | None = None, scale: float | Fraction = 1) -> Iterator[np.ndarray]:
        """Like `read`, but in bands of whole rows from top to bottom, of which any number of pixels may be had.

        All that will be needed of the file is checked at once, before the first band. Threads may share the iterator.
        """
        damage = self._damage()
        with self._naming():
            job = self._job(region, scale)
            arriving = decode_bands(self._source, self._file, job, damage)
            check_payloads(self._source, self._file, job, damage)
        if damage:
            damage.warn(stacklevel=2)
        return _Shared(_shaped(rows) for rows in self._arriving(arriving, damage))

    def tiles(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """All tiles, row by row, as (x, y, pixels): the place of the tile's corner, and what `read` gives of it.

        Memory is taken for one row of tiles. Threads may share the iterator.
        """
        damage = self._damage()
        with self._naming():
            arriving = decode_bands(self._source, self._file, self._job(None), damage)
        return _Shared(self._tiles(self._arriving(arriving, damage)))

    @fork_safe
    def transform_bits(self) -> dict[str, int]:
        """Bits that the file spends on its hyper-latents, first passes and second passes, by these names.

        All tiles' symbols are decoded for it, one after another.
        """
        with self._naming():
            return dict(transform_bits(self._source, self._file, self._job(None)))

    def close(self) -> None:
        """Ends reading, and closes the file if it was given as a path."""
        self._source.close()
        self._cache.clear()

    def __enter__(self) -> PictureReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _damage(self) -> Damage | None:
        return Damage(self._file.header, self._name) if self._options.on_error == "fill" else None

    def _job(self, region: Region | None, scale: float | Fraction = 1) -> Job:
        options = dataclasses.replace(self._options, region=region, scale=scale)
        return Job(self._model, self._settings, self._file.header, options)

    def _arriving(self, arriving: Iterator[np.ndarray], damage: Damage | None) -> Iterator[np.ndarray]:
        with self._naming():
            yield from arriving
        if damage:
            damage.warn(stacklevel=5)

    def _tiles(self, arriving: Iterator[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        header = self._file.header
        number, held = 0, np.empty((0, header.width, header.channels), header.dtype)
        for rows in arriving:
            held = np.concatenate([held, rows]) if len(held) else rows
            while number < header.tile_count and len(held) >= (height := header.place(number).height):
                top = header.place(number).top
                while number < header.tile_count and (place := header.place(number)).top == top:
                    yield place.left, top, _shaped(held[:height, place.left : place.right].copy())
                    number += 1
                held = held[height:]

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Says which file an error comes from."""
        try:
            yield
        except CaeError as error:
            raise type(error)(f"{self._name}{error}") from error.__cause__


class _Shared(Generic[Item]):
    """An iterator that several threads may share, in forked processes too."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Item]:
        return self

    @fork_safe
    def __next__(self) -> Item:
        with self._lock:
            return next(self._items)


def _shaped(pixels: np.ndarray) -> np.ndarray:
    """Pixels (h, w, channels) as applications know them: gray without alpha is (h, w)."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
