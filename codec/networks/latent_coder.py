"""From a tile's latent to its symbols and back: what rounds by bits and errors, and what adds the means again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..entropy.scale_model import STAGES
from ..entropy.symbols import EntropyTables, Symbols
from .config import RDO_WEIGHT
from .decoding import LATENT_BITS
from .means import Means, anchors
from .quantisation import Quantiser

HYPER_MAX = 2**15 - 1
"""Largest magnitude of a hyper-latent that an encoder writes."""


class Quantised(NamedTuple):
    """A tile's symbols, and its reconstructed latent (h, w, N) int32 in units of 2**-LATENT_BITS steps.

    `flat` is that of `Quantiser.is_flat`.
    """

    symbols: Symbols
    latent: Tensor
    flat: bool


class LatentCoder:
    """The entropy model of a weights file: networks for means, and integers for scales.

    Symbols depend on the integers alone, so they are the same on every machine. The latent depends on the networks' means as
    well, and agrees up to the rounding of floating point.
    """

    def __init__(self, means: Means, exact: EntropyTables, quantiser: Quantiser) -> None:
        self.means, self.exact, self.quantiser = means, exact, quantiser

    @torch.inference_mode()
    def quantise(
        self,
        y: Tensor,
        z: Tensor,
        quality: int,
        level: Tensor,
        *,
        rounding: bool,
        rdo_weight: float = RDO_WEIGHT,
    ) -> Quantised:
        """Chooses the symbols of a tile.

        Args:
            y: the latent (h, w, N), in quantisation steps.
            z: the hyper-latent (⌈h/4⌉, ⌈w/4⌉, Z), not rounded.
            quality: 1 to 100, and `level` (1,) its position on the gain levels.
            rounding: take the nearest symbols, not those that cost least.
            rdo_weight: bits that a squared error of one step is worth.
        """
        h, w, n = y.shape
        device, exact = y.device, self.exact
        hyper = z.round().clamp_(-HYPER_MAX, HYPER_MAX).to(torch.int32).cpu().numpy()
        scales = exact.scales.coding(hyper, quality, h, w)
        features, mean = self.means.of_anchors(torch.from_numpy(hyper).to(device)[None].float(), level, h, w)
        mask, mean = anchors(h, w, n, device), mean[0]
        deviation = y - mean
        latent, index = torch.zeros(h, w, n, dtype=torch.int32, device=device), np.empty((h, w, n), np.uint8)
        flat = False
        for stage in range(STAGES):
            parts = list(scales.stage(stage))
            if stage == 0:
                flat = self.quantiser.is_flat(np.concatenate([part.ravel() for _, part in parts]))
            elif stage == STAGES // 2:
                errors = (deviation - latent) * mask
                mean = torch.where(mask, mean, self.means.of_others(features, mean[None], latent[None], mask)[0])
                deviation = y - mean
                if not rounding:
                    deviation = self.quantiser.diffuse_error(deviation, errors, flat)
            for place, part in parts:
                at = torch.from_numpy(part).to(device)
                symbols = self.quantiser.rdo_quantise(deviation[place], at, flat or rounding, rdo_weight)
                latent[place], index[place] = symbols, part
                scales.add(place, symbols.cpu().numpy(), part)
        priors = self.quantiser.cheapest_priors(hyper, exact.priors, quality)
        return Quantised(Symbols(priors, hyper, latent.cpu().numpy(), index), _fixed_point(mean + latent), flat)

    @torch.inference_mode()
    def reconstruct(self, symbols: Symbols, level: Tensor, device: torch.device | str = "cpu") -> Tensor:
        """The reconstructed latent (h, w, N) int32, in units of 2**-LATENT_BITS quantisation steps, on the CPU."""
        values = torch.from_numpy(symbols.latent).to(device)
        h, w, n = values.shape
        mask, means = anchors(h, w, n, device), self.means
        features, mean = means.of_anchors(torch.from_numpy(symbols.hyper).to(device)[None].float(), level, h, w)
        mean = torch.where(mask, mean, means.of_others(features, mean, values[None], mask))[0]
        return _fixed_point(mean + values).cpu()


def _fixed_point(latent: Tensor) -> Tensor:
    return latent.mul(2.0**LATENT_BITS).round_().to(torch.int32)
