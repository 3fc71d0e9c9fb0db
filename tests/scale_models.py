"""Random scale models and banks of priors, for tests."""

import numpy as np

from codec.entropy.coder import FrequencyTable
from codec.entropy.scale_model import SCALES, ScaleModel
from codec.entropy.symbols import EntropyTables, Priors

LATENT, HYPER, PRIORS = 8, 4, 6


def scale_tensors(rng: np.random.Generator, largest: int = 127) -> dict[str, np.ndarray]:
    """Tensors of a scale model whose weights reach `largest`."""

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-largest, largest, shape, endpoint=True).astype(np.int8)

    return {
        "map.weight": weights(16 * LATENT, 4 * HYPER),
        "map.shift": rng.integers(0, 8, 16 * LATENT).astype(np.uint8),
        "bias": rng.integers(-300, 900, (100, LATENT)).astype(np.int32),
        **{f"{name}.weight": weights(LATENT, LATENT) for name in ("own", "edge", "diagonal")},
        "context.shift": rng.integers(0, 10, LATENT).astype(np.uint8),
        "expected": np.sort(rng.integers(0, 128, SCALES)).astype(np.int8),
    }


def prior_tensors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Tensors of a bank of priors."""
    return {
        "mean": rng.integers(-3, 4, (PRIORS, HYPER)).astype(np.int16),
        "index": rng.integers(0, 40, (PRIORS, HYPER)).astype(np.uint8),
        "frequencies": rng.integers(1, 100, (100, PRIORS)).astype(np.int32),
    }


def scale_tables() -> list[FrequencyTable]:
    """A table for each scale index: the larger the index, the flatter."""
    return [FrequencyTable(np.array([1, 2 + index, 200 - 2 * index, 2 + index, 1, 1])) for index in range(SCALES)]


def entropy_tables(seed: int = 0) -> EntropyTables:
    """A whole random model of symbols."""
    rng = np.random.default_rng(seed)
    return EntropyTables(ScaleModel(scale_tensors(rng), LATENT, HYPER), Priors(prior_tensors(rng), HYPER), scale_tables())
