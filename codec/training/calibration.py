"""What an export learns from images: probability tables, and what the integers cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..networks.config import Config
from ..networks.entropy_model import EntropyModel
from ..networks.entropy_networks import SCALE_MIN, SCALE_STEP, SCALES, EntropyNetworks, deviation
from ..networks.layers import interpolate_levels
from ..networks.products import LIMIT
from ..networks.quantisation import ESCAPE_BITS, Quantiser
from ..networks.weights import read_tables
from .autoencoder import Autoencoder
from .data.patches import whole_blocks

TABLE_TOTAL = 2**20
TAIL_DEVIATIONS = 5.0
PRIOR_COUNTS = 2000.0
"""How many observed symbols the analytic distribution counts for in a table."""
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


def logistic_mass(mean: float, scale: float, radius: int) -> np.ndarray:
    """Probabilities of the integers -radius to radius under a logistic distribution."""
    edges = torch.arange(-radius, radius + 2, dtype=torch.float64) - 0.5
    return torch.sigmoid((edges - mean) / scale).diff().numpy()


def frequencies(mass: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Table of positive integers from analytic masses and observed counts of -radius … radius and of all else (last)."""
    mass = np.append(mass, max(0.0, 1 - mass.sum()))
    mixed = mass * PRIOR_COUNTS + counts
    return np.maximum(1, np.round(mixed / mixed.sum() * TABLE_TOTAL)).astype(np.int32)


def histogram(values: np.ndarray, radius: int) -> np.ndarray:
    """Counts of -radius … radius and, last, of everything outside."""
    inside = values[np.abs(values) <= radius] + radius
    return np.append(np.bincount(inside, minlength=2 * radius + 1), len(values) - len(inside))


@dataclasses.dataclass
class Symbols:
    """What the integer networks make of the calibration images.

    `hyper` is the hyper-latents (positions, Z); `counts` has, for each scale index, how often each value of its table
    occurs, and last how often any other.
    """

    hyper: np.ndarray
    counts: list[np.ndarray]


@torch.inference_mode()
def collect(
    model: Autoencoder, networks: EntropyNetworks, images: Sequence[np.ndarray], quantiser: Quantiser | None = None
) -> Symbols:
    """Codes images (H, W, 3) uint8, sides at least 64, at a range of qualities, and keeps all symbols.

    Without a quantiser the symbols are the nearest integers.
    """
    hyper: list[np.ndarray] = []
    counts = [np.zeros(2 * radius + 2, np.int64) for radius in map(table_radius, range(SCALES))]
    for x, level, quality in calibration(model.config, images):
        gain = interpolate_levels(model.entropy.log_gain, level).exp()
        y = model.analysis(x - 0.5, level) * gain
        z = model.entropy.hyper_analysis(y).round().clamp(-LIMIT, LIMIT).to(torch.int32)
        hyper.append(z.reshape(-1, z.shape[-1]).numpy())
        features, mean, index = networks.first(z, quality, y.shape[1], y.shape[2])
        for number in (0, 1):
            away = deviation(y, mean, number)
            symbols = away.round().to(torch.int32) if quantiser is None else quantiser.rdo_quantise(away, index)
            flat, tables = symbols.numpy().ravel(), index.numpy().ravel()
            for scale in range(SCALES):
                counts[scale] += histogram(flat[tables == scale], table_radius(scale))
            if number == 0:
                mean, index = networks.second(features, mean, symbols, quality)
    return Symbols(np.concatenate(hyper), counts)


def calibration(config: Config, images: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, Tensor, int]]:
    """The middle of each image at each of a range of qualities: pixels (1, H, W, 3) in [0, 1], gain level (1,), quality."""
    for image in images:
        top, left = (max(0, side - CALIBRATION_SIDE) // 2 for side in image.shape[:2])
        x = whole_blocks(image[top : top + CALIBRATION_SIDE, left : left + CALIBRATION_SIDE])
        for quality in CALIBRATION_QUALITIES:
            yield x, torch.tensor([config.level(quality)], dtype=torch.float32), quality


def make_tables(model: EntropyModel, symbols: Symbols) -> dict[str, Tensor]:
    """Integer tables: for each scale index, and for each channel of the hyper-latent."""
    by_scale, by_channel = [], []
    for index, counts in enumerate(symbols.counts):
        mirrored = np.append(counts[-2::-1], counts[-1])
        by_scale.append(frequencies(gaussian_mass(scale_of(index), table_radius(index)), counts + mirrored))
    hyper = symbols.hyper
    for channel in range(hyper.shape[1]):
        mean, scale = model.z_mean[channel].item(), model.z_log_scale[channel].exp().item()
        radius = int(max(4, np.abs(hyper[:, channel]).max() + 2, abs(mean) + 12 * scale))
        by_channel.append(frequencies(logistic_mass(mean, scale, radius), histogram(hyper[:, channel], radius)))
    made = {}
    for name, tables in (("scale", by_scale), ("hyper", by_channel)):
        made[f"{name}.frequencies"] = torch.from_numpy(np.concatenate(tables))
        made[f"{name}.lengths"] = torch.tensor([len(table) for table in tables], dtype=torch.int32)
    return made


@torch.inference_mode()
def integer_cost(model: Autoencoder, symbols: Symbols, tables: dict[str, Tensor], images: Sequence[np.ndarray]) -> float:
    """Ideal code length of the integer networks' symbols under the integer tables, over the float networks' estimate, - 1."""
    estimate = sum(sum(bits.item() for bits in model.latent(x, level)[1:]) for x, level, _ in calibration(model.config, images))
    hyper, scale = (read_tables(tables, name) for name in ("hyper", "scale"))
    length = sum(table.ideal_bits(values) for table, values in zip(hyper, symbols.hyper.T, strict=True))
    for table, counts in zip(scale, symbols.counts, strict=True):
        bits = np.log2(table.frequencies.sum() / table.frequencies)
        bits[-1] += ESCAPE_BITS
        length += float((counts * bits).sum())
    return length / estimate - 1
