"""Maps of a picture that coding gives: errors, bits and features."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..options import MAPS


@dataclasses.dataclass(frozen=True)
class CodingMaps:
    """Errors, bits and features of a picture (H, W), coded at a quality with a model; None for what was not requested.

    `error` (H, W) float32 are squared errors, mean over the colours, where white is 1. `bits` (H/16, W/16) float32 are the
    bits of the latent's symbols at each position. `features` (H/8, W/8, C) float32 come from the analysis transform.
    """

    size: tuple[int, int]
    quality: int
    model_id: bytes
    error: np.ndarray | None = None
    bits: np.ndarray | None = None
    features: np.ndarray | None = None

    @property
    def maps(self) -> tuple[str, ...]:
        """Those of `MAPS` that these coding maps are enough for."""
        arrays = (self.error, self.bits, self.features)
        return tuple(name for name, array in zip(MAPS, arrays, strict=True) if array is not None)
