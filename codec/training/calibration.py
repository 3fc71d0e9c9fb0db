"""Calibration of an export by images: probability tables, and what the integers cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..entropy.scale_model import SCALE_MIN, SCALE_STEP, SCALES
from ..entropy.symbols import Symbols
from ..networks.config import Config
from ..networks.latent_coder import LatentCoder
from ..networks.layers import interpolate_levels
from .autoencoder import Autoencoder
from .data.patches import whole_blocks

TABLE_TOTAL = 2**20
TAIL_DEVIATIONS = 5.0
PRIOR_COUNTS = 2000.0
"""Observed symbols that the analytic distribution counts for in a table."""
CALIBRATION_SIDE = 1024
"""Most pixels of a side that are used: whole photographs of a camera would take an hour."""
CALIBRATION_QUALITIES = (1, 15, 30, 45, 60, 75, 90, 100)


def scale_of(index: int) -> float:
    """Standard deviation, in steps, that a scale index stands for."""
    return SCALE_MIN * math.exp(SCALE_STEP * index)


def table_radius(index: int) -> int:
    """Largest magnitude in the table of a scale index."""
    return max(3, math.ceil(TAIL_DEVIATIONS * scale_of(index)))


def gaussian_mass(scale: float, radius: int) -> np.ndarray:
    """Probabilities of the integers -radius to radius under a zero-mean Gaussian."""
    edges = torch.arange(-radius, radius + 2, dtype=torch.float64) - 0.5
    upper = torch.special.ndtr(-edges.abs() / scale)
    below = torch.where(edges < 0, upper, 1 - upper)
    mass = below.diff()
    mass[radius + 1 :] = mass[:radius].flip(0)
    return mass.numpy()


def frequencies(mass: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Table of positive integers from analytic masses and observed counts of -radius … radius and of all else (last)."""
    mass = np.append(mass, max(0.0, 1 - mass.sum()))
    mixed = mass * PRIOR_COUNTS + counts
    return np.maximum(1, np.round(mixed / mixed.sum() * TABLE_TOTAL)).astype(np.int32)


def histogram(values: np.ndarray, radius: int) -> np.ndarray:
    """Counts of -radius … radius and, last, of everything outside."""
    inside = values[np.abs(values) <= radius] + radius
    return np.append(np.bincount(inside, minlength=2 * radius + 1), len(values) - len(inside))


Counts = list[np.ndarray]
"""For each scale index, how often each value of its table occurs, and last how often any other."""


def collect(model: Autoencoder, coder: LatentCoder, images: Iterable[np.ndarray]) -> Counts:
    """Codes images (H, W, 3) uint8, sides at least 64, at a range of qualities, and counts all symbols."""
    counts = [np.zeros(2 * radius + 2, np.int64) for radius in map(table_radius, range(SCALES))]
    for x, level, quality in calibration(model.config, images):
        symbols = _symbols(model, coder, x, level, quality)
        residual, index = coder.exact.priors.residual(symbols.priors, symbols.hyper)
        for values, tables in ((residual, index), (symbols.latent, symbols.index)):
            flat, tables = values.ravel(), tables.ravel()
            for scale in np.unique(tables):
                counts[scale] += histogram(flat[tables == scale], table_radius(scale))
    return counts


def _symbols(model: Autoencoder, coder: LatentCoder, x: Tensor, level: Tensor, quality: int) -> Symbols:
    """Returns the symbols that an encoder chooses for pixels x (1, H, W, 3)."""
    y = model.analysis(x - 0.5, level) * interpolate_levels(model.entropy.log_gain, level).exp()
    z = model.entropy.hyper_analysis(y)
    return coder.quantise(y[0], z[0], quality, level, rounding=False).symbols


def calibration(config: Config, images: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, Tensor, int]]:
    """The middle of each image at each of a range of qualities: pixels (1, H, W, 3) in [0, 1], gain level (1,), quality."""
    for image in images:
        top, left = (max(0, side - CALIBRATION_SIDE) // 2 for side in image.shape[:2])
        x = whole_blocks(image[top : top + CALIBRATION_SIDE, left : left + CALIBRATION_SIDE])
        for quality in CALIBRATION_QUALITIES:
            yield x, torch.tensor([config.level(quality)], dtype=torch.float32), quality


def gaussian_tables() -> dict[str, Tensor]:
    """Integer tables of Gaussians, for each scale index."""
    return fitted_tables([np.zeros(2 * radius + 2, np.int64) for radius in map(table_radius, range(SCALES))])


def fitted_tables(counts: Counts) -> dict[str, Tensor]:
    """Integer tables, for each scale index, of symmetric distributions between a Gaussian and what has been counted."""
    tables = [
        frequencies(gaussian_mass(scale_of(index), table_radius(index)), each + np.append(each[-2::-1], each[-1]))
        for index, each in enumerate(counts)
    ]
    return {
        "scale.frequencies": torch.from_numpy(np.concatenate(tables)),
        "scale.lengths": torch.tensor([len(table) for table in tables], dtype=torch.int32),
    }


def integer_cost(model: Autoencoder, coder: LatentCoder, images: Iterable[np.ndarray]) -> float:
    """Ideal code length of an encoder's symbols under the integer tables, over the float model's estimate, less 1."""
    estimate = length = 0.0
    for x, level, quality in calibration(model.config, images):
        estimate += sum(bits.item() for bits in model.latent(x, level, choose=True)[1:])
        groups = _symbols(model, coder, x, level, quality).groups(coder.exact, quality)
        length += sum(table.ideal_bits(values) for table, values in groups)
    return length / estimate - 1
