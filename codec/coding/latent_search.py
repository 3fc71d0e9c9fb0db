"""Searched symbols: latents refined by gradients through the decoder's own networks, before they are rounded.

Rounding is relaxed to a slope that steepens from iteration to iteration, as in the annealing of Yang, Bamler and Mandt (2020,
arXiv:2006.04240), but without its noise, which takes some ten times as many iterations to average out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..entropy.scale_model import SCALE_MIN, SCALE_STEP
from ..format.geometry import LATENT_STRIDE, Rect, grid
from ..networks.entropy_model import EntropyModel, Rounding
from ..networks.latent_coder import LATENT_BITS
from ..networks.quantisation import DISTORTION_WEIGHT
from ..runtime.threads import check_cancelled
from .settings import Job
from .windowed_transforms import samples


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How symbols are searched: in how many iterations, `rate` the largest step at each, in quantisation steps.

    Temperatures fall from `hot` to `cold`. With `noise` the relaxed rounding is a random choice (Gumbel), which finds more in
    many iterations, and without it much in few. A gradient below `floor`, in bits per step, makes a smaller step.
    """

    iterations: int
    rate: float
    hot: float
    cold: float
    noise: bool
    floor: float


_OWN = {
    3: Schedule(5, 0.03, 0.3, 0.1, False, 1.0),
    4: Schedule(10, 0.02, 0.3, 0.1, False, 1.0),
    5: Schedule(30, 0.01, 0.3, 0.1, False, 1.0),
    **{effort: Schedule(count, 0.01, 0.5, 0.02, True, 1e-8) for effort, count in {6: 100, 7: 200, 8: 400, 9: 1000}.items()},
}
SCHEDULES = {effort: tuple(own for each, own in _OWN.items() if each <= effort) for effort in _OWN}
"""By effort: what is tried, of which the best counts. Below the first nothing is searched.

What lower efforts try is among it, so that none finds less than they. Chance needs some hundreds of iterations to find more
than what goes without it, on pictures full of detail more than on others.
"""
DISTORTION_SHARE = 0.6
"""What errors are worth beside bits, as a share of what they were in training.

So a searched file is about as large as one that is not, and its picture better; the gain hardly depends on it.
"""
MARGIN = 3
"""Positions of the latent around a tile whose influence on its pixels is reckoned with."""
WINDOW = 32
"""Positions of the latent to a side of the pieces in which errors are differentiated."""
HYPER_SHARE = 0.1
"""The hyper-latent's steps, as a share of the latent's."""
ALIVE = 3
"""Scale index up to which a latent keeps its symbol: hardly trained, the networks err on others."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What a tile shall look like.

    `pixels` (H, W, 1 or 3) are the tile's own, `seen` (H, W) says which of them count, None that all do; `around`
    (1, h, w, N) is the latent of the tile and its surroundings, in quantisation steps, `core` the tile's place within it,
    in positions.
    """

    pixels: Tensor
    seen: Tensor | None
    around: Tensor
    core: Rect

    @classmethod
    def of(cls, pixels: np.ndarray, seen: np.ndarray | None, latent: Tensor, core: Rect) -> Target:
        """From a tile's pixels and the latent (h, w, N) of a larger piece of the picture, in which the tile is `core`."""
        window = core.grow(MARGIN, Rect(0, 0, *latent.shape[:2]))
        counting = None if seen is None else torch.from_numpy(seen.copy())
        return cls(samples(pixels.copy()), counting, latent[None, *window.slices], core.relative_to(window))

    @torch.no_grad()
    def cost(self, latent: Tensor, job: Job) -> float:
        """What the errors are worth in bits when the tile's latent (1, h, w, N) int32 is in units of 2**-LATENT_BITS steps."""
        return sum(float(part) for part in self._costs(latent.float() / 2**LATENT_BITS, job))

    def slope(self, y: Tensor, job: Job) -> Tensor:
        """The gradient of the cost where the tile's latent is y (1, h, w, N), in steps."""
        y = y.detach().requires_grad_(True)
        # window by window, since what a gradient needs of the features takes much memory
        return sum(torch.autograd.grad(part, y)[0] for part in self._costs(y, job))  # type: ignore[return-value]

    def _costs(self, y: Tensor, job: Job) -> Iterator[Tensor]:
        """The cost of each window of the tile."""
        model, settings, quality = job.model, job.settings, job.header.quality
        device = model.device
        bf16 = settings.encodes_in_bf16(device)
        compute_dtype = torch.bfloat16 if bf16 else torch.float32
        weight = model.config.rate_weight(model.config.level(quality)) * job.distortion_weight / DISTORTION_WEIGHT
        height, width, colours = self.pixels.shape
        for _, core in grid(self.core, WINDOW):
            window = core.grow(MARGIN, Rect(0, 0, *self.around.shape[1:3]))
            shown = self.around.to(device, copy=True)
            shown[:, *self.core.slices] = y
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
                latent = shown[:, *window.slices] / model.gain[quality - 1]
                x = model.synthesis(latent, model.level(quality), compute_dtype, halo=core.margins_in(window))[0]
            place = core.relative_to(self.core).scaled(LATENT_STRIDE) & Rect(0, 0, height, width)
            wanted = self.pixels[place.slices].to(device).float() / job.header.largest - 0.5
            x = x[: place.height, : place.width].float()
            error = (x.mean(-1, keepdim=True) if colours == 1 else x) - wanted
            squares = error.square().mean(-1)
            if self.seen is not None:
                squares = squares * self.seen[place.slices].to(device)
            yield DISTORTION_SHARE * weight * 255**2 * squares.sum()


def search_margin(job: Job) -> int:
    """Pixels around the tiles of which the search wants to know the latent."""
    return MARGIN * LATENT_STRIDE if job.options.searches else 0


def relaxed(temperature: float) -> Rounding:
    """Rounding made differentiable: from each integer to the next a logistic curve, the steeper the colder."""

    def rounding(x: Tensor, _: Tensor | None = None) -> Tensor:
        below = x.detach().floor()
        return below + torch.sigmoid((x - below - 0.5) * (2 / temperature))

    return rounding


def sampled(temperature: float, noise: torch.Generator) -> Rounding:
    """A differentiable random choice between the integers below and above, the surer the nearer and the colder."""

    def rounding(x: Tensor, _: Tensor | None = None) -> Tensor:
        below = x.detach().floor()
        share = (x - below).clamp(1e-4, 1 - 1e-4)
        preference = (torch.atanh(share) - torch.atanh(1 - share)) / temperature
        # the difference of two Gumbel variables is logistic
        chance = torch.rand(x.shape, generator=noise, dtype=x.dtype, device=x.device).clamp_(1e-6, 1 - 1e-6)
        return below + torch.sigmoid((preference + torch.logit(chance)) / temperature)

    return rounding


@torch.inference_mode(False)
@torch.enable_grad()
def refine(target: Target, z: Tensor, job: Job, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """The latent (1, h, w, N) and the hyper-latent (1, h/4, w/4, Z) of a tile, to be rounded, neither rounded yet.

    `z` is the hyper-latent to start from. They lower rate + lambda * distortion, with the lambda that the quality was trained
    for, by Adam (Kingma and Ba, 2015) with a floor under its denominators. The same on the same machine with the same number
    of threads for its products, by whose rounding others may end elsewhere.
    """
    model, quality = job.model, job.header.quality
    level, entropy = model.level(quality), model.entropy
    pixels, iterations = target.pixels[..., 0].numel(), sum(each.iterations for each in SCHEDULES[job.options.effort])
    y, z = (start.to(model.device, copy=True).requires_grad_(True) for start in (target.around[:, *target.core.slices], z))
    hyper = {"params": [z], "lr": schedule.rate * HYPER_SHARE}
    steps = torch.optim.Adam([{"params": [y]}, hyper], lr=schedule.rate, eps=schedule.floor)
    alive = _alive(entropy, y, z, level)
    noise = torch.Generator(model.device).manual_seed(0)
    for number in range(schedule.iterations):
        check_cancelled()
        temperature = schedule.hot * (schedule.cold / schedule.hot) ** (number / (schedule.iterations - 1))
        rounding = sampled(temperature, noise) if schedule.noise else relaxed(temperature)
        z_hat = rounding(z)
        symbols, mean, log_scale = entropy.passes(y, z_hat, level, rounding)
        bits = model.coder.quantiser.bits(symbols, (log_scale - math.log(SCALE_MIN)) / SCALE_STEP).sum()
        bits = bits + entropy.prior(z_hat, level).sum()
        latent = mean + symbols
        y.grad, z.grad = torch.autograd.grad([bits, latent], [y, z], [torch.ones_like(bits), target.slope(latent, job)])
        y.grad *= alive
        steps.step()
        if job.count_searched:
            job.count_searched(pixels / iterations)
    return y.detach(), z.detach()


@torch.no_grad()
def _alive(entropy: EntropyModel, y: Tensor, z: Tensor, level: Tensor) -> Tensor:
    """Which latents may change, as 1 and 0."""
    _, _, log_scale = entropy.passes(y, z.round(), level, lambda values, _: values.round())
    return (log_scale > math.log(SCALE_MIN) + (ALIVE + 0.5) * SCALE_STEP).float()
