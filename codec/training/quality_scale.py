"""The scale of qualities: levels at which a quality is its own score, as measured on images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ..distortion import ssimulacra2
from ..networks.config import LEVELS_BEYOND, SCORED_UP_TO, Config
from ..options import QUALITIES
from .autoencoder import Autoencoder
from .data.patches import whole_blocks

KNOTS = 10
"""Number of qualities, spread evenly, whose levels are measured: 1, 12, 23 and so on, with `SCORED_UP_TO` among them."""
MEASURED_SIDE = 512
"""Most pixels of an image's side that are used."""
SCORE_MAX = 94.0
"""Score of quality 100, or the highest within reach: scores rise no further where the bits do."""
LEAST_RISE = 0.05
"""Points that a level adds at least, so that the scale can be inverted."""


def with_quality_scale(model: Autoencoder, images: Iterable[np.ndarray]) -> Config:
    """The model's configuration with the levels of qualities measured on images (H, W, 3) uint8, sides at least 64.

    A model that does not reach high scores keeps its own levels.
    """
    config = model.config
    levels = np.arange(-LEVELS_BEYOND, config.levels + LEVELS_BEYOND)
    scores = mean_scores(model, images, levels)
    score_max = min(SCORE_MAX, scores[-1])
    if score_max <= SCORED_UP_TO:
        return config
    measured = dataclasses.replace(config, score_max=round(float(score_max), 2))
    expected = [measured.expected_score(quality) for quality in np.linspace(QUALITIES[0], QUALITIES[-1], KNOTS)]
    return dataclasses.replace(measured, quality_levels=tuple(levels_of(expected, levels, scores)))


def mean_scores(model: Autoencoder, images: Iterable[np.ndarray], levels: np.ndarray) -> np.ndarray:
    """Mean scores of images at rising levels; where they do not rise, as if they did."""
    scores = []
    for image in images:
        top, left = (max(0, side - MEASURED_SIDE) // 2 for side in image.shape[:2])
        x = whole_blocks(image[top : top + MEASURED_SIDE, left : left + MEASURED_SIDE])
        scores.append(np.zeros(len(levels)))
        for number, level in enumerate(levels):
            decoded, *_ = model(x, torch.tensor([float(level)]), choose=True)
            scores[-1][number] = ssimulacra2.score(x, (decoded.clamp(0, 1) * 255).round() / 255).item()
    rising = LEAST_RISE * np.arange(len(levels))
    return np.maximum.accumulate(np.mean(scores, 0) - rising) + rising


def levels_of(values: Sequence[float], levels: np.ndarray, scores: np.ndarray) -> list[float]:
    """Levels at which rising scores have some values, which rise as well: along straight lines, beyond the ends evenly on."""
    positions = np.interp(values, scores, levels)
    beyond = np.sum(np.asarray(values) <= scores[0])
    # below the lowest level all would be one
    positions[:beyond] -= 1e-3 * np.arange(beyond, 0, -1)
    return [round(float(level), 4) for level in positions]
