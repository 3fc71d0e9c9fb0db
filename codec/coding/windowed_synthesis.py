"""The synthesis transform over pictures of any size, window by window, without seams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..format.geometry import LATENT_STRIDE, Rect
from ..format.header import Header
from ..networks.invariance import SIDE_MIN, kernels_are_size_invariant
from ..runtime.threads import run_parallel
from . import windows
from .jobs import DecodeJob
from .windows import Piece


def synthesise(
    latent: Callable[[Rect], np.ndarray], region: Rect, job: DecodeJob, hidden: Callable[[Rect], bool] = lambda window: False
) -> np.ndarray:
    """Computes the pixels (h, w, 1 or 3) of a region, in the picture's type, at the job's synthesis scale.

    Args:
        latent: gives the reconstructed latent (h, w, N), integers, of a rectangle of latent positions.
        region: pixels of the full size; it holds pixels of the synthesis whole.
        hidden: True for windows (in pixels) that will be covered wholly; they stay black.
    """
    model, settings, header = job.model, job.settings, job.header
    picture, scale, bf16 = header.bounds, job.synthesis_scale, bool(settings.bf16)
    whole, margin = picture.outward(LATENT_STRIDE), job.margin // LATENT_STRIDE
    shown = region.at(scale)
    out = np.empty((shown.height, shown.width, header.colours), header.dtype)

    def run(piece: Piece) -> None:
        core, kept = piece
        inside = kept.at(scale)
        place = out[inside.relative_to(shown).slices]
        if hidden(kept):
            place[:] = 0
            return
        window = core.grow(margin, whole)
        x = model.synthesise(latent(window), header.quality, scale, core.margins_in(window), bf16=bf16)
        _round_into(place, x[inside.relative_to(core.scaled(LATENT_STRIDE).at(scale)).slices], header)

    def is_size_invariant(_: None) -> bool:
        return kernels_are_size_invariant(model, scale, bf16)

    count = -(-picture.width // settings.window) * -(-picture.height // settings.window)
    at_once = settings.windows_at_once(model.on_gpu)
    # in a picture of fewer windows than threads, products run on several threads, which sum as the windows' sizes have it
    wide = settings.window >= SIDE_MIN * LATENT_STRIDE
    if job.region != picture and wide and count >= at_once and all(run_parallel(is_size_invariant, [None], 1)):
        pieces = windows.parts(picture, settings.window, region, at_once, SIDE_MIN)
    else:
        pieces = windows.whole(picture, settings.window, region)
    run_parallel(run, pieces, at_once, among=count)
    return out


def _round_into(out: np.ndarray, x: np.ndarray, header: Header) -> None:
    """Rounds the synthesis' pixels (h, w, 3), about [-0.5, 0.5], to samples (h, w, 1 or 3) of the picture's type."""
    with np.errstate(over="ignore", invalid="ignore"):  # forged weights may give what is no number
        x = x.mean(-1, keepdims=True) if header.colours == 1 else x
        samples = x + np.float32(0.5)
        samples *= header.largest
        np.rint(samples, out=samples)
        np.clip(samples, 0, header.largest, out=samples)
        out[:] = samples
