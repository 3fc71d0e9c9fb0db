"""The analysis transform over pictures of any size, window by window, without seams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import CaeError
from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..networks.config import FEATURE_STRIDE
from ..networks.halos import Halo
from ..networks.transforms import receptive_field
from ..runtime.threads import run_parallel
from .jobs import EncodeJob


def analyse(pixels: np.ndarray, place: Rect, region: Rect, job: EncodeJob) -> Tensor:
    """Computes the latent (h, w, N) float32 on the CPU, in quantisation steps, of a region.

    Args:
        pixels: (H, W, 1 or 3) in the picture's type: the region with its halo. Beyond the picture its edge pixels repeat.
        place: where in the picture these pixels are.
        region: pixels to analyse; its corner is that of a latent position.

    Raises CaeError where forged weights give no finite numbers.
    """
    model, gain = job.model, job.model.gain[job.header.quality - 1]

    def latent(x: Tensor, level: Tensor, halo: Halo) -> Tensor:
        return model.analysis(x, level, halo=halo) * gain

    return _run_windowed(latent, LATENT_STRIDE, model.config.latent_channels, pixels, place, region, job)


def features(pixels: np.ndarray, job: EncodeJob) -> Tensor:
    """Computes the analysis transform's features (h, w, C) float32 of a whole picture, on the CPU; errors as `analyse`."""
    analysis, bounds = job.model.analysis, job.header.bounds

    def network(x: Tensor, level: Tensor, halo: Halo) -> Tensor:
        return analysis.features(x, level, halo=halo)

    return _run_windowed(network, FEATURE_STRIDE, job.model.config.channels, pixels, bounds, bounds, job)


def _run_windowed(
    network: Callable[[Tensor, Tensor, Halo], Tensor],
    stride: int,
    channels: int,
    pixels: np.ndarray,
    place: Rect,
    region: Rect,
    job: EncodeJob,
) -> Tensor:
    """Runs a network with the analysis' receptive field on a region: one output position for stride x stride pixels."""
    model, settings, picture = job.model, job.settings, job.header.bounds
    whole = picture.outward(LATENT_STRIDE)
    origin = region.outward(LATENT_STRIDE)
    finer = LATENT_STRIDE // stride
    out = torch.empty(origin.height * finer, origin.width * finer, channels, dtype=torch.float32, device="cpu")
    margin = receptive_field(model.analysis) // LATENT_STRIDE
    level, largest = model.level(job.header.quality), job.header.largest

    def run(cell: tuple[int, Rect]) -> None:
        core = cell[1].outward(LATENT_STRIDE)
        window = core.grow(margin, whole)
        seen = window.scaled(LATENT_STRIDE)
        piece = np.array(pixels[(seen & picture).relative_to(place).slices])
        missing = seen.height - piece.shape[0], seen.width - piece.shape[1]
        if any(missing):
            piece = np.pad(piece, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        with job.precision():
            x = as_tensor(piece).to(model.device).expand(-1, -1, 3)
            y = network(x[None].float() / largest - 0.5, level, core.margins_in(window))[0].cpu()
        if not y.sum().isfinite():
            raise CaeError("these weights turn the picture into no finite numbers; use others")
        out[core.relative_to(origin).scaled(finer).slices] = y

    run_parallel(run, grid(region, settings.window), settings.windows_at_once(model.on_gpu))
    return out


def as_tensor(pixels: np.ndarray) -> Tensor:
    """Converts pixels, uint8 or uint16, to a tensor of a type with which torch works everywhere."""
    return torch.from_numpy(pixels if pixels.itemsize == 1 else pixels.astype(np.int32))
