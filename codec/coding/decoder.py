"""From a `.cae` file to bands of its picture, or of a region."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..errors import CaeError, DamageError
from ..format import container
from ..format.container import Container
from ..format.header import Header, Kind, Plane
from ..format.limits import check_size
from ..format.source import Data, Source
from ..format.tiling import LATENT_STRIDE, Rect, bands, grid
from ..images.lossless import decode_colour, decode_gray
from ..images.reduction import cover, reduce
from ..networks.transforms import receptive_field
from ..runtime.memory import give_back
from ..runtime.threads import run_parallel
from .damage import Damage, fill, neighbours
from .settings import WIDE, Job, with_fallback
from .tiles import PARTS, decode_tile
from .transforming import samples, synthesise

Part = TypeVar("Part", Tensor, np.ndarray)
WORK_ALWAYS = 2**24
"""Pixels that are decoded for a region whatever the limit, since four tiles of any size may meet in it."""
ADVICE = "; decode it region by region, or raise the limit (--max-pixels, Codec's pixels_max)"


def decode(data: Source | Data, file: Container, job: Job, damage: Damage | None = None) -> np.ndarray:
    """Decodes the job's region of a file, which `container.read` has parsed, to pixels (h, w, channels) in its type.

    At a reduced size they are those of the whole reduced picture under which the region has any.
    """
    region = job.region
    _check_place(region, job.header)
    if job.reduction == 1:
        _check_work(region, job)
    shown = region.outward(job.reduction)
    check_size(shown.width, shown.height, job.settings.pixels_max, ADVICE, job.header.depth)
    out = np.empty((shown.height, shown.width, job.header.channels), job.header.dtype)
    top = 0
    for rows in decode_bands(data, file, job, damage):
        out[top : top + len(rows)] = rows
        top += len(rows)
    return out


def decode_bands(data: Source | Data, file: Container, job: Job, damage: Damage | None = None) -> Iterator[np.ndarray]:
    """Decodes the job's region to bands of it, (h, w, channels), alpha last, from top to bottom, at the reduced size.

    Of each tile no more is kept than the region needs, and only until the bands have passed it. With `damage`, damaged
    parts are filled and noted there; what lies further from them than the synthesis reaches is exact.

    Raises:
        CaeError: at once where the region is not within the picture, or one of its bands is more work than the limit; while
            it goes on where a tile is damaged.
    """
    region = job.region
    _check_place(region, job.header)
    for band in bands(job.header.bounds, job.settings.window, job.settings.band_cells, touching=region):
        _check_work(band & region, job)
    return _decode_bands(data, file, job, damage)


def check_payloads(data: Source | Data, file: Container, job: Job, damage: Damage | None = None) -> None:
    """Reads all payloads that the job's region needs; CaeError at the first damaged one, or a note of each in `damage`."""
    header, region = job.header, job.region
    for plane, needed in (
        (Plane.COLOUR, region.grow(receptive_field(job.synthesis), header.bounds)),
        (Plane.ALPHA, region),
    ):
        if plane in header.planes:
            for number, tile in grid(header.bounds, header.tile, touching=needed):
                if (tile & region).is_empty and file.kind(number) is Kind.LOSSLESS:
                    continue  # of these nothing reaches beyond them
                try:
                    container.payload(data, file, number, plane)
                except DamageError:
                    if damage is None:
                        raise
                    damage.note(number, plane)


def _check_place(region: Rect, header: Header) -> None:
    """CaeError where a region is not within the picture."""
    if region.is_empty or region & header.bounds != region:
        where = f"x {region.left}, y {region.top}, {region.width} x {region.height}"
        raise CaeError(f"the region ({where}) is not within the picture's {header.width} x {header.height} pixels")


def _check_work(region: Rect, job: Job) -> None:
    """CaeError where a region, or the tiles and windows that it needs, exceed the limit."""
    header, settings, bounds = job.header, job.settings, job.header.bounds
    tiles = region.grow(receptive_field(job.synthesis), bounds).outward(header.tile).scaled(header.tile) & bounds
    windows = region.outward(settings.window).scaled(settings.window) & bounds
    check_size(region.width, region.height, settings.pixels_max, ADVICE, header.depth)
    for worked_on in (tiles, windows):
        limit = max(settings.pixels_max, WORK_ALWAYS)
        check_size(worked_on.width, worked_on.height, limit, f", and this region needs that much to be decoded{ADVICE}")


def _decode_bands(data: Source | Data, file: Container, job: Job, damage: Damage | None) -> Iterator[np.ndarray]:
    header, region = job.header, job.region
    margin = receptive_field(job.synthesis)
    unread: dict[int, Data] = {}
    latents = _latents(data, file, job, region.grow(margin, header.bounds), damage, unread)
    layers = _layers(data, file, job, damage, unread)
    alphas = _alphas(data, file, job, damage)

    def hidden(window: Rect) -> bool:
        return all(file.kind(number) is Kind.LOSSLESS for number, _ in grid(header.bounds, header.tile, touching=window))

    for band in bands(header.bounds, job.settings.window, job.settings.band_cells, touching=region):
        shown = band & region
        latents.move(shown.grow(margin, header.bounds))
        if band.width >= WIDE:
            give_back()

        def attempt(job: Job, shown: Rect = shown) -> np.ndarray:
            return synthesise(latents.gather, shown, job, hidden)

        # bands begin where reduced pixels do
        pixels = with_fallback(attempt, job)
        layers.move(shown)
        layers.paint(pixels, shown, job.synthesised)
        pixels = reduce(pixels, job.reduction // job.synthesised)
        if header.has_alpha:
            alphas.move(shown)
            pixels = np.concatenate([pixels, reduce(alphas.gather(shown)[..., None], job.reduction)], -1)
        yield pixels
        del pixels


def decode_latent(data: Source | Data, file: Container, job: Job) -> Tensor:
    """The reconstructed latent (h, w, N) int32 of a whole picture, in units of 2**-MEAN_BITS quantisation steps.

    It is exact on every machine, and zero where a tile is lossless.
    """
    bounds = job.header.bounds
    latents = _latents(data, file, job, bounds, None, {})
    latents.move(bounds)
    return latents.gather(bounds.outward(LATENT_STRIDE))


def transform_bits(data: Source | Data, file: Container, job: Job) -> Counter[str]:
    """Bits that the parts of the transform-coded tiles take, by their names in `tiles.PARTS`; CaeError at a damaged one."""
    bits = Counter(dict.fromkeys(PARTS, 0))
    for number in range(job.header.tile_count):
        if file.kind(number) is not Kind.LOSSLESS:
            place = job.header.place(number)
            payload = container.payload(data, file, number)
            with _naming(Plane.COLOUR, number):
                decode_tile(container.split(payload, place)[1], place, job, bits)
    return bits


class _Tiles(Generic[Part]):
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


class _Layers(_Tiles[np.ndarray]):
    """What tiles have without loss: (h, w, 4), alpha 0 where the transform's pixels are seen."""

    def paint(self, pixels: np.ndarray, shown: Rect, factor: int) -> None:
        """Puts what is held over pixels (h, w, 1 or 3) of the rectangle `shown`, which are `factor` times smaller."""
        chosen = slice(1, 2) if pixels.shape[2] == 1 else slice(3)
        for place, part in self.parts(shown):
            beneath = pixels[place.outward(factor).relative_to(shown.outward(factor)).slices]
            cover(beneath, part[..., chosen], part[..., 3:] > 0, factor)


@contextlib.contextmanager
def _naming(plane: Plane, number: int) -> Iterator[None]:
    """Says which part of the file is damaged."""
    try:
        yield
    except CaeError as error:
        raise DamageError(f"{plane.value} {number}: {error}") from None


def _latents(
    data: Source | Data, file: Container, job: Job, wanted: Rect, damage: Damage | None, unread: dict[int, Data]
) -> _Tiles[Tensor]:
    """The latents of tiles; what mixed ones within the job's region have without loss as well is put into `unread`."""
    header, channels = job.header, job.model.config.latent_channels

    def decode_anew(number: int) -> Tensor:
        place = header.place(number)
        payload = container.payload(data, file, number, Plane.COLOUR)
        with _naming(Plane.COLOUR, number):
            lossless, transform = container.split(payload, place)
            if len(lossless) and not (place & job.region).is_empty:
                unread[number] = lossless
            return with_fallback(lambda job: decode_tile(transform, place, job), job, windows=False)

    def decode(number: int) -> Tensor | None:
        if file.kind(number) is Kind.LOSSLESS:
            return None
        return job.tiles.get((Plane.COLOUR, number), lambda: decode_anew(number))

    def decode_or_fill(number: int) -> Tensor | None:
        try:
            return decode(number)
        except DamageError:
            if damage is None:
                raise
        damage.note(number, Plane.COLOUR)
        unread.pop(number, None)
        found = fill(number, header, LATENT_STRIDE, decode)
        return None if found is None else found.round_().to(torch.int32)

    def zeros(height: int, width: int) -> Tensor:
        return torch.zeros(height, width, channels, dtype=torch.int32, device="cpu")

    return _Tiles(header, job.settings.threads, wanted, LATENT_STRIDE, decode_or_fill, zeros)


def _layers(data: Source | Data, file: Container, job: Job, damage: Damage | None, unread: dict[int, Data]) -> _Layers:
    """What tiles have without loss; `unread` holds the code of those that have been read already."""
    header = job.header

    def decode_anew(number: int) -> np.ndarray:
        place = header.place(number)
        code = unread.pop(number, None)
        if code is None:
            payload = container.payload(data, file, number, Plane.COLOUR)
            with _naming(Plane.COLOUR, number):
                code, _ = container.split(payload, place)
        with _naming(Plane.COLOUR, number):
            return decode_colour(code, place.width, place.height, header.depth, opaque=file.kind(number) is Kind.LOSSLESS)

    def decode(number: int) -> np.ndarray | None:
        if file.kind(number) is Kind.TRANSFORM:
            return None
        return job.tiles.get((Kind.LOSSLESS, number), lambda: decode_anew(number))

    def whole(number: int) -> Tensor | None:
        return None if file.kind(number) is not Kind.LOSSLESS else samples(decode(number)[..., :3].copy())

    def decode_or_fill(number: int) -> np.ndarray | None:
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
        found = fill(number, header, 1, whole)
        out[..., :3] = header.largest // 2 + 1 if found is None else found.round_().numpy()
        return out

    def zeros(height: int, width: int) -> np.ndarray:
        return np.zeros((height, width, 4), header.dtype)

    return _Layers(header, job.settings.threads, job.region, 1, decode_or_fill, zeros)


def _alphas(data: Source | Data, file: Container, job: Job, damage: Damage | None) -> _Tiles[np.ndarray]:
    def decode_anew(number: int) -> np.ndarray:
        place = job.header.place(number)
        payload = container.payload(data, file, number, Plane.ALPHA)
        with _naming(Plane.ALPHA, number):
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

    return _Tiles(job.header, job.settings.threads, job.region, 1, decode, zeros)
