"""Reduction of pictures, by averages over squares."""

from __future__ import annotations

import numpy as np


def reduce(pixels: np.ndarray, factor: int, *, has_alpha: bool = False) -> np.ndarray:
    """Averages a picture (h, w, channels) uint8 or uint16 over squares: (⌈h / factor⌉, ⌈w / factor⌉, channels), rounded.

    Squares start at the top left; those at the other edges may hold fewer pixels. With `has_alpha` the last channel is alpha,
    by which colours are weighted: hidden ones show only where a whole square is hidden.
    """
    if factor == 1:
        return pixels
    counts = _counts(pixels, factor)
    out = ((_sums(pixels, factor) + counts // 2) // counts).astype(pixels.dtype)
    # equal weights change nothing
    if has_alpha and pixels.shape[2] > 1 and (pixels[..., -1] != pixels[0, 0, -1]).any():
        colours, alpha = pixels[..., :-1], _widened(pixels[..., -1:])
        total = _sums(alpha, factor)
        means = (_sums(colours * alpha, factor) + total // 2) // np.maximum(total, 1)
        np.copyto(out[..., :-1], means, where=total > 0, casting="unsafe")
    return out


def cover(pixels: np.ndarray, layer: np.ndarray, seen: np.ndarray, factor: int, alpha: np.ndarray | None = None) -> None:
    """Puts the visible pixels of a layer over a picture that is `factor` times smaller, in place.

    Where a square is visible in part, the picture's pixel stands for the rest of it.

    Args:
        pixels: the picture, (⌈h / factor⌉, ⌈w / factor⌉, channels).
        layer: (h, w, channels) of the same type.
        seen: mask of the visible pixels, (h, w, 1) bool.
        factor: times smaller.
        alpha: of the picture, (h, w, 1) in the layer's type; the pixels are weighted by it, as in `reduce`.
    """
    if factor == 1:
        np.copyto(pixels, layer, where=seen)
        return
    counts = _counts(layer, factor)
    beneath = (counts - _sums(seen, factor)) * pixels
    out = (_sums(layer * seen, factor) + beneath + counts // 2) // counts
    if alpha is not None and (alpha != alpha[0, 0, 0]).any():
        weights = _widened(alpha)
        total = _sums(weights, factor)
        weights *= seen
        beneath = (total - _sums(weights, factor)) * pixels
        means = (_sums(layer * weights, factor) + beneath + total // 2) // np.maximum(total, 1)
        out = np.where(total > 0, means, out)
    pixels[:] = out


def _wide(values: np.ndarray) -> type:
    """Returns the narrowest type that holds sums over squares, which is the fastest; widened values keep theirs."""
    return {1: np.uint16, 2: np.uint32}.get(values.itemsize, values.dtype.type)


def _widened(alpha: np.ndarray) -> np.ndarray:
    """Converts alpha to a type that holds sums of its products with colours."""
    return alpha.astype(np.uint32 if alpha.itemsize == 1 else np.uint64)


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
