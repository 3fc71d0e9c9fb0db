"""Rate-distortion-optimised quantisation: the encoder's choice of symbols, of which the decoder knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .entropy import Table

ESCAPE_BITS = 16.0
DISTORTION_WEIGHTS = ((1, 14.0), (100, 60.0))
"""Bits that a squared error of one quantisation step is worth, at two qualities; log-linear between.

High-rate theory gives 26/3 for a step that is optimal for uniform noise. These were chosen on held-out photographs.
"""


def bit_costs(tables: Sequence[Table]) -> Tensor:
    """Bits of the magnitudes 0, 1, … under each (symmetric) table, as (tables, magnitudes) float32; beyond, an escape."""
    largest = max(table.radius for table in tables)
    costs = torch.empty(len(tables), largest + 2)
    for row, table in zip(costs, tables, strict=True):
        frequencies = torch.from_numpy(table.frequencies).double()
        bits = (frequencies.sum().log2() - frequencies.log2()).float()
        row[: table.radius + 1] = bits[table.radius : -1]
        row[table.radius + 1 :] = bits[-1] + ESCAPE_BITS
    return costs


def distortion_weight(quality: int) -> float:
    """The weight of distortion at a quality, in bits per squared step."""
    (low, at_low), (high, at_high) = DISTORTION_WEIGHTS
    fraction = (quality - low) / (high - low)
    return at_low ** (1 - fraction) * at_high**fraction


def choose_symbols(deviation: Tensor, index: Tensor, costs: Tensor, weight: float) -> Tensor:
    """Integers for deviations from the mean (any shape, in steps): each the nearest, or the next one towards zero.

    The smaller magnitude is taken where the bits it saves, under the table that `index` (same shape) names, outweigh
    `weight` times the increase of the squared error.
    """
    symbols = deviation.round()
    flat = symbols.flatten()
    chosen = flat.nonzero()[:, 0]
    nearest = flat[chosen]
    magnitude = nearest.abs()
    error = deviation.flatten()[chosen].abs() - magnitude
    row = index.flatten()[chosen].long()
    place = magnitude.long().clamp_(max=costs.shape[1] - 1)
    saved = costs[row, place] - costs[row, place - 1]
    smaller = saved > weight * (2 * error + 1)
    flat[chosen] = torch.where(smaller, nearest - nearest.sign(), nearest)
    return flat.reshape(symbols.shape)
