"""Pictures at reduced sizes, by averages over areas."""

from __future__ import annotations

import numpy as np


def reduce(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The rounded averages (⌈h / factor⌉, ⌈w / factor⌉, channels) uint8 over squares of a picture (h, w, channels) uint8.

    The squares begin at its top left, and hold less at its other edges.
    """
    if factor == 1:
        return pixels
    counts = _counts(pixels.shape, factor)
    return ((_sums(pixels, factor) + counts // 2) // counts).astype(np.uint8)


def cover(pixels: np.ndarray, layer: np.ndarray, seen: np.ndarray, factor: int) -> None:
    """Puts what is seen of a layer (h, w, channels) uint8 over pixels that are `factor` times smaller, in place.

    Where a square is seen in part, its pixel stands for the rest of it. `seen` is (h, w, 1) bool.
    """
    if factor == 1:
        np.copyto(pixels, layer, where=seen)
        return
    counts = _counts(layer.shape, factor)
    beneath = (counts - _sums(seen, factor)) * pixels
    pixels[:] = (_sums(layer * seen, factor) + beneath + counts // 2) // counts


def _counts(shape: tuple[int, ...], factor: int) -> np.ndarray:
    """Positions in each square, (⌈h / factor⌉, ⌈w / factor⌉, 1) uint16."""
    rows, columns = (np.minimum(factor, side - np.arange(0, side, factor)) for side in shape[:2])
    return (rows[:, None, None] * columns[:, None]).astype(np.uint16)


def _sums(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums over squares, (⌈h / factor⌉, ⌈w / factor⌉, channels) uint16."""
    for _ in range(2):
        sums = values[::factor].astype(np.uint16)
        for first in range(1, factor):
            rows = values[first::factor]
            sums[: len(rows)] += rows
        values = sums.swapaxes(0, 1)
    return values
