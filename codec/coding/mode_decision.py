"""Mode decision: the tiles of a band, or parts of them, that cost less in bits and errors without loss.

At high qualities also tiles that the transform cannot show as well as the quality promises, such as noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..distortion.distortions import distortion_bits
from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..format.payload import Payload
from ..networks.decoding import LATENT_BITS
from ..runtime.threads import run_parallel
from .jobs import DecodeJob, EncodeJob, with_fallback
from .lossless import encode_colour
from .promised_fidelity import fidelity_check
from .screen_content import (
    BLOCK,
    block_sums,
    colour_entropy,
    extend_unchanged,
    fill_hidden,
    grow_into,
    looks_like_screen_content,
    new_pixels,
    spread_blocks,
    sum_3x3,
)
from .tile_decoder import decode_tile
from .windowed_synthesis import synthesise

_NEW_IN_FIRST_MASK = 0.5
"""Share of new pixels up to which a block is taken for screen content when lossless bits are first counted."""
_BLOCK_WEIGHT = 4
"""Lossless bits of a block go by its new pixels and so many more."""
_FACTORS = (0.5, 1, 2, 4)
"""Factors on the estimate of a block's lossless bits, whose error differs from block to block; all are tried."""
_HIDDEN_BITS = 0.02
"""Bits that the transform takes for each hidden pixel, as measured for a plain ground at quality 50."""
_WORTH_TRYING = 2.0
"""A whole tile is tried without loss up to so many times the transform's cost, by the estimate."""
_DEAR = 1.0
"""Bits per pixel of the transform from which a tile is tried without loss if its colours are few, such as noise of two."""


@dataclasses.dataclass(frozen=True)
class LosslessLayer:
    """The part of a tile that is coded without loss: a mask (h, w) bool of its pixels, None for all, and their code.

    It is worth its bits as long as the transform takes at most `transform_bits_max` for the tile's other pixels.
    """

    mask: np.ndarray | None
    data: bytes
    transform_bits_max: float = 0


def choose_layers(
    pixels: np.ndarray, place: Rect, band: Rect, latent: Tensor, coded: Sequence[Payload], job: EncodeJob
) -> dict[int, LosslessLayer]:
    """Chooses the lossless layers of a band's tiles, by their numbers within it; most photographs have none.

    Args:
        pixels: (H, W, 1 or 3) in the picture's type, those of `place`.
        band: the tiles' rows.
        latent: of the band, (h, w, N) in quantisation steps.
        coded: the tiles as the transform codes them.
    """
    if job.model.denoises:  # without loss the noise would come back
        return {}
    cells = list(grid(band, job.header.tile))
    screen_tiles = {
        number
        for number, tile in cells
        if looks_like_screen_content(pixels[tile.relative_to(place).slices], job.header.largest)
    }
    exact = _cheaper_without_loss(pixels, place, cells, coded, job)
    check = fidelity_check(job)
    checked = {number for number, tile in cells if check and _rate(coded[number], tile) >= check.rate_min}
    cells = [cell for cell in cells if cell[0] not in exact and cell[0] in screen_tiles | checked]
    if not cells:
        return exact
    decoded, around = _decode(band, latent, coded, cells, job)

    def choose(cell: tuple[int, Rect]) -> LosslessLayer | None:
        number, tile = cell
        original, shown = pixels[tile.relative_to(place).slices], decoded[tile.relative_to(around).slices]
        layer = None
        if number in screen_tiles:
            inside = tile.outward(LATENT_STRIDE).relative_to(band.outward(LATENT_STRIDE))
            layer = _choose_layer(tile, original, shown, latent[inside.slices], 8 * len(coded[number].data), job)
            if layer is not None and layer.mask is None:
                return layer
        if number in checked and check.breaks_promise(original, _with_layer(original, shown, layer)):
            return LosslessLayer(None, encode_colour(original, depth=job.header.depth))
        return layer

    return exact | _choose_each(choose, cells, job)


def _cheaper_without_loss(
    pixels: np.ndarray, place: Rect, cells: Sequence[tuple[int, Rect]], coded: Sequence[Payload], job: EncodeJob
) -> dict[int, LosslessLayer]:
    """The lossless layers of whole tiles that take fewer bytes than the transform does; photographs are hardly tried."""

    def choose(cell: tuple[int, Rect]) -> LosslessLayer | None:
        number, tile = cell
        rate, part = _rate(coded[number], tile), pixels[tile.relative_to(place).slices]
        if rate < _DEAR or colour_entropy(part) > _WORTH_TRYING * rate:
            return None
        data = encode_colour(part, depth=job.header.depth)
        return LosslessLayer(None, data) if len(data) <= len(coded[number].data) else None

    return _choose_each(choose, cells, job)


def _choose_each(
    choose: Callable[[tuple[int, Rect]], LosslessLayer | None], cells: Sequence[tuple[int, Rect]], job: EncodeJob
) -> dict[int, LosslessLayer]:
    """The layers that a function chooses for tiles, side by side, by the tiles' numbers."""
    chosen = run_parallel(choose, cells, job.settings.threads)
    return {number: layer for (number, _), layer in zip(cells, chosen, strict=True) if layer}


def _rate(payload: Payload, tile: Rect) -> float:
    """Bits per pixel of a tile."""
    return 8 * len(payload.data) / (tile.height * tile.width)


def _with_layer(original: np.ndarray, shown: np.ndarray, layer: LosslessLayer | None) -> np.ndarray:
    """A tile's decoded pixels under its layer, if there is one, whose own are the original ones."""
    return shown if layer is None else np.where(layer.mask[..., None], original, shown)


def _decode(
    band: Rect, latent: Tensor, coded: Sequence[Payload], cells: list[tuple[int, Rect]], job: EncodeJob
) -> tuple[np.ndarray, Rect]:
    """Decodes some of a band's tiles; returns pixels, and the rectangle around the tiles that they cover."""
    origin, decode_job = band.outward(LATENT_STRIDE), job.decode_job
    latents = np.empty(latent.shape, np.int32)
    for row, unrounded in zip(latents, latent, strict=True):  # row by row, for the sake of memory
        row[:] = unrounded.mul(2**LATENT_BITS).round_().numpy()

    def decode(cell: tuple[int, Rect]) -> None:
        number, tile = cell
        inside = tile.outward(LATENT_STRIDE).relative_to(origin).slices
        latents[inside] = with_fallback(lambda job: decode_tile(coded[number].data, tile, job), decode_job, windows=False)

    run_parallel(decode, cells, job.settings.threads)

    def gather(window: Rect) -> np.ndarray:
        out = np.zeros((window.height, window.width, latents.shape[-1]), np.int32)
        shared = window & origin
        if not shared.is_empty:
            out[shared.relative_to(window).slices] = latents[shared.relative_to(origin).slices]
        return out

    sides = zip(*(tile for _, tile in cells), strict=True)
    around = Rect(*(pick(side) for pick, side in zip((min, min, max, max), sides, strict=True)))

    def attempt(job: DecodeJob) -> np.ndarray:
        return synthesise(gather, around, job)

    return with_fallback(attempt, decode_job), around


def _choose_layer(
    tile: Rect, pixels: np.ndarray, decoded: np.ndarray, latent: Tensor, bits: int, job: EncodeJob
) -> LosslessLayer | None:
    """Chooses the lossless layer of a tile; None where the transform alone costs least.

    Blocks are compared by estimates: the distortion goes by their squared errors, the transform's bits by the latent's
    logarithms, lossless ones by the pixels that repeat no other. Some sets of blocks are then compared by real lossless bits.

    Args:
        pixels, decoded: (h, w, 1 or 3), the original ones and the transform's.
        latent: (h / 16, w / 16, N) in quantisation steps.
        bits: of the transform's payload.
    """
    header = job.header
    squares = np.square(pixels.astype(np.float32) - decoded).mean(-1)
    new, sizes = block_sums(new_pixels(pixels)), block_sums(np.ones(pixels.shape[:2], bool))
    shares = _share_out(latent.abs().log1p().sum(-1).double().numpy(), sizes)
    by_error = block_sums(squares * (_error_bits(pixels, decoded, job) / max(float(squares.sum()), 1e-6)))
    by_transform = by_error + shares * (bits / max(shares.sum(), 1e-6))
    first_mask = new <= _NEW_IN_FIRST_MASK * sizes
    if not first_mask.any():
        return None
    height, width = pixels.shape[:2]

    def encode_blocks(blocks: np.ndarray) -> LosslessLayer:
        # the whole ground of a block stays exact: beside a photograph, a part of it would visibly differ
        mask = None if blocks.all() else extend_unchanged(spread_blocks(blocks, height, width), pixels)
        code = job.cache.get((tile, blocks.tobytes()), lambda: memoryview(encode_colour(pixels, mask, header.depth)))
        return LosslessLayer(mask, bytes(code))

    weights = new + _BLOCK_WEIGHT
    by_lossless = weights * (8 * len(encode_blocks(first_mask).data) / weights[first_mask].sum())
    cheaper = [sum_3x3(by_transform - factor * by_lossless) > 0 for factor in _FACTORS]
    # the whole of a plain ground stays exact, for few bits: else its border would be visible
    masks = [grow_into(mask, new == 0) for mask in cheaper]
    best, layer = by_transform.sum(), None
    if by_lossless.sum() <= _WORTH_TRYING * best:
        masks.append(np.ones_like(first_mask))
    # several masks may be the same
    for blocks in {mask.tobytes(): mask for mask in masks if mask.any()}.values():
        tried = encode_blocks(blocks)
        cost = 8 * len(tried.data)
        if not blocks.all():
            cost += by_transform[~blocks].sum() + _HIDDEN_BITS * sizes[blocks].sum()
        if cost < best:
            without_transform = 8 * len(tried.data) + by_error[~blocks].sum()
            best = cost
            layer = dataclasses.replace(tried, transform_bits_max=by_transform.sum() - without_transform)
    return layer


def _error_bits(pixels: np.ndarray, decoded: np.ndarray, job: EncodeJob) -> float:
    """Bits that the transform's errors in a tile are worth, by the objective of its model."""
    original, shown = (torch.from_numpy(part.astype(np.float32) / job.header.largest) for part in (pixels, decoded))
    with torch.inference_mode():
        return float(distortion_bits(shown, original, job.model.objective, job.lmbda))


def _share_out(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Shares out values of latent positions among their blocks by the blocks' sizes in pixels."""
    times = LATENT_STRIDE // BLOCK
    spread = values.repeat(times, 0)[: sizes.shape[0]].repeat(times, 1)[:, : sizes.shape[1]]
    return spread * sizes


def without_layers(
    pixels: np.ndarray, place: Rect, band: Rect, layers: Mapping[int, LosslessLayer], job: EncodeJob
) -> np.ndarray:
    """Fills the pixels of `place` under the lossless layers: smoothly under parts of tiles, gray under whole ones.

    A whole lossless tile has no latent; zeros stand for it, and they are gray.
    """
    hidden = np.zeros(pixels.shape[:2], bool)
    whole = []
    for number, tile in grid(band, job.header.tile):
        if number in layers:
            inside = tile.relative_to(place).slices
            hidden[inside] = True if layers[number].mask is None else layers[number].mask
            if layers[number].mask is None:
                whole.append(inside)
    middle = job.header.largest // 2 + 1
    out = fill_hidden(pixels, hidden, middle)
    for inside in whole:
        out[inside] = middle
    return out
