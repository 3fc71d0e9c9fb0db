"""Rate-distortion-optimised quantisation: the encoder's choice of symbols, of which the decoder knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .entropy import VALUE_LIMIT, Table

ESCAPE_BITS = 16.0
DISTORTION_WEIGHT = 45.0
"""Bits that a squared error of one quantisation step is worth; 11 to 60 were tried on held-out photographs.

High-rate theory gives 26/3 for a step that is optimal for uniform noise; trained latents bear less error than that.
"""


class Quantiser:
    """Chooses symbols by their bits under the scale tables and by their distance from the latent."""

    def __init__(self, tables: Sequence[Table], device: torch.device | str = "cpu") -> None:
        largest = max(table.radius for table in tables) + 1
        bits = torch.empty(len(tables), largest + 1)
        for row, table in zip(bits, tables, strict=True):
            frequencies = torch.from_numpy(table.frequencies).double()
            cost = (frequencies.sum().log2() - frequencies.log2()).float()
            row[: table.radius + 1] = cost[table.radius : -1]
            row[table.radius + 1 :] = cost[-1] + ESCAPE_BITS
        self.bits = bits.to(device)

    def choose(self, deviation: Tensor, index: Tensor) -> Tensor:
        """Integers (int32) for deviations from the mean (any shape, in steps): each the nearest, or the next towards zero.

        The smaller magnitude is taken where the bits it saves, under the table that `index` (same shape) names, outweigh
        the increase of the squared error.
        """
        symbols = deviation.round().clamp_(-VALUE_LIMIT, VALUE_LIMIT)
        flat = symbols.flatten()
        chosen = flat.nonzero()[:, 0]
        nearest = flat[chosen]
        magnitude = nearest.abs()
        error = deviation.flatten()[chosen].abs() - magnitude
        row = index.flatten()[chosen].long()
        place = magnitude.long().clamp_(max=self.bits.shape[1] - 1)
        saved = self.bits[row, place] - self.bits[row, place - 1]
        smaller = saved > DISTORTION_WEIGHT * (2 * error + 1)
        flat[chosen] = torch.where(smaller, nearest - nearest.sign(), nearest)
        return flat.reshape(symbols.shape).to(torch.int32)
