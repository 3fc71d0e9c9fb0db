"""Rate-distortion-optimised quantisation: the encoder's choice of symbols, of which the decoder knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..entropy.coder import VALUE_LIMIT, FrequencyTable
from ..entropy.scale_model import EDGES, SCALES
from ..entropy.symbols import Priors, Symbols
from .config import RDO_WEIGHT

ESCAPE_BITS = 16.0
ESCAPE_SLOPE = 0.1
FLAT_SHARE = 0.02
"""A tile is flat where at most this share of its first stage's scale indices differs from 0.

Six plain colours have 0.006 to 0.018 up to quality 30, validation photographs (512 x 512) 0.029 or more from quality 5 on.
"""
COUPLED = 2
"""Channels, from the first on, that are coupled (an even number): those that carry mean brightness and colour.

The synthesis smooths them from position to position, so that equal errors side by side cost more than opposite ones.
"""
COUPLING = 0.1
"""By how much a non-anchor makes up for the error of each of its four neighbours.

Of 0.1, 0.2, 0.3 and 0.4 only 0.1 lowered the rate on validation photographs, by 0.1 % at equal PSNR.
"""
COUPLING_FLAT = 0.25
"""The same in flat tiles, where all positions err alike; of 0 to 0.4, the best on eight plain colours and a gradient."""

POSITIONS_AT_ONCE = 64
"""Hyper-latent positions whose priors are compared at a time, for the sake of memory."""


class Quantiser:
    """Chooses symbols by their bits under the scale tables and by their distance from the latent."""

    def __init__(self, tables: Sequence[FrequencyTable], device: torch.device | str = "cpu") -> None:
        self.width = max(table.radius for table in tables) + 2
        bits = torch.empty(len(tables), self.width, dtype=torch.float32, device="cpu")
        for row, table in zip(bits, tables, strict=True):
            frequencies = torch.from_numpy(table.frequencies).double()
            cost = (frequencies.sum().log2() - frequencies.log2()).float()
            row[: table.radius + 1] = cost[table.radius : -1]
            row[table.radius + 1 :] = cost[-1] + ESCAPE_BITS
        # zero saves nothing
        self._saved = torch.nn.functional.pad(bits.diff(dim=1), (1, 0), value=-torch.inf).flatten().to(device)
        self._bits = bits.flatten().to(device)

    def bits(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Bits of symbols under the tables of scale indices, both (any shape) real numbers: straight lines between integers.

        Both have gradients, by which the bits of symbols that are no integers yet can be lowered.
        """
        index = index.clamp(0, SCALES - 1)
        below = index.detach().floor().clamp(max=SCALES - 2)
        magnitude = symbols.abs()
        bounded = magnitude.clamp(max=self.width - 1.001)
        smaller = bounded.detach().floor()
        place = (below * self.width + smaller).to(torch.int64)
        columns = bounded - smaller
        rows = [torch.lerp(self._bits[at], self._bits[at + 1], columns) for at in (place, place + self.width)]
        # beyond the tables a few bits more for each doubling; the slope leads back to them
        return torch.lerp(*rows, index - below) + (magnitude - bounded) * ESCAPE_SLOPE

    @torch.inference_mode()
    def bits_of(self, symbols: Symbols) -> Tensor:
        """Bits (h, w) float32 of a tile's latent positions; those of the hyper-latent are not among them."""
        parts = (torch.from_numpy(part).to(self._bits.device, torch.float32) for part in (symbols.latent, symbols.index))
        return self.bits(*parts).sum(-1)

    def cheapest_priors(self, hyper: np.ndarray, priors: Priors, quality: int) -> np.ndarray:
        """The prior (h, w) int32 that codes each position of a hyper-latent (h, w, Z) int32 with the fewest bits."""
        bits = self._bits.numpy(force=True).reshape(-1, self.width)
        positions = hyper.reshape(-1, 1, hyper.shape[-1])
        cheapest = [
            (bits[priors.index, np.abs(rows - priors.mean).clip(max=self.width - 1)].sum(-1) + priors.bits(quality)).argmin(1)
            for rows in np.array_split(positions, -(-len(positions) // POSITIONS_AT_ONCE))
        ]
        return np.concatenate(cheapest).astype(np.int32).reshape(hyper.shape[:2])

    @staticmethod
    def is_flat(index: np.ndarray) -> bool:
        """True if a tile is flat, by the scale indices (any shape, uint8) of its first stage.

        All positions of such a tile give up the same symbol for the same few bits, and it takes on a tint.
        """
        return np.count_nonzero(index) <= FLAT_SHARE * index.size

    @staticmethod
    def diffuse_error(deviation: Tensor, errors: Tensor, flat: bool) -> Tensor:
        """Deviations (h, w, N) of the non-anchors, changed in place to make up for the anchors' errors (h, w, N) around them.

        The errors are zero elsewhere; a position's four neighbours are anchors in the channels in which it is not.
        """
        h, w, _ = errors.shape
        padded = torch.nn.functional.pad(errors[..., :COUPLED], (0, 0, 1, 1, 1, 1))
        around = sum(padded[1 + row : 1 + row + h, 1 + column : 1 + column + w] for row, column in EDGES)
        deviation[..., :COUPLED].add_(around, alpha=COUPLING_FLAT if flat else COUPLING)
        return deviation

    def rdo_quantise(self, deviation: Tensor, index: Tensor, rounding: bool = False, rdo_weight: float = RDO_WEIGHT) -> Tensor:
        """Integers (int32) for deviations from the mean (any shape, in steps): each the nearest, or the next towards zero.

        The smaller magnitude is taken where the bits it saves outweigh the increase of the squared error; with `rounding`
        never. `index` (same shape) names the tables that give the bits, and `rdo_weight` is the bits that the squared error of
        one step is worth.
        """
        if rounding:
            return deviation.round().clamp_(-VALUE_LIMIT, VALUE_LIMIT).to(torch.int32)
        magnitude = deviation.abs()
        nearest = magnitude.round().clamp_(max=VALUE_LIMIT)
        place = nearest.clamp(max=self.width - 1).to(torch.int32).add_(index, alpha=self.width)
        # a magnitude m gives way to m - 1 where the deviation's is so far below m that
        # bits saved > rdo_weight * ((1 + error)**2 - error**2)
        limit = (self._saved / rdo_weight - 1) / 2
        smaller = magnitude.sub_(nearest).flatten() < limit.index_select(0, place.flatten())
        return nearest.sub_(smaller.reshape(nearest.shape).to(nearest.dtype)).copysign_(deviation).to(torch.int32)
