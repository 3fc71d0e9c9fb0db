"""Reduction of pictures, by averages over squares."""

from __future__ import annotations

import numpy as np


def reduce(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Averages a picture (h, w, channels) uint8 or uint16 over squares: (⌈h / factor⌉, ⌈w / factor⌉, channels), rounded.

    Squares start at the top left; those at the other edges may hold fewer pixels.
    """
    if factor == 1:
        return pixels
    counts = _counts(pixels, factor)
    return ((_sums(pixels, factor) + counts // 2) // counts).astype(pixels.dtype)


def cover(pixels: np.ndarray, layer: np.ndarray, seen: np.ndarray, factor: int) -> None:
    """Puts the visible pixels of a layer over a picture that is `factor` times smaller, in place.

    Where a square is visible in part, the picture's pixel stands for the rest of it.

    Args:
        pixels: the picture, (⌈h / factor⌉, ⌈w / factor⌉, channels).
        layer: (h, w, channels) of the same type.
        seen: mask of the visible pixels, (h, w, 1) bool.
        factor: times smaller.
    """
    if factor == 1:
        np.copyto(pixels, layer, where=seen)
        return
    counts = _counts(layer, factor)
    beneath = (counts - _sums(seen, factor)) * pixels
    pixels[:] = (_sums(layer * seen, factor) + beneath + counts // 2) // counts


def _wide(values: np.ndarray) -> type:
    """Returns the narrowest type that holds sums over squares, which is the fastest."""
    return np.uint16 if values.itemsize == 1 else np.uint32


def _counts(values: np.ndarray, factor: int) -> np.ndarray:
    """Returns the pixels of each square, (⌈h / factor⌉, ⌈w / factor⌉, 1), in the type of the sums."""
    rows, columns = (np.minimum(factor, side - np.arange(0, side, factor)) for side in values.shape[:2])
    return (rows[:, None, None] * columns[:, None]).astype(_wide(values))


def _sums(values: np.ndarray, factor: int) -> np.ndarray:
    """Returns sums over squares, (⌈h / factor⌉, ⌈w / factor⌉, channels)."""
    wide = _wide(values)
    for _ in range(2):
        sums = values[::factor].astype(wide)
        for first in range(1, factor):
            rows = values[first::factor]
            sums[: len(rows)] += rows
        values = sums.swapaxes(0, 1)
    return values
