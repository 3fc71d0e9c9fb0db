"""Which tiles of a band are coded without loss, wholly or in parts: what costs less in bits and errors at the quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..format.container import Payload
from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..networks.latent_coder import LATENT_BITS
from ..runtime.threads import run_parallel
from .lossless import encode_colour
from .screen_content import (
    BLOCK,
    block_sums,
    continued,
    filled,
    grown,
    looks_like_screen_content,
    new_pixels,
    of_blocks,
    smoothed,
)
from .settings import Job, with_fallback
from .tile_coder import decode_tile
from .windowed_transforms import synthesise

_NEW_IN_DRAWN = 0.5
"""Share of new pixels up to which a block is taken for drawn when lossless bits are first counted."""
_BLOCK_WEIGHT = 4
"""Lossless bits of a block go by its new pixels and so many more."""
_FACTORS = (0.5, 1, 2, 4)
"""By how much the estimate of a block's lossless bits may be wrong, which differs from block to block; all are tried."""
_HIDDEN_BITS = 0.02
"""Bits that the transform takes for each pixel that it need not show, as measured for a plain ground at quality 50."""
_WORTH_TRYING = 2.0
"""A whole tile is tried without loss where it is expected to cost no more than so many times what the transform does."""


@dataclasses.dataclass(frozen=True)
class LosslessLayer:
    """The part of a tile that is coded without loss: which of its pixels (h, w) bool, None for all, and their code.

    It is worth its bits as long as the transform takes at most `rest` bits for the tile's other pixels.
    """

    shown: np.ndarray | None
    data: bytes
    rest: float = 0


def choose_layers(
    pixels: np.ndarray, place: Rect, band: Rect, latent: Tensor, coded: Sequence[Payload], job: Job
) -> dict[int, LosslessLayer]:
    """The lossless layers of a band's tiles, by their numbers within it; most photographs have none.

    Args:
        pixels: (H, W, 1 or 3) in the picture's type, those of `place`.
        band: the tiles' rows.
        latent: what the analysis gives for the band, (h, w, N) in quantisation steps.
        coded: the tiles as the transform codes them.
    """
    if job.model.denoises:  # without loss the noise would come back
        return {}
    cells = [
        (number, tile)
        for number, tile in grid(band, job.header.tile)
        if looks_like_screen_content(pixels[tile.relative_to(place).slices], job.header.largest)
    ]
    if not cells:
        return {}
    decoded, around = _decoded(band, latent, coded, cells, job)

    def choose(cell: tuple[int, Rect]) -> LosslessLayer | None:
        number, tile = cell
        inside = tile.outward(LATENT_STRIDE).relative_to(band.outward(LATENT_STRIDE))
        return _layer(
            tile,
            pixels[tile.relative_to(place).slices],
            decoded[tile.relative_to(around).slices],
            latent[inside.slices],
            8 * len(coded[number].data),
            job,
        )

    chosen = run_parallel(choose, cells, job.settings.threads)
    return {number: layer for (number, _), layer in zip(cells, chosen, strict=True) if layer}


def _decoded(
    band: Rect, latent: Tensor, coded: Sequence[Payload], cells: list[tuple[int, Rect]], job: Job
) -> tuple[np.ndarray, Rect]:
    """What the decoder would make of some of a band's tiles, and the rectangle around them that it covers."""
    origin = band.outward(LATENT_STRIDE)
    known = torch.empty(latent.shape, dtype=torch.int32, device="cpu")
    for row, scaled in zip(known, latent, strict=True):  # row by row, for the sake of memory
        row.copy_(scaled.mul(2**LATENT_BITS).round_())

    def decode(cell: tuple[int, Rect]) -> None:
        number, tile = cell
        found = with_fallback(lambda job: decode_tile(coded[number].data, tile, job), job, windows=False)
        known[tile.outward(LATENT_STRIDE).relative_to(origin).slices] = found

    run_parallel(decode, cells, job.settings.threads)

    def gather(window: Rect) -> Tensor:
        out = torch.zeros(window.height, window.width, known.shape[-1], dtype=torch.int32, device="cpu")
        shared = window & origin
        if not shared.is_empty:
            out[shared.relative_to(window).slices] = known[shared.relative_to(origin).slices]
        return out

    sides = zip(*(tile for _, tile in cells), strict=True)
    around = Rect(*(pick(side) for pick, side in zip((min, min, max, max), sides, strict=True)))
    return with_fallback(lambda job: synthesise(gather, around, job), job), around


def _layer(tile: Rect, pixels: np.ndarray, decoded: np.ndarray, latent: Tensor, bits: int, job: Job) -> LosslessLayer | None:
    """The lossless layer of a tile, or None where the transform alone costs least.

    Blocks are compared by estimates: their squared errors are known, the transform's bits go by the latent's logarithms,
    lossless ones by the pixels that repeat no other. Some sets of blocks are then compared by their real lossless bits.

    Args:
        tile: where it is.
        pixels, decoded: (h, w, 1 or 3), as they are and as the transform gives them back.
        latent: (h / 16, w / 16, N) in quantisation steps.
        bits: what the transform takes.
    """
    header, config = job.header, job.model.config
    # in levels of 8 bits, whose squared errors are worth so many bits
    errors = (pixels.astype(np.float32) - decoded) * (255 / header.largest)
    weight = config.rate_weight(config.level(header.quality))
    new, sizes = block_sums(new_pixels(pixels)), block_sums(np.ones(pixels.shape[:2], bool))
    shares = _of_positions(latent.abs().log1p().sum(-1).double().numpy(), sizes)
    by_error = weight * block_sums((errors * errors).mean(-1))
    by_transform = by_error + shares * (bits / max(shares.sum(), 1e-6))
    drawn = new <= _NEW_IN_DRAWN * sizes
    if not drawn.any():
        return None
    height, width = pixels.shape[:2]

    def coded(blocks: np.ndarray) -> LosslessLayer:
        # as far as a block's ground is exact, none of it would be seen to differ beside a photograph
        shown = None if blocks.all() else continued(of_blocks(blocks, height, width), pixels)
        code = job.tiles.get((tile, blocks.tobytes()), lambda: memoryview(encode_colour(pixels, shown, header.depth)))
        return LosslessLayer(shown, bytes(code))

    weights = new + _BLOCK_WEIGHT
    by_lossless = weights * (8 * len(coded(drawn).data) / weights[drawn].sum())
    cheaper = [smoothed(by_transform - factor * by_lossless) > 0 for factor in _FACTORS]
    # a plain ground is exact as far as it goes, which costs little: where it is not, the border would be seen
    masks = [grown(mask, new == 0) for mask in cheaper]
    best, layer = by_transform.sum(), None
    if by_lossless.sum() <= _WORTH_TRYING * best:
        masks.append(np.ones_like(drawn))
    # several masks may be the same
    for blocks in {mask.tobytes(): mask for mask in masks if mask.any()}.values():
        tried = coded(blocks)
        cost = 8 * len(tried.data)
        if not blocks.all():
            cost += by_transform[~blocks].sum() + _HIDDEN_BITS * sizes[blocks].sum()
        if cost < best:
            known = 8 * len(tried.data) + by_error[~blocks].sum()
            best, layer = cost, dataclasses.replace(tried, rest=by_transform.sum() - known)
    return layer


def _of_positions(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Values of latent positions shared out among their blocks by the blocks' sizes in pixels."""
    times = LATENT_STRIDE // BLOCK
    spread = values.repeat(times, 0)[: sizes.shape[0]].repeat(times, 1)[:, : sizes.shape[1]]
    return spread * sizes


def without_layers(pixels: np.ndarray, place: Rect, band: Rect, layers: Mapping[int, LosslessLayer], job: Job) -> np.ndarray:
    """The pixels of `place` as the transform is to see them: on smoothly under parts of tiles, gray under whole ones.

    A whole lossless tile has no latent, for which zeros stand, and they are gray.
    """
    hidden = np.zeros(pixels.shape[:2], bool)
    whole = []
    for number, tile in grid(band, job.header.tile):
        if number in layers:
            inside = tile.relative_to(place).slices
            hidden[inside] = True if layers[number].shown is None else layers[number].shown
            if layers[number].shown is None:
                whole.append(inside)
    middle = job.header.largest // 2 + 1
    out = filled(pixels, hidden, middle)
    for inside in whole:
        out[inside] = middle
    return out
