"""What a picture costs, loses and is made of, place by place: bits of each latent position, errors of pixels, features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..inspection import MAPS, Traces
from ..networks.config import FEATURE_STRIDE
from ..networks.latent_coder import Quantised
from ..runtime.threads import run_parallel
from .settings import Job, with_fallback
from .tile_coder import hyper_latent, quantise
from .windowed_transforms import analyse, features, synthesise


def traces(pixels: np.ndarray, job: Job, maps: Sequence[str] = MAPS) -> Traces:
    """The traces of colours (H, W, 1 or 3) that the maps need, with all tiles transform-coded.

    The bits are those of the tables that the entropy networks choose for the latent; the hyper-latent's are not among them.
    """
    found: dict[str, np.ndarray] = {}
    if "distance" in maps:
        made_of = with_fallback(lambda job: features(pixels, job), job).numpy()
        rows, columns = (-(-side // FEATURE_STRIDE) for side in pixels.shape[:2])
        found["features"] = made_of[:rows, :columns]
    if {"error", "surprise"} & set(maps):
        found |= _coded(pixels, job, with_error="error" in maps)
    return Traces(pixels.shape[:2], job.header.quality, job.model.id, **found)


def _coded(pixels: np.ndarray, job: Job, *, with_error: bool) -> dict[str, np.ndarray]:
    """Bits of positions (h, w), and squared errors of pixels (H, W), both float32."""
    bounds = job.header.bounds
    latent = with_fallback(lambda job: analyse(pixels, bounds, bounds, job), job)
    decoded = torch.empty(latent.shape, dtype=torch.int32, device="cpu")
    bits = np.empty(latent.shape[:2], np.float32)

    def code(cell: tuple[int, Rect]) -> None:
        inside = cell[1].outward(LATENT_STRIDE).slices
        quantised = with_fallback(lambda job: _quantise(latent[inside], job), job, windows=False)
        decoded[inside] = quantised.latent.cpu()
        bits[inside] = job.model.coder.quantiser.bits_of(quantised.symbols).cpu().numpy()

    run_parallel(code, grid(bounds, job.header.tile), job.settings.threads)
    if not with_error:
        return {"bits": bits}
    shown = with_fallback(lambda job: synthesise(lambda window: decoded[window.slices], bounds, job), job)
    differences = (shown.astype(np.float32) - pixels) / np.float32(job.header.largest)
    return {"bits": bits, "error": np.square(differences).mean(2)}


def _quantise(y: Tensor, job: Job) -> Quantised:
    y = y.to(job.model.device)
    return quantise(y, hyper_latent(y, job), job, rounding=False)
