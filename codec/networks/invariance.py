"""Check that the synthesis gives the same pixels in windows of every size, so that a region need not fill whole ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..format.geometry import LATENT_STRIDE
from .decoding import DecoderNetworks

SIDE_MIN = 16
"""Latent positions on a side from which on sizes are held to agree."""
_SIDES = (16, 16), (16, 64), (64, 16), (21, 17), (32, 32)
"""Sizes of the pieces of a window of 64 x 64 positions that are tried."""

_verdicts: dict[tuple[object, ...], bool] = {}


def kernels_are_size_invariant(model: DecoderNetworks, scale: Fraction, bf16: bool) -> bool:
    """True if pieces of SIDE_MIN or more come out as in the whole window, bit for bit; found out once per weights and process.

    `scale` and `bf16` are those of `DecoderNetworks.synthesise`.

    Libraries choose their kernels, and with them the order of sums, by the operands' sizes: oneDNN on x86-64 has others for
    fewer than 16 rows of positions. A GPU is not tried, since it takes no time for whole windows. It must be called on a
    thread whose products run on one thread.
    """
    if model.on_gpu:
        return False
    key = type(model), model.id, model.files, scale, bf16
    if key not in _verdicts:
        _verdicts[key] = _compare_sizes(model, scale, bf16)
    return _verdicts[key]


def _compare_sizes(model: DecoderNetworks, scale: Fraction, bf16: bool) -> bool:
    network = model.shortened(scale, bf16=bf16)
    margin = model.receptive_field(scale) // LATENT_STRIDE
    side = 64 + margin
    y = np.sin(np.arange(side * side * model.config.latent_channels, dtype=np.float32) * np.float32(0.7))
    y = y.reshape(side, side, -1)

    def run(height: int, width: int) -> np.ndarray:
        # at a picture's corner, where a piece has the least halo
        return network(y[: height + margin, : width + margin], (0, 0, margin, margin))

    window = run(64, 64)
    unit = len(window) // 64
    return all(np.array_equal(run(*sides), window[: unit * sides[0], : unit * sides[1]]) for sides in _SIDES)
