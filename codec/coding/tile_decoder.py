"""Decoding the planes of a file's tiles, each as a whole; damaged tiles are concealed here."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from ..entropy.coder import Decoder
from ..entropy.symbols import decode_symbols
from ..errors import CaeError, DamageError
from ..format import container
from ..format.container import Container
from ..format.geometry import LATENT_STRIDE, Rect
from ..format.header import Kind, Plane
from ..format.payload import length_min, split_payload
from ..format.sources import ByteSource, Data
from .concealment import Damage, conceal_alpha, conceal_latent, conceal_lossless
from .jobs import DecodeJob, with_fallback
from .lossless import decode_colour, decode_gray
from .tile_window import LosslessWindow, TileWindow

Part = TypeVar("Part")


class TileDecoder:
    """Decodes latents, lossless layers and alpha of a file's tiles, by their numbers, and conceals damaged ones.

    Args:
        damage: takes note of damaged parts, which are concealed; None raises DamageError at the first.
    """

    def __init__(self, data: ByteSource | Data, file: Container, job: DecodeJob, damage: Damage | None) -> None:
        self._data, self._file, self._job, self._damage = data, file, job, damage
        self._header = file.header
        self._lossless_code: dict[int, Data] = {}
        """Code of lossless layers of mixed tiles, kept from when their latents were read until it is needed."""

    def latents(self, region: Rect) -> TileWindow:
        """A window on the latents of a region (pixels); zeros stand where tiles have none."""
        shape = (self._job.model.config.latent_channels,)
        return TileWindow(
            self._header, self._job.settings.threads, region, LATENT_STRIDE, self._latent, shape, np.dtype(np.int32)
        )

    def lossless_layers(self) -> LosslessWindow:
        """A window on the lossless layers of the job's region, (h, w, 4), alpha 0 where tiles have none."""
        return LosslessWindow(
            self._header, self._job.settings.threads, self._job.region, 1, self._lossless, (4,), self._header.dtype
        )

    def alphas(self, region: Rect) -> TileWindow:
        """A window on the alpha of a region (pixels)."""
        return TileWindow(self._header, self._job.settings.threads, region, 1, self._alpha, (), self._header.dtype)

    def _latent(self, tile: int) -> np.ndarray | None:
        """Latent (h, w, N) of a tile, int32 or int16; None for lossless tiles, and where nothing is near a damaged one."""
        if self._file.kind(tile) is Kind.LOSSLESS:
            return None
        return self._decode_or_conceal(tile, Plane.COLOUR, self._decode_latent, self._conceal_latent)

    def _lossless(self, tile: int) -> np.ndarray | None:
        """Lossless layer (h, w, 4) of a tile, alpha 0 where the transform's pixels are seen; None for none."""
        return self._decode_or_conceal(tile, Plane.COLOUR, self._decode_lossless, self._conceal_lossless)

    def _alpha(self, tile: int) -> np.ndarray:
        """Alpha (h, w) of a tile."""
        return self._decode_or_conceal(tile, Plane.ALPHA, self._decode_alpha, self._conceal_alpha)

    def _decode_or_conceal(
        self, tile: int, plane: Plane, decode: Callable[[int], Part], conceal_tile: Callable[[int], Part]
    ) -> Part:
        damage = self._damage
        try:
            if damage is None or not damage.has(tile, plane):
                return decode(tile)
        except DamageError:
            if damage is None:
                raise
            damage.note(tile, plane)
        return conceal_tile(tile)

    def _decode_latent(self, tile: int) -> np.ndarray | None:
        if self._file.kind(tile) is Kind.LOSSLESS:
            return None
        return self._job.cache.get((Plane.COLOUR, tile), lambda: self._read_latent(tile))

    def _read_latent(self, tile: int) -> np.ndarray:
        place = self._header.place(tile)
        payload = container.read_payload(self._data, self._file, tile, Plane.COLOUR)
        with damage_located(Plane.COLOUR, tile):
            lossless, transform = split_payload(payload, place)
            latent = with_fallback(lambda job: decode_tile(transform, place, job), self._job, windows=False)
        if len(lossless) and not (place & self._job.region).is_empty:
            self._lossless_code[tile] = lossless
        return _narrowed(latent)

    def _conceal_latent(self, tile: int) -> np.ndarray | None:
        return conceal_latent(tile, self._header, self._decode_latent)

    def _decode_lossless(self, tile: int) -> np.ndarray | None:
        if self._file.kind(tile) is Kind.TRANSFORM:
            return None
        return self._job.cache.get((Kind.LOSSLESS, tile), lambda: self._read_lossless(tile))

    def _read_lossless(self, tile: int) -> np.ndarray:
        place = self._header.place(tile)
        code = self._lossless_code.pop(tile, None)
        if code is None:
            payload = container.read_payload(self._data, self._file, tile, Plane.COLOUR)
        with damage_located(Plane.COLOUR, tile):
            if code is None:
                code, _ = split_payload(payload, place)
            opaque = self._file.kind(tile) is Kind.LOSSLESS
            return decode_colour(code, place.width, place.height, self._header.depth, opaque=opaque)

    def _conceal_lossless(self, tile: int) -> np.ndarray | None:
        return conceal_lossless(tile, self._header, self._file.kind, self._opaque_colours)

    def _opaque_colours(self, tile: int) -> np.ndarray | None:
        """Colours (h, w, 3) of a tile that is wholly lossless."""
        if self._file.kind(tile) is not Kind.LOSSLESS:
            return None
        return self._decode_lossless(tile)[..., :3]

    def _decode_alpha(self, tile: int) -> np.ndarray:
        return self._job.cache.get((Plane.ALPHA, tile), lambda: self._read_alpha(tile))

    def _read_alpha(self, tile: int) -> np.ndarray:
        place = self._header.place(tile)
        payload = container.read_payload(self._data, self._file, tile, Plane.ALPHA)
        with damage_located(Plane.ALPHA, tile):
            return decode_gray(payload.data, place.width, place.height, self._header.depth)

    def _conceal_alpha(self, tile: int) -> np.ndarray:
        return conceal_alpha(tile, self._header)


def decode_tile(data: Data, place: Rect, job: DecodeJob, bits: Counter[str] | None = None) -> np.ndarray:
    """Decodes the latent (h, w, N) int32 of a tile that covers the pixels `place`.

    It is in units of 2**-LATENT_BITS quantisation steps. The bits of each of `SYMBOL_PARTS` are added to `bits`.
    CaeError where no encoder writes such data.
    """
    quality, positions = job.header.quality, place.outward(LATENT_STRIDE)
    decoder = Decoder(data, length_min(Kind.TRANSFORM, place))
    symbols = decode_symbols(decoder, job.model.exact, quality, positions.height, positions.width, bits)
    return job.model.reconstruct(symbols, quality)


@contextlib.contextmanager
def damage_located(plane: Plane, tile: int) -> Iterator[None]:
    """Turns a CaeError into a DamageError that names the part of the file."""
    try:
        yield
    except CaeError as error:
        raise DamageError(f"{plane.value} {tile}: {error}") from None


def _narrowed(latent: np.ndarray) -> np.ndarray:
    """The same numbers in 16 bits where these hold them, as those of photographs do, so that a cache keeps twice as many."""
    narrow = latent.astype(np.int16)
    return narrow if np.array_equal(narrow, latent) else latent
