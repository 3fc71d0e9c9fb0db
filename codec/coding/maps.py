"""Maps of a picture: bits of latent positions, errors of pixels, and features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..inspection import MAPS, CodingMaps
from ..networks.config import FEATURE_STRIDE
from ..runtime.threads import run_parallel
from .jobs import EncodeJob, with_fallback
from .tile_coder import TileSymbols, tile_symbols
from .windowed_transforms import analyse, features, synthesise


def coding_maps(pixels: np.ndarray, job: EncodeJob, maps: Sequence[str] = MAPS) -> CodingMaps:
    """Computes what the named maps need of colours (H, W, 1 or 3), with all tiles transform-coded.

    The bits are those of the tables that the entropy networks choose for the latent; the hyper-latent's are not among them.
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
    decoded = torch.empty(latent.shape, dtype=torch.int32, device="cpu")
    bits = np.empty(latent.shape[:2], np.float32)

    def code(cell: tuple[int, Rect]) -> None:
        inside = cell[1].outward(LATENT_STRIDE).slices
        symbols = with_fallback(lambda job: tile_symbols(latent[inside][None], job), job, windows=False)
        decoded[inside] = symbols.latent()[0].cpu()
        bits[inside] = _bits(symbols, job).cpu().numpy()

    run_parallel(code, grid(bounds, job.header.tile), job.settings.threads)
    if not with_error:
        return {"bits": bits}
    shown = with_fallback(lambda job: synthesise(lambda window: decoded[window.slices], bounds, job), job.decode_job)
    differences = (shown.astype(np.float32) - pixels) / np.float32(job.header.largest)
    return {"bits": bits, "error": np.square(differences).mean(2)}


@torch.inference_mode()
def _bits(symbols: TileSymbols, job: EncodeJob) -> Tensor:
    """Bits of a tile's latent positions (h, w)."""
    first, second = (
        job.model.quantiser.bits(values.float(), index.float()).sum(-1)
        for values, index in zip(symbols.values, symbols.indices, strict=True)
    )
    return (first + second)[0]
