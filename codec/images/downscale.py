"""Pictures at reduced sizes, by averages over areas."""

from __future__ import annotations

import numpy as np


def reduce(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The rounded averages (⌈h / factor⌉, ⌈w / factor⌉, channels) over squares of a picture (h, w, channels) uint8 or uint16.

    The squares begin at its top left, and hold less at its other edges.
    """
    if factor == 1:
        return pixels
    counts = _counts(pixels, factor)
    return ((_sums(pixels, factor) + counts // 2) // counts).astype(pixels.dtype)


def cover(pixels: np.ndarray, layer: np.ndarray, seen: np.ndarray, factor: int) -> None:
    """Puts what is seen of a layer (h, w, channels) over pixels of its type that are `factor` times smaller, in place.

    Where a square is seen in part, its pixel stands for the rest of it. `seen` is (h, w, 1) bool.
    """
    if factor == 1:
        np.copyto(pixels, layer, where=seen)
        return
    counts = _counts(layer, factor)
    beneath = (counts - _sums(seen, factor)) * pixels
    pixels[:] = (_sums(layer * seen, factor) + beneath + counts // 2) // counts


def _wide(values: np.ndarray) -> type:
    """A type for sums over squares, as narrow as it can be, which is fast."""
    return np.uint16 if values.itemsize == 1 else np.uint32


def _counts(values: np.ndarray, factor: int) -> np.ndarray:
    """Positions in each square, (⌈h / factor⌉, ⌈w / factor⌉, 1), in the type of their sums."""
    rows, columns = (np.minimum(factor, side - np.arange(0, side, factor)) for side in values.shape[:2])
    return (rows[:, None, None] * columns[:, None]).astype(_wide(values))


def _sums(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums over squares, (⌈h / factor⌉, ⌈w / factor⌉, channels)."""
    wide = _wide(values)
    for _ in range(2):
        sums = values[::factor].astype(wide)
        for first in range(1, factor):
            rows = values[first::factor]
            sums[: len(rows)] += rows
        values = sums.swapaxes(0, 1)
    return values
