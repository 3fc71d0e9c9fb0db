"""Latent search: latents refined by gradients through the decoder's own networks, before they are rounded.

Rounding is relaxed to a slope that steepens from iteration to iteration, as in the annealing of Yang, Bamler and Mandt (2020,
arXiv:2006.04240). Its noise is left out, since it takes some ten times as many iterations to average out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..distortion.distortions import distortion_bits
from ..entropy.scale_model import SCALE_MIN, SCALE_STEP
from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..networks.config import RDO_WEIGHT
from ..networks.entropy_model import EntropyModel, Rounding
from ..networks.latent_coder import LATENT_BITS
from ..runtime.threads import check_cancelled
from .jobs import EncodeJob
from .windowed_analysis import as_tensor


@dataclasses.dataclass(frozen=True)
class SearchSchedule:
    """A search's number of iterations, and its largest step in quantisation steps."""

    iterations: int
    rate: float


_ADDED = {3: SearchSchedule(4, 0.04), 4: SearchSchedule(6, 0.03), 5: SearchSchedule(15, 0.015)}
SCHEDULES = {effort: tuple(added for each, added in _ADDED.items() if each <= effort) for effort in _ADDED}
"""Schedules to try, by effort; the best result is taken. Below the first effort nothing is searched.

Those of lower efforts are tried again, so that no effort saves less than a lower one.
"""
HOT, COLD = 0.2, 0.07
"""First and last temperature of the relaxed rounding."""
GRADIENT_FLOOR = 1.0
"""Gradient, in bits per step, below which steps become smaller."""
DISTORTION_SHARE = 0.6
"""Weight of the distortion beside bits, as a share of that in training.

With it a searched file is about as large as one that is not, and its picture better; the gain hardly depends on it.
"""
SEARCH_MARGIN = 3
"""Positions of the latent around a tile whose influence on its pixels counts."""
GRADIENT_WINDOW = 32
"""Positions of the latent to a side of the windows in which errors are differentiated."""
HYPER_SHARE = 0.1
"""The hyper-latent's steps, as a share of the latent's."""
FROZEN_INDEX_MAX = 3
"""Scale index up to which a latent keeps its symbol: the networks are hardly trained on other symbols there."""


@dataclasses.dataclass(frozen=True)
class SearchTarget:
    """A tile's original pixels, and the latent around it.

    `pixels` (H, W, 1 or 3) are the tile's own, `visible` (H, W) marks those that count (None: all). `around` (1, h, w, N) is
    the latent of the tile and its surroundings, in quantisation steps, `core` the tile's place within it, in positions.
    """

    pixels: Tensor
    visible: Tensor | None
    around: Tensor
    core: Rect

    @classmethod
    def of(cls, pixels: np.ndarray, visible: np.ndarray | None, latent: Tensor, core: Rect) -> SearchTarget:
        """From a tile's pixels and the latent (h, w, N) of a larger piece of the picture, in which the tile is `core`."""
        window = core.grow(SEARCH_MARGIN, Rect(0, 0, *latent.shape[:2]))
        mask = None if visible is None else torch.from_numpy(visible.copy())
        return cls(as_tensor(pixels.copy()), mask, latent[None, *window.slices], core.relative_to(window))

    @torch.no_grad()
    def cost(self, latent: Tensor, job: EncodeJob) -> float:
        """The distortion's cost in bits for a latent (1, h, w, N) int32 of the tile, in units of 2**-LATENT_BITS steps."""
        return sum(float(part) for part in self._costs(latent.float() / 2**LATENT_BITS, job))

    def slope(self, y: Tensor, job: EncodeJob) -> Tensor:
        """The gradient of the cost at a latent y (1, h, w, N) of the tile, in steps."""
        y = y.detach().requires_grad_(True)
        # window by window, since the features that a gradient needs take much memory
        return sum(torch.autograd.grad(part, y)[0] for part in self._costs(y, job))  # type: ignore[return-value]

    def _costs(self, y: Tensor, job: EncodeJob) -> Iterator[Tensor]:
        """Yields the cost of each window of the tile."""
        model, quality, bf16 = job.model, job.header.quality, job.encodes_in_bf16
        device = model.device
        compute_dtype = torch.bfloat16 if bf16 else torch.float32
        weight = job.lmbda * job.rdo_weight / RDO_WEIGHT
        height, width, colours = self.pixels.shape
        for _, core in grid(self.core, GRADIENT_WINDOW):
            window = core.grow(SEARCH_MARGIN, Rect(0, 0, *self.around.shape[1:3]))
            shown = self.around.to(device, copy=True)
            shown[:, *self.core.slices] = y
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
                latent = shown[:, *window.slices] / model.gain[quality - 1]
                x = model.synthesis(latent, model.level(quality), compute_dtype, halo=core.margins_in(window))[0]
            place = core.relative_to(self.core).scaled(LATENT_STRIDE) & Rect(0, 0, height, width)
            original = self.pixels[place.slices].to(device).float() / job.header.largest
            x = x[: place.height, : place.width].float() + 0.5
            if colours == 1:
                x = x.mean(-1, keepdim=True)
            if self.visible is not None:
                x = torch.where(self.visible[place.slices].to(device)[..., None], x, original)
            yield DISTORTION_SHARE * distortion_bits(x, original, job.model.objective, weight)


def search_margin(job: EncodeJob) -> int:
    """Pixels around the tiles whose latent the search needs."""
    return SEARCH_MARGIN * LATENT_STRIDE if job.options.searches else 0


def annealed_rounding(temperature: float) -> Rounding:
    """Makes differentiable rounding: from each integer to the next a logistic curve, the steeper the colder."""

    def rounding(x: Tensor, _: Tensor | None = None) -> Tensor:
        below = x.detach().floor()
        return below + torch.sigmoid((x - below - 0.5) * (2 / temperature))

    return rounding


@torch.inference_mode(False)
@torch.enable_grad()
def refine(target: SearchTarget, z: Tensor, job: EncodeJob, schedule: SearchSchedule) -> tuple[Tensor, Tensor]:
    """Refines the latent (1, h, w, N) and the hyper-latent (1, h/4, w/4, Z) of a tile; returns both before rounding.

    `z` is the hyper-latent to start from. Adam (Kingma and Ba, 2015), with a floor under its denominators, lowers rate +
    distortion, weighed as in the training of the quality. The result is the same on the same machine with the
    same number of threads; elsewhere products are rounded otherwise, and it may differ.
    """
    model, quality = job.model, job.header.quality
    level, entropy = model.level(quality), model.entropy
    pixels, iterations = target.pixels[..., 0].numel(), sum(each.iterations for each in SCHEDULES[job.options.effort])
    y, z = (start.to(model.device, copy=True).requires_grad_(True) for start in (target.around[:, *target.core.slices], z))
    hyper = {"params": [z], "lr": schedule.rate * HYPER_SHARE}
    steps = torch.optim.Adam([{"params": [y]}, hyper], lr=schedule.rate, eps=GRADIENT_FLOOR)
    changeable = _changeable(entropy, y, z, level)
    for number in range(schedule.iterations):
        check_cancelled()
        rounding = annealed_rounding(HOT * (COLD / HOT) ** (number / (schedule.iterations - 1)))
        z_hat = rounding(z)
        symbols, mean, log_scale = entropy.passes(y, z_hat, level, rounding)
        bits = model.coder.quantiser.bits(symbols, (log_scale - math.log(SCALE_MIN)) / SCALE_STEP).sum()
        bits = bits + entropy.prior(z_hat, level).sum()
        latent = mean + symbols
        y.grad, z.grad = torch.autograd.grad([bits, latent], [y, z], [torch.ones_like(bits), target.slope(latent, job)])
        y.grad *= changeable
        steps.step()
        job.count(pixels / iterations)
    return y.detach(), z.detach()


@torch.no_grad()
def _changeable(entropy: EntropyModel, y: Tensor, z: Tensor, level: Tensor) -> Tensor:
    """Marks latents that may change by 1, others by 0."""
    _, _, log_scale = entropy.passes(y, z.round(), level, lambda values, _: values.round())
    return (log_scale > math.log(SCALE_MIN) + (FROZEN_INDEX_MAX + 0.5) * SCALE_STEP).float()
