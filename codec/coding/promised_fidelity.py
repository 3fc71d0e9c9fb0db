"""High qualities promise a fidelity: a check of tiles that the transform does not show as well, such as noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from ..distortion.ssimulacra2 import as_colours, score_in_pieces
from ..format.geometry import Rect, grid
from .jobs import EncodeJob


@dataclasses.dataclass(frozen=True)
class _Promise:
    """Fidelity that tiles have from a quality on.

    Tiles are looked at if the transform takes `rate_min` bits per pixel or more. Their squared error may exceed what is
    expected by a factor of `excess`, or their SSIMULACRA 2 fall short of what photographs have on average by `shortfall`.
    """

    quality_min: int
    rate_min: float
    excess: float
    shortfall: float


_PROMISES = (_Promise(90, 0, 1.25, 4.5), _Promise(80, 3.0, 4.0, 15))
"""From the highest quality down. Of 40 validation crops 39 do not fall short at 90, and none is looked at below."""
_SCORED_SIDE = 512
"""Rows and columns of a tile that are scored at once."""

Check = Callable[[np.ndarray, np.ndarray], bool]
"""Takes a tile's pixels (h, w, 1 or 3), original and decoded; True if they differ by more than is promised."""


@dataclasses.dataclass(frozen=True)
class FidelityCheck:
    """A check of the tiles for which the transform takes `rate_min` bits per pixel or more."""

    rate_min: float
    breaks_promise: Check


def fidelity_check(job: EncodeJob) -> FidelityCheck | None:
    """Returns the check at the job's quality, by what its model was trained for; None where nothing is promised.

    That is so for lower qualities, for targets, which a file of the next quality may meet, and for models without a measured
    scale of qualities.
    """
    quality, model = job.header.quality, job.model
    promise = next((each for each in _PROMISES if quality >= each.quality_min), None)
    if promise is None or job.options.has_target:
        return None
    if model.objective == "mse":
        return FidelityCheck(promise.rate_min, _error_check(job, promise.excess))
    expected = model.config.expected_score(quality)
    if expected is None:
        return None
    return FidelityCheck(promise.rate_min, _score_check(expected - promise.shortfall, job.header.largest))


def _error_check(job: EncodeJob, excess: float) -> Check:
    """Checks the mean squared error.

    What is promised is the error of ideal quantisation of three channels. There the rate falls by 3 / (2 ln 2) bits for each
    unit of the error's logarithm, and a unit of error is worth the quality's lambda in bits.
    """
    error_max = excess * 3 / (2 * math.log(2)) / job.lmbda

    def exceeds(original: np.ndarray, decoded: np.ndarray) -> bool:
        errors = np.square((original.astype(np.float32) - decoded) * (255 / job.header.largest))
        return float(errors.mean()) > error_max

    return exceeds


def _score_check(least: float, largest: int) -> Check:
    """Checks the score, piece by piece for the sake of memory."""

    def falls_short(original: np.ndarray, decoded: np.ndarray) -> bool:
        pieces = (piece.slices for _, piece in grid(Rect(0, 0, *original.shape[:2]), _SCORED_SIDE))
        pairs = ((as_colours(original[piece], largest), as_colours(decoded[piece], largest)) for piece in pieces)
        return score_in_pieces(pairs) < least

    return falls_short
