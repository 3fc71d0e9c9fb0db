"""High qualities promise a fidelity: a check of tiles that the transform does not show as well, such as noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..distortion.ssimulacra2 import as_colours, score_in_pieces
from ..format.geometry import Rect, grid
from .jobs import EncodeJob

PROMISED_FROM = 90
"""Lowest quality that promises a fidelity."""
_EXCESS = 1.25
"""Factor by which the squared error may exceed what is promised: 1 dB."""
_SHORTFALL = 4.5
"""Points of SSIMULACRA 2 by which a tile may miss what photographs have on average. Of 40 validation crops 39 do not at 90."""

_SCORED_SIDE = 512
"""Rows and columns of a tile that are scored at once."""

Check = Callable[[np.ndarray, np.ndarray], bool]
"""Takes a tile's pixels (h, w, 1 or 3), original and decoded; True if they differ by more than is promised."""


def fidelity_check(job: EncodeJob) -> Check | None:
    """Returns the check at the job's quality, by what its model was trained for; None where nothing is promised.

    That is so below `PROMISED_FROM`, for targets, which a file of the next quality may meet, and for models without a measured
    scale of qualities.
    """
    quality, model = job.header.quality, job.model
    if quality < PROMISED_FROM or job.options.has_target:
        return None
    if model.objective == "mse":
        return _error_check(job)
    expected = model.config.expected_score(quality)
    return None if expected is None else _score_check(expected - _SHORTFALL, job.header.largest)


def _error_check(job: EncodeJob) -> Check:
    """Checks the mean squared error.

    What is promised is the error of ideal quantisation of three channels. There the rate falls by 3 / (2 ln 2) bits for each
    unit of the error's logarithm, and a unit of error is worth the quality's lambda in bits.
    """
    error_max = _EXCESS * 3 / (2 * math.log(2)) / job.rate_weight

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
