"""Pictures at reduced sizes, by averages over areas."""

from __future__ import annotations

import numpy as np


def reduce(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The rounded averages (⌈h / factor⌉, ⌈w / factor⌉, channels) uint8 over squares of a picture (h, w, channels) uint8.

    The squares begin at its top left, and hold less at its other edges.
    """
    if factor == 1:
        return pixels
    sums = _sums(_sums(pixels, factor).swapaxes(0, 1), factor).swapaxes(0, 1)
    height, width, _ = pixels.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    counts = np.minimum(factor, height - rows)[:, None, None] * np.minimum(factor, width - columns)[:, None]
    return ((sums + (counts // 2).astype(np.uint16)) // counts.astype(np.uint16)).astype(np.uint8)


def _sums(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums of `factor` rows each, (⌈h / factor⌉, …) uint16."""
    sums = values[::factor].astype(np.uint16)
    for first in range(1, factor):
        rows = values[first::factor]
        sums[: len(rows)] += rows
    return sums
