"""From a `.cae` file to bands of its picture, or of a region."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..errors import CaeError
from ..format import container
from ..format.container import Container, Data, Header, Plane
from ..format.limits import check_size
from ..format.tiling import LATENT_STRIDE, Rect, bands, grid
from ..images.lossless import decode_gray
from ..networks.model import Model
from ..networks.transforms import receptive_field
from ..runtime.threads import run_parallel
from .settings import Settings, with_fallback
from .tiles import decode_tile
from .transforming import synthesise

Part = TypeVar("Part", Tensor, np.ndarray)
WORK_ALWAYS = 2**24
"""Pixels that are decoded for a region whatever the limit, since four tiles of any size may meet in it."""


def decode(data: Data, file: Container, model: Model, settings: Settings, region: Rect) -> np.ndarray:
    """Decodes one region (or all) of a file, which `container.read` has parsed, to pixels (h, w, channels) uint8."""
    arriving = decode_bands(data, file, model, settings, region)
    out = np.empty((region.height, region.width, file.header.channels), np.uint8)
    top = 0
    for rows in arriving:
        out[top : top + len(rows)] = rows
        top += len(rows)
    return out


def decode_bands(data: Data, file: Container, model: Model, settings: Settings, region: Rect) -> Iterator[np.ndarray]:
    """Decodes a region to bands of it, (h, w, channels) uint8, alpha last, from top to bottom.

    Of each tile no more is kept than the region needs, and only until the bands have passed it.

    Raises:
        CaeError: at once where the region is not within the picture, or asks for more work than the limit; while it goes
            on where a tile is damaged.
    """
    _check_work(region, file.header, model, settings)
    return _decode_bands(data, file, model, settings, region)


def _check_work(region: Rect, header: Header, model: Model, settings: Settings) -> None:
    """CaeError where a region is not within the picture, or where the tiles and windows that it needs exceed the limit."""
    bounds = header.bounds
    if region.is_empty or region & bounds != region:
        where = f"x {region.left}, y {region.top}, {region.width} x {region.height}"
        raise CaeError(f"the region ({where}) is not within the picture's {header.width} x {header.height} pixels")
    tiles = region.grow(receptive_field(model.synthesis), bounds).outward(header.tile).scaled(header.tile) & bounds
    windows = region.outward(settings.window).scaled(settings.window) & bounds
    advice = "; decode it region by region, or raise the limit (--max-pixels, Codec's pixels_max)"
    check_size(region.width, region.height, settings.pixels_max, advice)
    for worked_on in (tiles, windows):
        limit = max(settings.pixels_max, WORK_ALWAYS)
        check_size(worked_on.width, worked_on.height, limit, f", and this region needs that much to be decoded{advice}")


def _decode_bands(data: Data, file: Container, model: Model, settings: Settings, region: Rect) -> Iterator[np.ndarray]:
    header = file.header
    margin = receptive_field(model.synthesis)
    latents = _latents(data, file, model, settings, region.grow(margin, header.bounds))
    alphas = _alphas(data, file, settings, region)
    for band in bands(header.bounds, settings.window, settings.band_cells, touching=region):
        shown = band & region
        latents.move(shown.grow(margin, header.bounds))

        def attempt(model: Model, settings: Settings, shown: Rect = shown) -> np.ndarray:
            return synthesise(latents.gather, shown, header.bounds, header.colours, model, settings, header.quality)

        pixels = with_fallback(attempt, model, settings)
        if header.has_alpha:
            alphas.move(shown)
            pixels = np.concatenate([pixels, alphas.gather(shown)[..., None]], -1)
        yield pixels


def decode_latent(data: Data, file: Container, model: Model, settings: Settings) -> Tensor:
    """The reconstructed latent (h, w, N) int32 of a whole picture, in units of 2**-MEAN_BITS quantisation steps.

    It is exact on every machine.
    """
    bounds = file.header.bounds
    latents = _latents(data, file, model, settings, bounds)
    latents.move(bounds)
    return latents.gather(bounds.outward(LATENT_STRIDE))


class _Tiles(Generic[Part]):
    """What is decoded of one plane of the tiles around a band; each tile is decoded once while bands move downwards.

    Args:
        wanted: all that will ever be asked for, in pixels.
        unit: pixels per position of what is held.
        decode: gives a whole tile, by its number.
        zeros: makes what stands where no tile is held, of a height and width.
    """

    def __init__(
        self,
        header: Header,
        threads: int,
        wanted: Rect,
        unit: int,
        decode: Callable[[int], Part],
        zeros: Callable[[int, int], Part],
    ) -> None:
        self._header, self._threads = header, threads
        self._wanted, self._unit = wanted.outward(unit), unit
        self._decode, self._zeros = decode, zeros
        self._held: dict[int, tuple[Rect, Part]] = {}

    def move(self, needed: Rect) -> None:
        """Decodes the tiles that `needed` (pixels) touches, and lets go of all others."""
        cells = list(grid(self._header.bounds, self._header.tile, touching=needed))
        self._held = {number: self._held[number] for number, _ in cells if number in self._held}
        self._held |= run_parallel(self._cropped, [cell for cell in cells if cell[0] not in self._held], self._threads)

    def _cropped(self, cell: tuple[int, Rect]) -> tuple[int, tuple[Rect, Part]]:
        number, tile = cell
        place = tile.outward(self._unit)
        kept = place & self._wanted
        part = self._decode(number)
        if kept != place:
            out = self._zeros(kept.height, kept.width)
            out[:] = part[kept.relative_to(place).slices]
            part = out
        return number, (kept, part)

    def gather(self, window: Rect) -> Part:
        """What is held of a rectangle of positions, and zeros elsewhere."""
        out = self._zeros(window.height, window.width)
        bounds = self._header.bounds
        for number, _ in grid(bounds, self._header.tile, touching=window.scaled(self._unit) & bounds):
            if number in self._held:
                kept, part = self._held[number]
                if (shared := kept & window).is_empty:
                    continue
                out[shared.relative_to(window).slices] = part[shared.relative_to(kept).slices]
        return out


@contextlib.contextmanager
def _naming(plane: Plane, number: int) -> Iterator[None]:
    """Says which part of the file an error comes from."""
    try:
        yield
    except CaeError as error:
        raise CaeError(f"{plane.value} {number}: {error}") from None


def _latents(data: Data, file: Container, model: Model, settings: Settings, wanted: Rect) -> _Tiles[Tensor]:
    header = file.header

    def decode(number: int) -> Tensor:
        payload, place = container.payload(data, file, number, Plane.COLOUR), header.place(number)
        with _naming(Plane.COLOUR, number):
            attempt = lambda model, _: decode_tile(payload, place, model, header.quality)  # noqa: E731
            return with_fallback(attempt, model, settings, windows=False)

    def zeros(height: int, width: int) -> Tensor:
        return torch.zeros(height, width, model.config.latent_channels, dtype=torch.int32, device="cpu")

    return _Tiles(header, settings.threads, wanted, LATENT_STRIDE, decode, zeros)


def _alphas(data: Data, file: Container, settings: Settings, wanted: Rect) -> _Tiles[np.ndarray]:
    def decode(number: int) -> np.ndarray:
        payload, place = container.payload(data, file, number, Plane.ALPHA), file.header.place(number)
        with _naming(Plane.ALPHA, number):
            return decode_gray(payload.data, place.width, place.height)

    def zeros(height: int, width: int) -> np.ndarray:
        return np.zeros((height, width), np.uint8)

    return _Tiles(file.header, settings.threads, wanted, 1, decode, zeros)
