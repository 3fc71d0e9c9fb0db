"""Reading regions, bands and tiles of an open `.cae` file."""

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

from ..advice import DEVICE_ADVICE, damage_advice, weights_advice
from ..coding.concealment import Damage
from ..coding.decoder import check_payloads, decode, decode_bands, transform_bits
from ..coding.jobs import DecodeJob
from ..coding.settings import Settings
from ..errors import CaeError, TooLargeError, advised
from ..format import container
from ..format.buffers import Buffer
from ..format.header import NO_MODEL, Header
from ..format.info import Info, info_of
from ..format.sources import open_source
from ..images.samples import squeeze_gray
from ..networks.decoding import DecoderNetworks
from ..options import DecodeOptions, OnError, Region, integer
from ..runtime.forking import fork_safe
from ..runtime.tile_cache import TileCache
from ..runtime.warning import warn

Item = TypeVar("Item")
File = str | PathLike[str] | BinaryIO | Buffer
_API_ADVICE = {
    **damage_advice("on_error='fill'"),
    TooLargeError: "; decode it region by region, or raise the limit (pixels_max)",
    **weights_advice("weights=…"),
    **DEVICE_ADVICE,
}


class PictureReader:
    """An open `.cae` file, whose parts are read when they are needed. Safe to use from several threads at once.

    `codec.open` makes it; it closes at the end of a `with` block. Any method raises CaeError where a tile that it needs is
    damaged, unless damage is filled. So does a file that fails, is closed, or has been written to since it was opened. The
    message begins with the file's path if it has one.

    Args:
        load: gives the networks for a file's header, and how to run it; called once, when pixels are first asked for.
        cache: bytes of decoded tiles to keep.
    """

    def __init__(
        self, file: File, load: Callable[[Header], tuple[DecoderNetworks, Settings]], on_error: OnError, cache: int
    ) -> None:
        self._options = DecodeOptions(on_error=on_error)
        self._cache = TileCache(integer("cache", cache))
        self._name = f"{file!s}: " if isinstance(file, str | PathLike) else ""
        self._load = load
        self._running: tuple[DecoderNetworks, Settings] | None = None
        self._source = open_source(file)
        try:
            with self._errors_named():
                self._file = container.read(self._source, wrong_end=self._options.conceals)
        except BaseException:
            self._source.close()
            raise
        if self._file.excess:
            warn(f"{self._name}{container.count_bytes(self._file.excess)} the last tile, left out")

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
        """Bits of a sample: 8, or 9 to 16, with pixels of uint16."""
        return self._file.header.depth

    @property
    def tile_size(self) -> int:
        """Side of a tile in pixels."""
        return self._file.header.tile

    @property
    def quality(self) -> int:
        """The quality that the picture was encoded at, 1 to 100."""
        return self._file.header.quality

    @property
    def scales(self) -> tuple[Fraction, ...]:
        """Scales that a decoder of the weights makes; at others, pixels of the full size are filtered."""
        if self._file.header.model_id == NO_MODEL:
            return (Fraction(1),)
        with self._errors_named():
            model, _ = self._loaded()
            return Fraction(1), *model.resized

    @property
    def metadata(self) -> dict[str, bytes]:
        """The metadata that the file has, by the names that `codec.encode` takes: `iccp`, `exif`, `xmp ` and others."""
        return dict(self._file.metadata)

    @property
    def info(self) -> Info:
        """Facts of the file, as `codec.info` gives them."""
        with self._errors_named():
            return info_of(self._source, self._file)

    @fork_safe
    def load(self) -> None:
        """Loads the weights that the file names, if that has not been done; CaeError where they are not installed."""
        with self._errors_named():
            self._loaded()

    @fork_safe
    def read(self, region: Region | None = None, scale: float | Fraction = 1) -> np.ndarray:
        """Returns the pixels of a region, or of all, as `codec.decode` does: (h, w), (h, w, 2), (h, w, 3) or (h, w, 4).

        Args:
            region: (x, y, width, height) in pixels of the full size, whatever the scale; only the tiles that it needs are
                read, but for those that are cached.
            scale: 2, 1, 1/2, 1/4 or 1/8, see `Codec.decode`.
        """
        damage = self._damage()
        with self._errors_named():
            job = dataclasses.replace(self._job(region, scale), cache=self._cache)
            pixels = decode(self._source, self._file, job, damage)
        _warn_of(damage)
        return squeeze_gray(pixels)

    def bands(self, region: Region | None = None, scale: float | Fraction = 1) -> Iterator[np.ndarray]:
        """Like `read`, but in bands of whole rows from top to bottom, for any number of pixels.

        The parts of the file that they need are all checked before the first band. Threads may share the iterator.
        """
        damage = self._damage()
        with self._errors_named():
            job = self._job(region, scale)
            bands = decode_bands(self._source, self._file, job, damage)
            check_payloads(self._source, self._file, job, damage)
        _warn_of(damage)
        return _SharedIterator(squeeze_gray(rows) for rows in self._reported(bands, damage))

    def tiles(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """All tiles, row by row, as (x, y, pixels): the place of the tile's corner, and what `read` gives of it.

        Memory is taken for one row of tiles. Threads may share the iterator.
        """
        damage = self._damage()
        with self._errors_named():
            bands = decode_bands(self._source, self._file, self._job(None), damage)
        return _SharedIterator(self._cut_tiles(self._reported(bands, damage)))

    @fork_safe
    def transform_bits(self) -> dict[str, int]:
        """Bits that the file spends on priors, hyper-latents, anchors and non-anchors, by these names.

        All tiles' symbols are decoded for it, one after another.
        """
        with self._errors_named():
            return dict(transform_bits(self._source, self._file, self._job(None)))

    def close(self) -> None:
        """Ends reading, and closes the file if it was given as a path."""
        self._source.close()
        self._cache.clear()

    def __enter__(self) -> PictureReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _loaded(self) -> tuple[DecoderNetworks, Settings]:
        """The networks and how to run them, loaded at the first call."""
        if self._running is None:
            self._running = self._load(self._file.header)
        return self._running

    def _damage(self) -> Damage | None:
        return Damage(self._file.header, self._name) if self._options.conceals else None

    def _job(self, region: Region | None, scale: float | Fraction = 1) -> DecodeJob:
        options = dataclasses.replace(self._options, region=region, scale=scale)
        return DecodeJob(*self._loaded(), self._file.header, options)

    def _reported(self, bands: Iterator[np.ndarray], damage: Damage | None) -> Iterator[np.ndarray]:
        """The same bands, with the file's name in errors and a warning of damage at their end."""
        with self._errors_named():
            yield from bands
        _warn_of(damage)

    def _cut_tiles(self, bands: Iterator[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """Tiles of bands, as soon as their rows are complete."""
        header = self._file.header
        number, pending = 0, np.empty((0, header.width, header.channels), header.dtype)
        for rows in bands:
            pending = np.concatenate([pending, rows]) if len(pending) else rows
            while number < header.tile_count and len(pending) >= (height := header.place(number).height):
                top = header.place(number).top
                while number < header.tile_count and (place := header.place(number)).top == top:
                    yield place.left, top, squeeze_gray(pending[:height, place.left : place.right].copy())
                    number += 1
                pending = pending[height:]

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Puts the file's name before the messages of errors, and adds advice in terms of the API."""
        try:
            yield
        except CaeError as error:
            # frames of its traceback may hold views of the caller's buffer
            raise advised(error.with_traceback(None), _API_ADVICE).prefixed(self._name) from error.__cause__


class _SharedIterator(Generic[Item]):
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


def _warn_of(damage: Damage | None) -> None:
    """Issues one warning that names the parts that were filled in."""
    if damage and (message := damage.unreported()):
        warn(message)
