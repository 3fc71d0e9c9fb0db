"""The interface of the networks to decoding, whichever library computes them. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Protocol

import numpy as np

from ..entropy.symbols import EntropyTables, Symbols
from .config import Config
from .halos import Halo
from .weights import Files

LATENT_BITS = 6
"""Fractional bits, in quantisation steps, of the reconstructed latent."""


class DecoderNetworks(Protocol):
    """A weights file's networks for decoding: `networks.model.Model` by torch, `numpy_networks.model.NumpyModel` by NumPy.

    `exact` holds what decides the symbols. With `bf16`, products are in bfloat16 where the library has them.
    """

    files: Files
    id: bytes
    config: Config

    @property
    def exact(self) -> EntropyTables: ...

    @property
    def on_gpu(self) -> bool:
        """True if they run on a GPU, which one window fills."""

    @property
    def resized(self) -> Collection[Fraction]:
        """Scales of the decoders to other sizes; CaeError where their file is damaged."""

    def on_cpu(self) -> DecoderNetworks:
        """The same networks on the CPU; CaeError where their file is no longer the one they came from."""

    def reconstruct(self, symbols: Symbols, quality: int) -> np.ndarray:
        """A tile's latent (h, w, N) int32, in units of 2**-LATENT_BITS quantisation steps."""

    def receptive_field(self, scale: Fraction) -> int:
        """Pixels of the full size around a latent position's that the synthesis at a scale reaches, whole positions' worth."""

    def synthesise(self, latent: np.ndarray, quality: int, scale: Fraction, halo: Halo, *, bf16: bool = False) -> np.ndarray:
        """Pixels (16h * scale, 16w * scale, 3) float32, about [-0.5, 0.5], of a latent (h, w, N) without its halo.

        The latent is as `reconstruct` gives it, in integers of any type. KeyError where there is no decoder to the scale.
        """

    def shortened(self, scale: Fraction, *, bf16: bool = False) -> Callable[[np.ndarray, Halo], np.ndarray]:
        """The synthesis with one block of each width at the highest quality, for trying its kernels.

        It turns a float32 latent in pixel units into pixels, without a halo.
        """
