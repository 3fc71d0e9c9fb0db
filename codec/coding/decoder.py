"""The decoder: a `.cae` file to bands of its picture, or of a region."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from operator import itemgetter

import numpy as np

from ..entropy.symbols import SYMBOL_PARTS
from ..errors import CaeError, DamageError, TooLargeError
from ..format import container
from ..format.container import Container
from ..format.geometry import Rect, bands, grid
from ..format.header import NO_MODEL, Header, Kind, Plane
from ..format.limits import check_size
from ..format.payload import split_payload
from ..format.sources import ByteSource, Data
from ..images.downscale import reduce
from ..images.upscale import MARGIN, Marked, enlarge, enlarge_bands
from ..options import DecodeOptions
from ..runtime.heap import trim_heap
from .concealment import Damage
from .jobs import DecodeJob, with_fallback
from .settings import WIDE
from .tile_decoder import TileDecoder, damage_located, decode_tile
from .windowed_synthesis import synthesise

WORK_ALWAYS = 2**24
"""Pixels that are decoded for a region whatever the limit, since four tiles of any size may meet in it."""
SCREEN_CONTENT_BITS = 1.0
"""Bits of a sample up to which a wholly lossless picture is taken for screen content; photographs take more."""


def decode(data: ByteSource | Data, file: Container, job: DecodeJob, damage: Damage | None = None) -> np.ndarray:
    """Decodes the job's region of a file, which `container.read` has parsed, to pixels (h, w, channels) in its type.

    At another size they are those of the whole picture of that size in which the region has any.
    """
    region = job.region
    _check_place(region, job.header)
    if job.scale >= 1:
        _check_work(region, job)
    shown = region.at(job.scale)
    check_size(shown.width, shown.height, job.settings.pixels_max, depth=job.header.depth)
    out = np.empty((shown.height, shown.width, job.header.channels), job.header.dtype)
    top = 0
    for rows in decode_bands(data, file, job, damage):
        out[top : top + len(rows)] = rows
        top += len(rows)
    return out


def decode_bands(
    data: ByteSource | Data, file: Container, job: DecodeJob, damage: Damage | None = None
) -> Iterator[np.ndarray]:
    """Decodes the job's region to bands of it, (h, w, channels), alpha last, from top to bottom, at the job's scale.

    Of each tile no more is kept than the region needs, and only until the bands have passed it. With `damage`, damaged
    parts are filled and noted there; pixels further from them than the synthesis reaches are exact.

    Raises:
        CaeError: at once where the region is not within the picture, or one of its bands is more work than the limit; later
            where a tile is damaged.
    """
    region = job.region
    _check_place(region, job.header)
    for band in bands(job.header.bounds, job.settings.window, job.settings.band_windows, touching=region):
        _check_work(band & region, job)
    if not _is_filtered(job):
        return map(itemgetter(0), _decode_bands(data, file, job, damage))
    full_size, header = _before_filter(job), job.header
    marked = _decode_bands(data, file, full_size, damage, marking=_holds_screen_content(file))
    return enlarge_bands(marked, full_size.region, region, job.scale.numerator, header.largest, has_alpha=header.has_alpha)


def check_payloads(data: ByteSource | Data, file: Container, job: DecodeJob, damage: Damage | None = None) -> None:
    """Reads all payloads that the job's region needs; DamageError at the first damaged one, or a note of each in `damage`."""
    job = _before_filter(job) if _is_filtered(job) else job
    header, region = job.header, job.region
    for plane, needed in (
        (Plane.COLOUR, region.grow(job.margin, header.bounds)),
        (Plane.ALPHA, region.grow(_alpha_margin(job), header.bounds)),
    ):
        if plane in header.planes:
            for number, tile in grid(header.bounds, header.tile, touching=needed):
                if plane is Plane.COLOUR and (tile & region).is_empty and file.kind(number) is Kind.LOSSLESS:
                    continue  # its pixels have no influence on others
                try:
                    container.read_payload(data, file, number, plane)
                except DamageError:
                    if damage is None:
                        raise
                    damage.note(number, plane)


def _check_place(region: Rect, header: Header) -> None:
    """CaeError where a region is not within the picture."""
    if region.is_empty or region & header.bounds != region:
        where = f"x {region.left}, y {region.top}, {region.width} x {region.height}"
        raise CaeError(f"the region ({where}) is not within the picture's {header.width} x {header.height} pixels")


def _check_work(region: Rect, job: DecodeJob) -> None:
    """TooLargeError where a region, or the tiles and windows that it needs, exceed the limit."""
    header, settings, bounds = job.header, job.settings, job.header.bounds
    tiles = region.grow(job.margin, bounds).outward(header.tile).scaled(header.tile) & bounds
    windows = region.outward(settings.window).scaled(settings.window) & bounds
    shown = region.at(max(job.scale, Fraction(1)))
    check_size(shown.width, shown.height, settings.pixels_max, depth=header.depth)
    for decoded in (tiles, windows):
        try:
            check_size(decoded.width, decoded.height, max(settings.pixels_max, WORK_ALWAYS))
        except TooLargeError as error:
            raise TooLargeError(f"{error.fact}, and this region needs that much to be decoded") from None


def _is_filtered(job: DecodeJob) -> bool:
    """True if the picture is decoded at its own size and then enlarged by a filter."""
    return job.scale > job.synthesis_scale


def _before_filter(job: DecodeJob) -> DecodeJob:
    """The decode, at the picture's own size, of what the filter needs."""
    place = job.region.grow(MARGIN, job.header.bounds)
    options = DecodeOptions((place.left, place.top, place.width, place.height))
    return dataclasses.replace(job, options=options)


def _alpha_margin(job: DecodeJob) -> int:
    """Pixels around the region whose alpha is needed."""
    return MARGIN if job.scale > 1 else 0


def _holds_screen_content(file: Container) -> bool:
    """True if lossless pixels are screen content: in a file with a model always, in one without where they take few bits."""
    header = file.header
    if header.model_id != NO_MODEL:
        return True
    return 8 * file.index.total(len(header.planes)) <= SCREEN_CONTENT_BITS * header.width * header.height * header.colours


def _decode_bands(
    data: ByteSource | Data, file: Container, job: DecodeJob, damage: Damage | None, *, marking: bool = False
) -> Iterator[Marked]:
    """Yields bands and, with `marking`, masks of their lossless pixels."""
    header, region = job.header, job.region
    margin, alpha_margin = job.margin, _alpha_margin(job)
    tiles = TileDecoder(data, file, job, damage)
    latents = tiles.latents(region.grow(margin, header.bounds))
    layers = tiles.lossless_layers()
    alphas = tiles.alphas(region.grow(alpha_margin, header.bounds))

    def hidden(window: Rect) -> bool:
        return all(file.kind(number) is Kind.LOSSLESS for number, _ in grid(header.bounds, header.tile, touching=window))

    for band in bands(header.bounds, job.settings.window, job.settings.band_windows, touching=region):
        shown = band & region
        latents.move(shown.grow(margin, header.bounds))
        if band.width >= WIDE:
            trim_heap()

        def attempt(job: DecodeJob, shown: Rect = shown) -> np.ndarray:
            return synthesise(latents.gather, shown, job, hidden)

        # bands begin where reduced pixels do
        pixels = with_fallback(attempt, job)
        alpha = None
        if header.has_alpha:
            around = shown.grow(alpha_margin, header.bounds)
            alphas.move(around)
            alpha = alphas.gather(around)[..., None]
        layers.move(shown)
        layers.paint(pixels, shown, job.synthesis_scale, alpha if job.synthesis_scale < 1 else None)
        reduction = job.scale.denominator // job.synthesis_scale.denominator
        if alpha is None:
            pixels = reduce(pixels, reduction)
        else:
            if job.scale > 1:
                marked = alpha, layers.mask(around)
                alpha = enlarge(marked, shown.relative_to(around), job.scale.numerator, header.largest, has_alpha=True)
            alpha = reduce(alpha, job.synthesis_scale.denominator)
            pixels = reduce(np.concatenate([pixels, alpha], -1), reduction, has_alpha=True)
        yield pixels, layers.mask(shown) if marking else None
        del pixels


def transform_bits(data: ByteSource | Data, file: Container, job: DecodeJob) -> Counter[str]:
    """Counts the bits of each of `entropy.symbols.SYMBOL_PARTS` in all transform-coded tiles; CaeError at a damaged one."""
    bits = Counter(dict.fromkeys(SYMBOL_PARTS, 0))
    for number in range(job.header.tile_count):
        if file.kind(number) is not Kind.LOSSLESS:
            place = job.header.place(number)
            payload = container.read_payload(data, file, number)
            with damage_located(Plane.COLOUR, number):
                decode_tile(split_payload(payload, place)[1], place, job, bits)
    return bits
