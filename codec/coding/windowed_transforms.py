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
from .settings import Job
from .windows import Piece


def analyse(pixels: np.ndarray, place: Rect, region: Rect, job: Job) -> Tensor:
    """The latent (h, w, N) float32 on the CPU, in quantisation steps, of a region whose corner is a latent position's.

    Args:
        pixels: (H, W, 1 or 3) in the picture's type, the part of it that is at hand: the region with its halo. Beyond the
            picture its edge pixels go on.
        place: where in the picture these pixels are.
        region: what is wanted.

    Raises CaeError where weights that were forged give no numbers.
    """
    model, gain = job.model, job.model.gain[job.header.quality - 1]

    def latent(x: Tensor, level: Tensor, halo: Halo) -> Tensor:
        return model.analysis(x, level, halo=halo) * gain

    return _analysed(latent, LATENT_STRIDE, model.config.latent_channels, pixels, place, region, job)


def features(pixels: np.ndarray, job: Job) -> Tensor:
    """The analysis transform's features (h, w, C) float32 of a whole picture, on the CPU; errors as of `analyse`."""
    analysis, bounds = job.model.analysis, job.header.bounds

    def narrow(x: Tensor, level: Tensor, halo: Halo) -> Tensor:
        return analysis.features(x, level, halo=halo)

    return _analysed(narrow, FEATURE_STRIDE, job.model.config.channels, pixels, bounds, bounds, job)


def _analysed(
    network: Callable[[Tensor, Tensor, Halo], Tensor],
    stride: int,
    channels: int,
    pixels: np.ndarray,
    place: Rect,
    region: Rect,
    job: Job,
) -> Tensor:
    """What a network with the analysis's receptive field makes of a region: channels for each stride x stride pixels."""
    model, settings, picture = job.model, job.settings, job.header.bounds
    whole = picture.outward(LATENT_STRIDE)
    origin = region.outward(LATENT_STRIDE)
    finer = LATENT_STRIDE // stride
    found = torch.empty(origin.height * finer, origin.width * finer, channels, dtype=torch.float32, device="cpu")
    margin = receptive_field(model.analysis) // LATENT_STRIDE
    level, largest = model.level(job.header.quality), job.header.largest

    def run(cell: tuple[int, Rect]) -> None:
        core = cell[1].outward(LATENT_STRIDE)
        window = core.grow(margin, whole)
        wanted = window.scaled(LATENT_STRIDE)
        piece = np.array(pixels[(wanted & picture).relative_to(place).slices])
        beyond = wanted.height - piece.shape[0], wanted.width - piece.shape[1]
        if any(beyond):
            piece = np.pad(piece, ((0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
        with settings.encoding_precision(model.device):
            x = samples(piece).to(model.device).expand(-1, -1, 3)
            y = network(x[None].float() / largest - 0.5, level, core.margins_in(window))[0].cpu()
        if not y.sum().isfinite():
            raise CaeError("these weights turn the picture into no finite numbers; use others")
        found[core.relative_to(origin).scaled(finer).slices] = y

    run_parallel(run, grid(region, settings.window), settings.windows_at_once(model.device))
    return found


def samples(pixels: np.ndarray) -> Tensor:
    """Pixels, uint8 or uint16, as a tensor of a type with which torch works everywhere."""
    return torch.from_numpy(pixels if pixels.itemsize == 1 else pixels.astype(np.int32))


def synthesise(
    latent: Callable[[Rect], Tensor], region: Rect, job: Job, hidden: Callable[[Rect], bool] = lambda window: False
) -> np.ndarray:
    """Pixels (h, w, 1 or 3) of a region, in the picture's type.

    They have the size that the job's synthesis makes, whose pixels the region holds whole.

    Args:
        latent: gives the reconstructed latent (h, w, N) int32 of a rectangle of latent positions.
        region: what is wanted.
        hidden: whether nothing of a window (in pixels) will be seen, which then stays black.
    """
    model, settings, picture, quality = job.model, job.settings, job.header.bounds, job.header.quality
    colours, largest = job.header.colours, job.header.largest
    whole = picture.outward(LATENT_STRIDE)
    synthesis, scale = job.synthesis, job.synthesised
    margin = receptive_field(synthesis) // LATENT_STRIDE
    level, gain = model.level(quality), model.gain[quality - 1] * 2**LATENT_BITS
    shown = region.at(scale)
    out = np.empty((shown.height, shown.width, colours), job.header.dtype)

    def run(piece: Piece) -> None:
        core, wanted = piece
        kept = wanted.at(scale)
        if hidden(wanted):
            out[kept.relative_to(shown).slices] = 0
            return
        window = core.grow(margin, whole)
        y = latent(window)
        with settings.decoding_precision(model.device):
            x = synthesis(y[None].to(model.device).float() / gain, level, halo=core.margins_in(window))[0]
            x = x[kept.relative_to(core.scaled(LATENT_STRIDE).at(scale)).slices]
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
        out[kept.relative_to(shown).slices] = x.cpu().numpy()

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
