"""From a `.cae` file to bands of its picture, or of a region."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from operator import itemgetter

import numpy as np
from torch import Tensor

from ..entropy.symbols import PARTS
from ..errors import CaeError, DamageError
from ..format import container
from ..format.container import Container
from ..format.geometry import LATENT_STRIDE, Rect, bands, grid
from ..format.header import NO_MODEL, Header, Kind, Plane
from ..format.limits import check_size
from ..format.sources import Data, Source
from ..images.downscale import reduce
from ..images.upscale import MARGIN, Marked, enlarge, enlarge_bands
from ..networks.transforms import receptive_field
from ..options import DecodeOptions
from ..runtime.heap import trim_heap
from .concealment import Damage
from .settings import WIDE, Job, with_fallback
from .tile_coder import decode_tile
from .tile_window import alphas_of, latents_of, layers_of, naming
from .windowed_transforms import synthesise

WORK_ALWAYS = 2**24
"""Pixels that are decoded for a region whatever the limit, since four tiles of any size may meet in it."""
DRAWN_BITS = 1.0
"""Bits of a sample up to which a picture that is wholly without loss is taken for drawn: those of photographs are more."""
ADVICE = "; decode it region by region, or raise the limit (--max-pixels, Codec's pixels_max)"


def decode(data: Source | Data, file: Container, job: Job, damage: Damage | None = None) -> np.ndarray:
    """Decodes the job's region of a file, which `container.read` has parsed, to pixels (h, w, channels) in its type.

    At another size they are those of the whole picture of that size in which the region has any.
    """
    region = job.region
    _check_place(region, job.header)
    if job.scale >= 1:
        _check_work(region, job)
    shown = region.at(job.scale)
    check_size(shown.width, shown.height, job.settings.pixels_max, ADVICE, job.header.depth)
    out = np.empty((shown.height, shown.width, job.header.channels), job.header.dtype)
    top = 0
    for rows in decode_bands(data, file, job, damage):
        out[top : top + len(rows)] = rows
        top += len(rows)
    return out


def decode_bands(data: Source | Data, file: Container, job: Job, damage: Damage | None = None) -> Iterator[np.ndarray]:
    """Decodes the job's region to bands of it, (h, w, channels), alpha last, from top to bottom, at the job's scale.

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
    if not _is_filtered(job):
        return map(itemgetter(0), _decode_bands(data, file, job, damage))
    source = _before_filter(job)
    header = job.header
    arriving = _decode_bands(data, file, source, damage, marking=_holds_screen_content(file))
    return enlarge_bands(arriving, source.region, region, job.scale.numerator, header.largest, has_alpha=header.has_alpha)


def check_payloads(data: Source | Data, file: Container, job: Job, damage: Damage | None = None) -> None:
    """Reads all payloads that the job's region needs; CaeError at the first damaged one, or a note of each in `damage`."""
    job = _before_filter(job) if _is_filtered(job) else job
    header, region = job.header, job.region
    for plane, needed in (
        (Plane.COLOUR, region.grow(receptive_field(job.synthesis), header.bounds)),
        (Plane.ALPHA, region.grow(_alpha_margin(job), header.bounds)),
    ):
        if plane in header.planes:
            for number, tile in grid(header.bounds, header.tile, touching=needed):
                if plane is Plane.COLOUR and (tile & region).is_empty and file.kind(number) is Kind.LOSSLESS:
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
    shown = region.at(max(job.scale, Fraction(1)))
    check_size(shown.width, shown.height, settings.pixels_max, ADVICE, header.depth)
    for worked_on in (tiles, windows):
        limit = max(settings.pixels_max, WORK_ALWAYS)
        check_size(worked_on.width, worked_on.height, limit, f", and this region needs that much to be decoded{ADVICE}")


def _is_filtered(job: Job) -> bool:
    """Whether the picture is decoded at its own size and enlarged then."""
    return job.scale > job.synthesised


def _before_filter(job: Job) -> Job:
    """The decode, at the picture's own size, of what the filter needs."""
    place = job.region.grow(MARGIN, job.header.bounds)
    options = DecodeOptions((place.left, place.top, place.width, place.height))
    return dataclasses.replace(job, options=options)


def _alpha_margin(job: Job) -> int:
    """Pixels around the region whose alpha is needed."""
    return MARGIN if job.scale > 1 else 0


def _holds_screen_content(file: Container) -> bool:
    """Whether what a file holds without loss is drawn: with a model it is, and without one where it takes few bits."""
    header = file.header
    if header.model_id != NO_MODEL:
        return True
    return 8 * file.index.total(len(header.planes)) <= DRAWN_BITS * header.width * header.height * header.colours


def _decode_bands(
    data: Source | Data, file: Container, job: Job, damage: Damage | None, *, marking: bool = False
) -> Iterator[Marked]:
    """Bands with, where they are to be marked, the pixels that are held without loss."""
    header, region = job.header, job.region
    margin, alpha_margin = receptive_field(job.synthesis), _alpha_margin(job)
    unread: dict[int, Data] = {}
    latents = latents_of(data, file, job, region.grow(margin, header.bounds), damage, unread)
    layers = layers_of(data, file, job, damage, unread)
    alphas = alphas_of(data, file, job, region.grow(alpha_margin, header.bounds), damage)

    def hidden(window: Rect) -> bool:
        return all(file.kind(number) is Kind.LOSSLESS for number, _ in grid(header.bounds, header.tile, touching=window))

    for band in bands(header.bounds, job.settings.window, job.settings.band_cells, touching=region):
        shown = band & region
        latents.move(shown.grow(margin, header.bounds))
        if band.width >= WIDE:
            trim_heap()

        def attempt(job: Job, shown: Rect = shown) -> np.ndarray:
            return synthesise(latents.gather, shown, job, hidden)

        # bands begin where reduced pixels do
        pixels = with_fallback(attempt, job)
        layers.move(shown)
        layers.paint(pixels, shown, job.synthesised)
        pixels = reduce(pixels, job.scale.denominator // job.synthesised.denominator)
        if header.has_alpha:
            around = shown.grow(alpha_margin, header.bounds)
            alphas.move(around)
            alpha = alphas.gather(around)[..., None]
            if job.scale > 1:
                marked = alpha, layers.seen(around)
                alpha = enlarge(marked, shown.relative_to(around), job.scale.numerator, header.largest, has_alpha=True)
            pixels = np.concatenate([pixels, reduce(alpha, job.scale.denominator)], -1)
        yield pixels, layers.seen(shown) if marking else None
        del pixels


def decode_latent(data: Source | Data, file: Container, job: Job) -> Tensor:
    """The reconstructed latent (h, w, N) int32 of a whole picture, in units of 2**-LATENT_BITS quantisation steps.

    It is exact on every machine, and zero where a tile is lossless.
    """
    bounds = job.header.bounds
    latents = latents_of(data, file, job, bounds, None, {})
    latents.move(bounds)
    return latents.gather(bounds.outward(LATENT_STRIDE))


def transform_bits(data: Source | Data, file: Container, job: Job) -> Counter[str]:
    """Bits that each of `entropy.symbols.PARTS` takes in the transform-coded tiles; CaeError at a damaged one."""
    bits = Counter(dict.fromkeys(PARTS, 0))
    for number in range(job.header.tile_count):
        if file.kind(number) is not Kind.LOSSLESS:
            place = job.header.place(number)
            payload = container.payload(data, file, number)
            with naming(Plane.COLOUR, number):
                decode_tile(container.split(payload, place)[1], place, job, bits)
    return bits
