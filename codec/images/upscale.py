"""Pictures at larger sizes, band by band without seams: by Lanczos' filter, or each pixel as a square."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from ..format.geometry import Rect

MARGIN = 3
"""Pixels to each side that an enlarged pixel depends on."""
_ROWS = 64
"""Rows of a picture that are enlarged at a time."""
Marked = tuple[np.ndarray, np.ndarray | None]
"""Pixels (h, w, channels) uint8 or uint16, and which of them are drawn, (h, w, 1) bool; None for none."""


def squares(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Pixels (h, w, channels) as squares of `factor` pixels, (factor * h, factor * w, channels)."""
    return pixels if factor == 1 else pixels.repeat(factor, 0).repeat(factor, 1)


def enlarge(marked: Marked, inner: Rect, factor: int, largest: int, *, has_alpha: bool = False) -> np.ndarray:
    """A rectangle of pixels, enlarged to (factor * h, factor * w, channels) in their type.

    What is drawn becomes squares, the rest goes through Lanczos' filter. It is the same whatever is cut off beyond MARGIN
    pixels around the rectangle.

    Args:
        marked: the rectangle's pixels and those around it.
        inner: the rectangle within them.
        largest: of a sample.
        has_alpha: whether the last channel is alpha, by which colours are weighed, so that what is transparent shows no colour.
    """
    pixels, drawn = marked
    seen = None if drawn is None else drawn[inner.slices]
    if seen is not None and seen.all():
        return squares(pixels[inner.slices], factor)
    if has_alpha:
        out = _without_hidden(pixels, inner, factor, largest)
    elif pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        out = _filtered(pixels, inner, factor)
    else:
        out = np.stack([_filtered(_plane(channel), inner, factor) for channel in np.moveaxis(pixels, 2, 0)], -1)
    if out.dtype != pixels.dtype:
        out = out.round().clip(0, largest).astype(pixels.dtype)
    if seen is not None and seen.any():
        np.copyto(out, squares(pixels[inner.slices], factor), where=squares(seen, factor))
    return out


def enlarge_bands(
    arriving: Iterator[Marked], place: Rect, wanted: Rect, factor: int, largest: int, *, has_alpha: bool
) -> Iterator[np.ndarray]:
    """`enlarge` for a rectangle of a picture that comes in bands of whole rows, from top to bottom.

    Args:
        arriving: the bands of `place`.
        place: the rectangle with MARGIN pixels around it, as far as the picture reaches.
        wanted: the rectangle.
    """
    held: Marked | None = None
    top = bottom = place.top
    done = wanted.top
    for marked in arriving:
        held = marked if held is None else _joined(held, marked)
        bottom += len(marked[0])
        del marked
        ready = wanted.bottom if bottom == place.bottom else bottom - MARGIN
        while done < ready:
            strip = wanted._replace(top=done, bottom=min(done + _ROWS, ready))
            around = strip.grow(MARGIN, place)
            rows = slice(around.top - top, around.bottom - top)
            yield enlarge(_rows(held, rows), strip.relative_to(around), factor, largest, has_alpha=has_alpha)
            done = strip.bottom
        kept = max(top, done - MARGIN)
        # copied, so that the band's memory is not held by its last rows
        held, top = _joined(_rows(held, slice(kept - top, None))), kept


def _joined(*parts: Marked) -> Marked:
    """A copy of parts that follow each other downwards."""
    drawn = None
    if any(mask is not None for _, mask in parts):
        masks = [np.zeros((*pixels.shape[:2], 1), bool) if mask is None else mask for pixels, mask in parts]
        drawn = np.concatenate(masks)
    return np.concatenate([pixels for pixels, _ in parts]), drawn


def _rows(marked: Marked, rows: slice) -> Marked:
    pixels, drawn = marked
    return pixels[rows], None if drawn is None else drawn[rows]


def _plane(samples: np.ndarray) -> np.ndarray:
    """Samples (h, w) in a type that Pillow filters with all their bits."""
    return np.ascontiguousarray(samples, np.uint8 if samples.dtype == np.uint8 else np.float32)


def _filtered(pixels: np.ndarray, inner: Rect, factor: int) -> np.ndarray:
    """What Lanczos' filter makes of a rectangle of pixels, (h, w, 3) uint8 or (h, w) of a type of `_plane`."""
    height, width = pixels.shape[0], factor * inner.width
    # one direction at a time: Pillow's order of both, and so its rounding, goes by what is cut off
    wide = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, (inner.left, 0, inner.right, height))
    box = 0, inner.top, width, inner.bottom
    return np.array(wide.resize((width, factor * inner.height), Image.Resampling.LANCZOS, box))


def _without_hidden(pixels: np.ndarray, inner: Rect, factor: int, largest: int) -> np.ndarray:
    """As floats not yet rounded, colours (black where all is transparent), if any, and alpha."""
    alpha = pixels[..., -1].astype(np.float32)
    weight = _filtered(alpha, inner, factor)
    out = np.zeros((*weight.shape, pixels.shape[2]), np.float32)
    for channel in range(pixels.shape[2] - 1):
        sums = _filtered(pixels[..., channel] * (alpha / largest), inner, factor)
        np.divide(sums * largest, weight, out=out[..., channel], where=weight > 0)
    out[..., -1] = weight
    return out
