"""What a decode holds of the tiles around a band: their latents, what they have without loss, and their alpha."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import groupby
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..errors import CaeError, DamageError
from ..format import container
from ..format.container import Container
from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..format.header import Header, Kind, Plane
from ..format.sources import Data, Source
from ..images.downscale import cover
from ..images.upscale import squares
from ..runtime.threads import run_parallel
from .concealment import Damage, conceal, neighbours
from .lossless import decode_colour, decode_gray
from .settings import Job, with_fallback
from .tile_coder import decode_tile
from .windowed_transforms import samples

Part = TypeVar("Part", Tensor, np.ndarray)


class TileWindow(Generic[Part]):
    """What is decoded of one plane of the tiles around a band; each tile is decoded once while bands move downwards.

    Args:
        wanted: all that will ever be asked for, in pixels.
        unit: pixels per position of what is held.
        decode: gives a whole tile, by its number, or None where it has nothing.
        zeros: makes what stands where no tile is held, of a height and width.
    """

    def __init__(
        self,
        header: Header,
        threads: int,
        wanted: Rect,
        unit: int,
        decode: Callable[[int], Part | None],
        zeros: Callable[[int, int], Part],
    ) -> None:
        self._header, self._threads = header, threads
        self._wanted, self._unit = wanted.outward(unit), unit
        self._decode, self._zeros = decode, zeros
        self._held: dict[int, tuple[Rect, Part | None]] = {}

    def move(self, needed: Rect) -> None:
        """Decodes the tiles that `needed` (pixels) touches, and lets go of all above it and of all other tiles."""
        cells = list(grid(self._header.bounds, self._header.tile, touching=needed))
        top = needed.outward(self._unit).top
        self._held = {number: self._below(top, *self._held[number]) for number, _ in cells if number in self._held}
        new = [(number, self._kept(tile)) for number, tile in cells if number not in self._held]
        for _, row in groupby(new, lambda cell: cell[1].top):
            self._hold(list(row))

    def _kept(self, tile: Rect) -> Rect:
        return tile.outward(self._unit) & self._wanted

    def _below(self, top: int, kept: Rect, part: Part | None) -> tuple[Rect, Part | None]:
        """What is held of a tile from a row of positions on."""
        if kept.top >= top:
            return kept, part
        lower = kept._replace(top=min(top, kept.bottom))
        return lower, None if part is None else self._copy(part[lower.relative_to(kept).slices])

    def _hold(self, row: list[tuple[int, Rect]]) -> None:
        """Decodes a row of tiles into one block, whose memory is given back as a whole: that of many small parts never is."""
        place = Rect(row[0][1].top, row[0][1].left, row[0][1].bottom, row[-1][1].right)
        block = self._zeros(place.height, place.width)

        def decode(cell: tuple[int, Rect]) -> tuple[int, tuple[Rect, Part | None]]:
            number, kept = cell
            if (part := self._decode(number)) is None:
                return number, (kept, None)
            held = block[kept.relative_to(place).slices]
            held[:] = part[kept.relative_to(self._header.place(number).outward(self._unit)).slices]
            return number, (kept, held)

        self._held |= run_parallel(decode, row, self._threads)

    def _copy(self, part: Part) -> Part:
        out = self._zeros(*part.shape[:2])
        out[:] = part
        return out

    def parts(self, window: Rect) -> Iterator[tuple[Rect, Part]]:
        """What is held of a rectangle of positions, piece by piece with their places."""
        bounds = self._header.bounds
        for number, _ in grid(bounds, self._header.tile, touching=window.scaled(self._unit) & bounds):
            kept, part = self._held.get(number, (window, None))
            if part is not None and not (shared := kept & window).is_empty:
                yield shared, part[shared.relative_to(kept).slices]

    def gather(self, window: Rect) -> Part:
        """What is held of a rectangle of positions, and zeros elsewhere."""
        out = self._zeros(window.height, window.width)
        for place, part in self.parts(window):
            out[place.relative_to(window).slices] = part
        return out


class LosslessWindow(TileWindow[np.ndarray]):
    """What tiles have without loss: (h, w, 4), alpha 0 where the transform's pixels are seen."""

    def paint(self, pixels: np.ndarray, shown: Rect, scale: Fraction) -> None:
        """Puts what is held over pixels (h, w, 1 or 3) that show a rectangle at a scale."""
        chosen = slice(1, 2) if pixels.shape[2] == 1 else slice(3)
        for place, part in self.parts(shown):
            beneath = pixels[place.at(scale).relative_to(shown.at(scale)).slices]
            part = squares(part, scale.numerator)
            cover(beneath, part[..., chosen], part[..., 3:] > 0, scale.denominator)

    def seen(self, shown: Rect) -> np.ndarray | None:
        """Which pixels of a rectangle are covered by what is held, (h, w, 1) bool; None for none."""
        out = None
        for place, part in self.parts(shown):
            out = np.zeros((shown.height, shown.width, 1), bool) if out is None else out
            out[place.relative_to(shown).slices] = part[..., 3:] > 0
        return out


@contextlib.contextmanager
def naming(plane: Plane, number: int) -> Iterator[None]:
    """Says which part of the file is damaged."""
    try:
        yield
    except CaeError as error:
        raise DamageError(f"{plane.value} {number}: {error}") from None


def latents_of(
    data: Source | Data, file: Container, job: Job, wanted: Rect, damage: Damage | None, unread: dict[int, Data]
) -> TileWindow[Tensor]:
    """The latents of tiles; what mixed ones within the job's region have without loss as well is put into `unread`."""
    header, channels = job.header, job.model.config.latent_channels

    def decode_anew(number: int) -> Tensor:
        place = header.place(number)
        payload = container.payload(data, file, number, Plane.COLOUR)
        with naming(Plane.COLOUR, number):
            lossless, transform = container.split(payload, place)
            if len(lossless) and not (place & job.region).is_empty:
                unread[number] = lossless
            return _narrow(with_fallback(lambda job: decode_tile(transform, place, job), job, windows=False))

    def decode(number: int) -> Tensor | None:
        if file.kind(number) is Kind.LOSSLESS:
            return None
        return job.tiles.get((Plane.COLOUR, number), lambda: decode_anew(number))

    def decode_or_conceal(number: int) -> Tensor | None:
        try:
            return decode(number)
        except DamageError:
            if damage is None:
                raise
        damage.note(number, Plane.COLOUR)
        unread.pop(number, None)
        found = conceal(number, header, LATENT_STRIDE, decode)
        return None if found is None else found.round_().to(torch.int32)

    def zeros(height: int, width: int) -> Tensor:
        return torch.zeros(height, width, channels, dtype=torch.int32, device="cpu")

    return TileWindow(header, job.settings.threads, wanted, LATENT_STRIDE, decode_or_conceal, zeros)


def _narrow(latent: Tensor) -> Tensor:
    """The same numbers in 16 bits where these hold them, as those of photographs do, so that twice as many are kept."""
    narrow = latent.to(torch.int16)
    return narrow if bool((narrow == latent).all()) else latent


def layers_of(data: Source | Data, file: Container, job: Job, damage: Damage | None, unread: dict[int, Data]) -> LosslessWindow:
    """What tiles have without loss; `unread` holds the code of those that have been read already."""
    header = job.header

    def decode_anew(number: int) -> np.ndarray:
        place = header.place(number)
        code = unread.pop(number, None)
        if code is None:
            payload = container.payload(data, file, number, Plane.COLOUR)
            with naming(Plane.COLOUR, number):
                code, _ = container.split(payload, place)
        with naming(Plane.COLOUR, number):
            return decode_colour(code, place.width, place.height, header.depth, opaque=file.kind(number) is Kind.LOSSLESS)

    def decode(number: int) -> np.ndarray | None:
        if file.kind(number) is Kind.TRANSFORM:
            return None
        return job.tiles.get((Kind.LOSSLESS, number), lambda: decode_anew(number))

    def whole(number: int) -> Tensor | None:
        return None if file.kind(number) is not Kind.LOSSLESS else samples(decode(number)[..., :3].copy())

    def decode_or_conceal(number: int) -> np.ndarray | None:
        try:
            if damage is None or not damage.has(number, Plane.COLOUR):
                return decode(number)
        except DamageError:
            if damage is None:
                raise
            damage.note(number, Plane.COLOUR)
        around = {file.kind(neighbour) for neighbour in neighbours(number, header) if neighbour is not None}
        if file.kind(number) is not Kind.LOSSLESS and around != {Kind.LOSSLESS}:
            return None  # latents of tiles around it have filled it
        place = header.place(number)
        out = np.full((place.height, place.width, 4), header.largest, header.dtype)
        found = conceal(number, header, 1, whole)
        out[..., :3] = header.largest // 2 + 1 if found is None else found.round_().numpy()
        return out

    def zeros(height: int, width: int) -> np.ndarray:
        return np.zeros((height, width, 4), header.dtype)

    return LosslessWindow(header, job.settings.threads, job.region, 1, decode_or_conceal, zeros)


def alphas_of(data: Source | Data, file: Container, job: Job, wanted: Rect, damage: Damage | None) -> TileWindow[np.ndarray]:
    """The alpha of tiles."""

    def decode_anew(number: int) -> np.ndarray:
        place = job.header.place(number)
        payload = container.payload(data, file, number, Plane.ALPHA)
        with naming(Plane.ALPHA, number):
            return decode_gray(payload.data, place.width, place.height, job.header.depth)

    def decode(number: int) -> np.ndarray:
        try:
            return job.tiles.get((Plane.ALPHA, number), lambda: decode_anew(number))
        except DamageError:
            if damage is None:
                raise
        damage.note(number, Plane.ALPHA)
        place = job.header.place(number)
        # opaque, so that no colours are hidden that are known
        return np.full((place.height, place.width), job.header.largest, job.header.dtype)

    def zeros(height: int, width: int) -> np.ndarray:
        return np.zeros((height, width), job.header.dtype)

    return TileWindow(job.header, job.settings.threads, wanted, 1, decode, zeros)
