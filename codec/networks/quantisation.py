"""Rate-distortion-optimised quantisation: the encoder's choice of symbols, of which the decoder knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..format.entropy_coding import VALUE_LIMIT, Table

ESCAPE_BITS = 16.0
DISTORTION_WEIGHT = 45.0
"""Bits that a squared error of one quantisation step is worth; 11 to 60 were tried on held-out photographs.

High-rate theory gives 26/3 for a step that is optimal for uniform noise; trained latents bear less error than that.
"""


class Quantiser:
    """Chooses symbols by their bits under the scale tables and by their distance from the latent."""

    def __init__(self, tables: Sequence[Table], device: torch.device | str = "cpu") -> None:
        self.width = max(table.radius for table in tables) + 2
        bits = torch.empty(len(tables), self.width, dtype=torch.float32, device="cpu")
        for row, table in zip(bits, tables, strict=True):
            frequencies = torch.from_numpy(table.frequencies).double()
            cost = (frequencies.sum().log2() - frequencies.log2()).float()
            row[: table.radius + 1] = cost[table.radius : -1]
            row[table.radius + 1 :] = cost[-1] + ESCAPE_BITS
        # a magnitude m gives way to m - 1 where the deviation's is so far below m that
        # bits saved > DISTORTION_WEIGHT * ((1 + error)**2 - error**2); zero never does
        saved = bits.diff(dim=1)
        self.limit = torch.nn.functional.pad((saved / DISTORTION_WEIGHT - 1) / 2, (1, 0), value=-1.0).flatten().to(device)

    def choose(self, deviation: Tensor, index: Tensor) -> Tensor:
        """Integers (int32) for deviations from the mean (any shape, in steps): each the nearest, or the next towards zero.

        The smaller magnitude is taken where the bits it saves, under the table that `index` (same shape) names, outweigh
        the increase of the squared error.
        """
        magnitude = deviation.abs()
        nearest = magnitude.round().clamp_(max=VALUE_LIMIT)
        place = nearest.clamp(max=self.width - 1).to(torch.int32).add_(index, alpha=self.width)
        smaller = magnitude.sub_(nearest).flatten() < self.limit.index_select(0, place.flatten())
        return nearest.sub_(smaller.reshape(nearest.shape).to(nearest.dtype)).copysign_(deviation).to(torch.int32)
