"""Maps of a picture: bits of latent positions, errors of pixels, and features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..networks.config import FEATURE_STRIDE
from ..networks.latent_coder import Quantised
from ..options import MAPS
from ..runtime.threads import run_parallel
from .coding_maps import CodingMaps
from .jobs import EncodeJob, with_fallback
from .tile_encoder import hyper_latent, quantise
from .windowed_analysis import analyse, features
from .windowed_synthesis import synthesise


def make_coding_maps(pixels: np.ndarray, job: EncodeJob, maps: Sequence[str] = MAPS) -> CodingMaps:
    """Computes what the named maps need of colours (H, W, 1 or 3), with all tiles transform-coded.

    The bits are those of the tables that the scale model chooses for the latent; the hyper-latent's are not among them.
    """
    arrays: dict[str, np.ndarray] = {}
    if "distance" in maps:
        rows, columns = (-(-side // FEATURE_STRIDE) for side in pixels.shape[:2])
        arrays["features"] = with_fallback(lambda job: features(pixels, job), job).numpy()[:rows, :columns]
    if {"error", "surprise"} & set(maps):
        arrays |= _rate_and_error(pixels, job, with_error="error" in maps)
    return CodingMaps(pixels.shape[:2], job.header.quality, job.model.id, **arrays)


def _rate_and_error(pixels: np.ndarray, job: EncodeJob, *, with_error: bool) -> dict[str, np.ndarray]:
    """Bits of positions (h, w) and, if asked for, squared errors of pixels (H, W), both float32."""
    bounds = job.header.bounds
    latent = with_fallback(lambda job: analyse(pixels, bounds, bounds, job), job)
    decoded = np.empty(latent.shape, np.int32)
    bits = np.empty(latent.shape[:2], np.float32)

    def code(cell: tuple[int, Rect]) -> None:
        inside = cell[1].outward(LATENT_STRIDE).slices
        quantised = with_fallback(lambda job: _quantise(latent[inside], job), job, windows=False)
        decoded[inside] = quantised.latent.cpu().numpy()
        bits[inside] = job.model.coder.quantiser.bits_of(quantised.symbols).cpu().numpy()

    run_parallel(code, grid(bounds, job.header.tile), job.settings.threads)
    if not with_error:
        return {"bits": bits}
    shown = with_fallback(lambda job: synthesise(lambda window: decoded[window.slices], bounds, job), job.decode_job)
    differences = (shown.astype(np.float32) - pixels) / np.float32(job.header.largest)
    return {"bits": bits, "error": np.square(differences).mean(2)}


def _quantise(y: Tensor, job: EncodeJob) -> Quantised:
    y = y.to(job.model.device)
    return quantise(y, hyper_latent(y, job), job, rounding=False)
