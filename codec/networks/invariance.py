"""Whether the synthesis gives the same pixels in windows of every size, so that a region need not fill whole ones."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import nn

from ..format.geometry import LATENT_STRIDE
from ..options import QUALITIES
from .model import Model
from .transforms import receptive_field, with_first_blocks

SIDE_MIN = 16
"""Latent positions on a side from which on sizes are held to agree."""
_SIDES = (16, 16), (16, 64), (64, 16), (21, 17), (32, 32)
"""Sizes of the pieces of a window of 64 x 64 positions that are tried."""

_verdicts: dict[tuple[object, ...], bool] = {}


def kernels_are_size_invariant(model: Model, scale: Fraction, bf16: bool) -> bool:
    """Whether pieces of SIDE_MIN or more come out as in the whole window, bit for bit; found out once per weights and process.

    `scale` and `bf16` are those of `Model.synthesis_for`.

    Libraries choose their kernels, and with them the order of sums, by the operands' sizes: oneDNN on x86-64 has others for
    fewer than 16 rows of positions. A GPU is not tried, since it takes no time for whole windows. It must be called on a
    thread whose products run on one thread.
    """
    if model.device.type != "cpu":
        return False
    key = model.id, model.files, scale, bf16
    if key not in _verdicts:
        with torch.inference_mode():
            _verdicts[key] = _agrees(with_first_blocks(model.synthesis_for(scale, bf16=bf16)), model)
    return _verdicts[key]


def _agrees(network: nn.Module, model: Model) -> bool:
    margin = receptive_field(network) // LATENT_STRIDE
    side = 64 + margin
    y = torch.arange(side * side * model.config.latent_channels, dtype=torch.float32, device="cpu").mul_(0.7).sin_()
    y = y.reshape(1, side, side, -1)
    level = model.level(QUALITIES[-1])

    def run(height: int, width: int) -> torch.Tensor:
        # at a picture's corner, where a piece has the least halo
        return network(y[:, : height + margin, : width + margin], level, halo=(0, 0, margin, margin))[0]

    window = run(64, 64)
    unit = len(window) // 64
    return all(torch.equal(run(*sides), window[: unit * sides[0], : unit * sides[1]]) for sides in _SIDES)
