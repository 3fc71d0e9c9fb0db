"""Enlargement of pictures, in bands without seams: by Lanczos' filter, or with each pixel as a square."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from ..format.geometry import Rect

MARGIN = 3
"""Pixels on each side that an enlarged pixel depends on."""
_ROWS = 64
"""Rows that are enlarged at a time."""
Marked = tuple[np.ndarray, np.ndarray | None]
"""Pixels (h, w, channels) uint8 or uint16, and a mask of screen content, (h, w, 1) bool; None if there is none."""


def squares(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Enlarges pixels (h, w, channels) to squares: (factor * h, factor * w, channels)."""
    return pixels if factor == 1 else pixels.repeat(factor, 0).repeat(factor, 1)


def enlarge(marked: Marked, inner: Rect, factor: int, largest: int, *, has_alpha: bool = False) -> np.ndarray:
    """Enlarges a rectangle of pixels to (factor * h, factor * w, channels), of their type.

    Screen content becomes squares of its pixels; the rest goes through Lanczos' filter. Pixels further than MARGIN from the
    rectangle have no influence.

    Args:
        marked: the rectangle's pixels, and those around it.
        inner: the rectangle within them.
        factor: times larger.
        largest: largest value of a sample.
        has_alpha: the last channel is alpha. Colours are weighted by it, so that transparent pixels show no colour.
    """
    pixels, mask = marked
    exact = None if mask is None else mask[inner.slices]
    if exact is not None and exact.all():
        return squares(pixels[inner.slices], factor)
    if has_alpha:
        out = _enlarge_with_alpha(pixels, inner, factor, largest)
    elif pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        out = _filtered(pixels, inner, factor)
    else:
        out = np.stack([_filtered(_plane(channel), inner, factor) for channel in np.moveaxis(pixels, 2, 0)], -1)
    if out.dtype != pixels.dtype:
        out = out.round().clip(0, largest).astype(pixels.dtype)
    if exact is not None and exact.any():
        np.copyto(out, squares(pixels[inner.slices], factor), where=squares(exact, factor))
    return out


def enlarge_bands(
    bands: Iterator[Marked], place: Rect, target: Rect, factor: int, largest: int, *, has_alpha: bool
) -> Iterator[np.ndarray]:
    """Enlarges a rectangle of a picture that arrives in bands of whole rows, from top to bottom; see `enlarge`.

    Args:
        bands: the bands of `place`.
        place: the target with MARGIN pixels around it, within the picture.
        target: the rectangle to enlarge.
        factor: times larger.
        largest: largest value of a sample.
        has_alpha: the last channel is alpha.
    """
    buffer: Marked | None = None
    top = bottom = place.top
    done = target.top
    for marked in bands:
        buffer = marked if buffer is None else _join(buffer, marked)
        bottom += len(marked[0])
        del marked
        ready = target.bottom if bottom == place.bottom else bottom - MARGIN
        while done < ready:
            strip = target._replace(top=done, bottom=min(done + _ROWS, ready))
            around = strip.grow(MARGIN, place)
            rows = slice(around.top - top, around.bottom - top)
            yield enlarge(_rows(buffer, rows), strip.relative_to(around), factor, largest, has_alpha=has_alpha)
            done = strip.bottom
        first = max(top, done - MARGIN)
        # a copy, so that its last rows do not keep the whole band in memory
        buffer, top = _join(_rows(buffer, slice(first - top, None))), first


def _join(*parts: Marked) -> Marked:
    """Joins parts that follow each other downwards, into a copy."""
    joined = None
    if any(mask is not None for _, mask in parts):
        masks = [np.zeros((*pixels.shape[:2], 1), bool) if mask is None else mask for pixels, mask in parts]
        joined = np.concatenate(masks)
    return np.concatenate([pixels for pixels, _ in parts]), joined


def _rows(marked: Marked, rows: slice) -> Marked:
    pixels, mask = marked
    return pixels[rows], None if mask is None else mask[rows]


def _plane(samples: np.ndarray) -> np.ndarray:
    """Converts samples (h, w) to a type that Pillow filters with all their bits."""
    return np.ascontiguousarray(samples, np.uint8 if samples.dtype == np.uint8 else np.float32)


def _filtered(pixels: np.ndarray, inner: Rect, factor: int) -> np.ndarray:
    """Enlarges a rectangle of pixels, (h, w, 3) uint8 or (h, w) as `_plane` returns it, by Lanczos' filter."""
    height, width = pixels.shape[0], factor * inner.width
    # one direction at a time: Pillow's order of both, and so its rounding, depends on the margins
    wide = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, (inner.left, 0, inner.right, height))
    box = 0, inner.top, width, inner.bottom
    return np.array(wide.resize((width, factor * inner.height), Image.Resampling.LANCZOS, box))


def _enlarge_with_alpha(pixels: np.ndarray, inner: Rect, factor: int, largest: int) -> np.ndarray:
    """Enlarges colours, if any, and alpha to floats that are not rounded; colours are black where all is transparent."""
    alpha = pixels[..., -1].astype(np.float32)
    weight = _filtered(alpha, inner, factor)
    out = np.zeros((*weight.shape, pixels.shape[2]), np.float32)
    for channel in range(pixels.shape[2] - 1):
        sums = _filtered(pixels[..., channel] * (alpha / largest), inner, factor)
        np.divide(sums * largest, weight, out=out[..., channel], where=weight > 0)
    out[..., -1] = weight
    return out
