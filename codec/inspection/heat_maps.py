"""Arrays of values smoothed, enlarged, and drawn in colours over a picture."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

_DEFAULT_RANGE = (2.0, 5.0)
"""Without a threshold: deviations from which colours show, and at which they hide the picture."""
_INFERNO = ((0, 0, 0, 4), (0.25, 87, 16, 110), (0.5, 188, 55, 84), (0.75, 249, 142, 9), (1, 252, 255, 164))
"""matplotlib's colour map of that name: position, red, green, blue."""


def draw_heat_map(heat: np.ndarray, pixels: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Draws heat in colours over its picture in gray.

    Colours show from half the threshold, and hide the picture from about twice the threshold.

    Args:
        heat: (H, W), in the units of the threshold; without one, in deviations within the picture.
        pixels: (H, W, 1 or 3) uint8 or uint16.
        threshold: the score from which a picture counts as faulty.

    Returns:
        (H, W, 3) uint8.
    """
    low, high = _DEFAULT_RANGE if threshold is None else (threshold / 2, max(2 * threshold, threshold + 3))
    gray = pixels.mean(-1, dtype=np.float32) * np.float32(160 / np.iinfo(pixels.dtype).max)
    opacity = np.clip((heat - low) / max(high - low, 1e-6), 0, 1)
    positions, *channels = np.array(_INFERNO).T
    colours = np.stack([np.interp(opacity, positions, channel) for channel in channels], -1)
    opacity = opacity[..., None]
    return (gray[..., None] * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Smooths values (H, W) float32 by a Gaussian of a deviation in positions, 0 for none; edges are repeated."""
    if not deviation:
        return values
    reach = math.ceil(3 * deviation)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        length = values.shape[axis]
        padded = np.pad(values, [(reach, reach) if axis == each else (0, 0) for each in (0, 1)], mode="edge")
        values = np.zeros_like(values)
        for start, weight in enumerate(weights):
            part = slice(start, start + length)
            values += weight * (padded[part] if axis == 0 else padded[:, part])
    return values


def enlarge_positions(values: np.ndarray, stride: int) -> np.ndarray:
    """Interpolates values (h, w) of positions to pixels, (h * stride, w * stride) float32."""
    if stride == 1:
        return values
    h, w = values.shape
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((w * stride, h * stride), Image.Resampling.BILINEAR))
