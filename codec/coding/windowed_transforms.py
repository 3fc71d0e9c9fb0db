"""The transforms over pictures of any size, window by window: pixels to latent and back, without seams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import CaeError
from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..networks.config import FEATURE_STRIDE
from ..networks.invariance import SIDE_MIN, kernels_are_size_invariant
from ..networks.latent_coder import LATENT_BITS
from ..networks.transforms import Halo, receptive_field
from ..runtime.threads import run_parallel
from . import windows
from .jobs import DecodeJob, EncodeJob
from .windows import Piece


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
        with settings.encoding_precision(model.device):
            x = as_tensor(piece).to(model.device).expand(-1, -1, 3)
            y = network(x[None].float() / largest - 0.5, level, core.margins_in(window))[0].cpu()
        if not y.sum().isfinite():
            raise CaeError("these weights turn the picture into no finite numbers; use others")
        out[core.relative_to(origin).scaled(finer).slices] = y

    run_parallel(run, grid(region, settings.window), settings.windows_at_once(model.device))
    return out


def as_tensor(pixels: np.ndarray) -> Tensor:
    """Converts pixels, uint8 or uint16, to a tensor of a type with which torch works everywhere."""
    return torch.from_numpy(pixels if pixels.itemsize == 1 else pixels.astype(np.int32))


def synthesise(
    latent: Callable[[Rect], Tensor], region: Rect, job: DecodeJob, hidden: Callable[[Rect], bool] = lambda window: False
) -> np.ndarray:
    """Computes the pixels (h, w, 1 or 3) of a region, in the picture's type, at the job's synthesis scale.

    Args:
        latent: gives the reconstructed latent (h, w, N) int32 of a rectangle of latent positions.
        region: pixels of the full size; it holds pixels of the synthesis whole.
        hidden: True for windows (in pixels) that will be covered wholly; they stay black.
    """
    model, settings, picture, quality = job.model, job.settings, job.header.bounds, job.header.quality
    colours, largest = job.header.colours, job.header.largest
    whole = picture.outward(LATENT_STRIDE)
    synthesis, scale = job.synthesis, job.synthesis_scale
    margin = receptive_field(synthesis) // LATENT_STRIDE
    level, gain = model.level(quality), model.gain[quality - 1] * 2**LATENT_BITS
    shown = region.at(scale)
    out = np.empty((shown.height, shown.width, colours), job.header.dtype)

    def run(piece: Piece) -> None:
        core, kept = piece
        inside = kept.at(scale)
        if hidden(kept):
            out[inside.relative_to(shown).slices] = 0
            return
        window = core.grow(margin, whole)
        y = latent(window)
        with torch.inference_mode():
            x = synthesis(y[None].to(model.device).float() / gain, level, halo=core.margins_in(window))[0]
            x = x[inside.relative_to(core.scaled(LATENT_STRIDE).at(scale)).slices]
            if colours == 1:
                x = x.mean(-1, keepdim=True)
            # torch does little with uint16
            x = (
                x.add(0.5)
                .mul_(largest)
                .round_()
                .clamp_(0, largest)
                .to(torch.int32 if job.header.is_high_bit_depth else torch.uint8)
            )
        out[inside.relative_to(shown).slices] = x.cpu().numpy()

    def agrees(_: None) -> bool:
        return kernels_are_size_invariant(model, scale, bool(settings.bf16))

    count = -(-picture.width // settings.window) * -(-picture.height // settings.window)
    at_once = settings.windows_at_once(model.device)
    # in a picture of fewer windows than threads, products run on several threads, which sum as the windows' sizes have it
    wide = settings.window >= SIDE_MIN * LATENT_STRIDE
    if job.region != picture and wide and count >= at_once and all(run_parallel(agrees, [None], 1)):
        pieces = windows.parts(picture, settings.window, region, at_once, SIDE_MIN)
    else:
        pieces = windows.whole(picture, settings.window, region)
    run_parallel(run, pieces, at_once, among=count)
    return out
