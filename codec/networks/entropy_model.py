"""The entropy model: gains, hyperprior, means and scales of the latent.

A mean-scale hyperprior (Minnen et al., 2018, arXiv:1809.02736). Means come from networks: see `means`. Scales, which must
be the same on every machine, come from the rounded hyper-latent and coded symbols by linear maps. `Scales` trains them in
floating point, `entropy.scale_model` computes them on integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..entropy.scale_model import (
    DIAGONALS,
    EDGES,
    HYPER_UPSCALE,
    MAGNITUDES,
    QUADRANTS,
    SCALE_MIN,
    SCALE_STEP,
    SCALES,
    STAGES,
)
from .config import RDO_WEIGHT, Config
from .hyper_analysis import HyperAnalysis
from .layers import interpolate_levels
from .means import Means, anchors, shift, stage_numbers

Rounding = Callable[[Tensor, Tensor], Tensor]
"""Makes symbols of values, given the logarithms of their scales, or stands in for that where gradients are wanted."""
LEAST_MASS = 1e-9
"""Lower bound of the probability of a symbol."""


class LowerBound(torch.autograd.Function):
    """max(x, bound), letting a gradient pass that would raise x (as in CompressAI)."""

    @staticmethod
    def forward(ctx, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * ((x >= ctx.bound) | (grad < 0)), None


def round_straight_through(x: Tensor) -> Tensor:
    """Rounds, with the gradient of the identity."""
    return x + (torch.round(x) - x).detach()


def add_uniform_noise(x: Tensor, noise: torch.Generator) -> Tensor:
    """Adds uniform noise in [-1/2, 1/2): the differentiable stand-in for rounding in the rate."""
    return x + torch.empty_like(x).uniform_(-0.5, 0.5, generator=noise)


def gaussian_bits(magnitude: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of magnitudes of either sign under zero-mean Gaussians (same shape), integrated over unit intervals."""
    scale = LowerBound.apply(log_scale.clamp(-8, 8).exp(), SCALE_MIN)
    mass = torch.special.ndtr((0.5 - magnitude) / scale) - torch.special.ndtr((-0.5 - magnitude) / scale)
    return -torch.log2(LowerBound.apply(mass, LEAST_MASS))


def rdo_straight_through(deviation: Tensor, log_scale: Tensor) -> Tensor:
    """Symbols as of `Quantiser.rdo_quantise`, under Gaussians in place of tables, with the gradient of the identity."""
    with torch.no_grad():
        magnitude = deviation.abs()
        nearest = magnitude.round()
        saved = gaussian_bits(nearest, log_scale) - gaussian_bits(nearest - 1, log_scale)
        smaller = (nearest > 0) & (magnitude - nearest < (saved / RDO_WEIGHT - 1) / 2)
        chosen = (nearest - smaller.to(nearest.dtype)).copysign(deviation)
    return deviation + (chosen - deviation).detach()


class PriorBank(nn.Module):
    """Bank of priors of the hyper-latent: each position names the one that codes it with the fewest bits (PULSE).

    A prior holds an integer mean and a Gaussian's scale for each channel; how often each is named depends on the level.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        k, z = config.priors, config.hyper_channels
        self.mean = nn.Parameter(0.3 * torch.randn(k, z))
        self.log_scale = nn.Parameter(0.2 * torch.randn(k, z))
        self.logits = nn.Parameter(torch.zeros(config.levels, k))

    def costs(self, z: Tensor, level: Tensor) -> Tensor:
        """Bits (B, h, w, K) of naming each prior and of coding a hyper-latent z (B, h, w, Z) under it."""
        deviation = z[..., None, :] - round_straight_through(self.mean)
        bits = gaussian_bits(deviation.abs(), self.log_scale.expand_as(deviation)).sum(-1)
        return bits - interpolate_levels(self.logits, level).log_softmax(-1) / math.log(2)

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        """Bits (B,) of a hyper-latent, rounded or not; where gradients are wanted, averaged over the likely priors."""
        costs = self.costs(z, level)
        if torch.is_grad_enabled():
            share = torch.softmax(-costs.detach() * math.log(2), -1)
            return (costs * share).sum((1, 2, 3))
        return costs.min(-1).values.sum((1, 2))


class Scales(nn.Module):
    """Logarithms of the scales: a linear map of the hyper-latent, corrected by the anchors' magnitudes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        n = config.latent_channels
        self.map = nn.Parameter(0.05 * torch.randn(HYPER_UPSCALE**2 * n, len(QUADRANTS) * config.hyper_channels))
        self.bias = nn.Parameter(torch.zeros(config.levels, n))
        self.own, self.edge, self.diagonal = (nn.Parameter(torch.zeros(n, n)) for _ in range(3))
        magnitudes = 1 + 0.8 * SCALE_MIN * torch.exp(SCALE_STEP * torch.arange(SCALES))
        self.expected = nn.Parameter(magnitudes.log2().clamp(max=math.log2(MAGNITUDES)))

    def forward(self, z_hat: Tensor, level: Tensor, log_gain: Tensor, height: int, width: int) -> Tensor:
        """Logarithms (B, height, width, N) of the scales, in quantisation steps, from the hyper-latent (B, h, w, Z)."""
        around = F.pad(z_hat.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)
        b, h, w, _ = z_hat.shape
        n = self.bias.shape[1]
        weights = self.map.unflatten(0, (2, 2, 2, 2, n)).transpose(1, 2).flatten(0, 1).flatten(1, 3)
        rows = []
        for (row, column), weight in zip(QUADRANTS, weights, strict=True):
            near = [around[:, 1 + i : 1 + i + h, 1 + j : 1 + j + w] for i in (0, row) for j in (0, column)]
            rows.append(F.linear(torch.cat(near, -1), weight).float().reshape(b, h, w, 2, 2, n))
        # quadrants of 2 x 2 positions to 4 x 4
        mapped = torch.stack(rows, 3).reshape(b, h, w, 2, 2, 2, 2, n).permute(0, 1, 3, 5, 2, 4, 6, 7)
        mapped = mapped.reshape(b, h * HYPER_UPSCALE, w * HYPER_UPSCALE, n)[:, :height, :width]
        return mapped + interpolate_levels(self.bias, level) + log_gain

    def corrected(self, log_scale: Tensor, symbols: Tensor) -> Tensor:
        """The log scales (B, h, w, N) after all stages, given all symbols (B, h, w, N): see `entropy.scale_model`."""
        _, h, w, n = symbols.shape
        stages = stage_numbers(h, w, n, symbols.device)
        magnitude = (1 + symbols.detach().abs().round().clamp(max=MAGNITUDES - 1)).log2()
        for stage in range(1, STAGES):
            here = stages == stage
            surprise = (magnitude - self._expected(log_scale)) * (stages < stage)
            correction = F.linear(surprise, self.own)
            for weight, offsets in ((self.edge, EDGES), (self.diagonal, DIAGONALS)):
                around = sum(shift(surprise, *offset) for offset in offsets) / len(offsets)
                correction = correction + F.linear(around * here, weight)
            log_scale = torch.where(here, log_scale + correction.float(), log_scale)
        return log_scale

    def _expected(self, log_scale: Tensor) -> Tensor:
        """Expected logarithms (base 2) of 1 + magnitude, between scale indices by straight lines."""
        index = ((log_scale - math.log(SCALE_MIN)) / SCALE_STEP).clamp(0, SCALES - 1.001)
        low = index.detach().floor().long()
        return torch.lerp(self.expected[low], self.expected[low + 1], index - low)


class EntropyModel(nn.Module):
    """Everything between the latent and its bits: gains, hyper analysis, prior bank, scales and means."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.log_gain = nn.Parameter(torch.zeros(config.levels, config.latent_channels))
        self.hyper_analysis = HyperAnalysis(config)
        self.prior = PriorBank(config)
        self.scales = Scales(config)
        self.means = Means(config)

    def forward(
        self, y: Tensor, level: Tensor, noise: torch.Generator | None, choose: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises y (B, h, w, N) and estimates its rate.

        Args:
            y: the latent, in pixel units.
            level: each image's position (B,) on the gain levels.
            noise: its uniform noise replaces rounding in the rate, as training wants; None rounds.
            choose: takes the symbols that an encoder chooses, not the nearest, and fits the scales to them.

        Returns:
            The reconstructed latent (B, h, w, N), and the bits (B,) of y and of z.
        """
        gain = interpolate_levels(self.log_gain, level).exp()
        y = y * gain
        z = self.hyper_analysis(y)
        z_hat = round_straight_through(z)
        bits_z = self.prior(z_hat if noise is None else add_uniform_noise(z, noise), level)
        rounding = rdo_straight_through if choose else lambda values, _: round_straight_through(values)
        symbols, mean, log_scale = self.passes(y, z_hat, level, rounding)
        if noise is None:
            bits_y = self._bits_y(symbols, log_scale)
        elif choose:
            # noise tells what a mean gains, but nothing of how often zero is chosen
            moved = self._bits_y(add_uniform_noise(y - mean, noise), log_scale.detach())
            bits_y = self._bits_y(symbols.detach(), log_scale) + moved - moved.detach()
        else:
            bits_y = self._bits_y(add_uniform_noise(y - mean, noise), log_scale)
        return (mean + symbols) / gain, bits_y, bits_z

    def passes(self, y: Tensor, z_hat: Tensor, level: Tensor, rounding: Rounding) -> tuple[Tensor, Tensor, Tensor]:
        """Codes y (B, h, w, N), in quantisation steps, given the hyper-latent (B, ⌈h/4⌉, ⌈w/4⌉, Z): anchors, then the others.

        Returns symbols, means and logarithms of the scales, (B, h, w, N) each, in steps.
        """
        _, h, w, n = y.shape
        mask = anchors(h, w, n, y.device)
        log_scale = self.scales(z_hat, level, interpolate_levels(self.log_gain, level), h, w)
        features, mean = self.means.of_anchors(z_hat, level, h, w)
        symbols = rounding(y - mean, log_scale) * mask
        mean = torch.where(mask, mean, self.means.of_others(features, mean, symbols, mask))
        symbols = torch.where(mask, symbols, rounding(y - mean, log_scale))
        return symbols, mean, self.scales.corrected(log_scale, symbols)

    @staticmethod
    def _bits_y(deviation: Tensor, log_scale: Tensor) -> Tensor:
        """Bits (B,) under Gaussians of the given scales, integrated over unit intervals."""
        return gaussian_bits(deviation.abs(), log_scale).sum((1, 2, 3))
