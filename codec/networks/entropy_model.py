"""The entropy model in floating point, as it is trained and as symbols are searched.

A mean-scale hyperprior (Minnen et al., 2018, arXiv:1809.02736) with a two-pass checkerboard context (He et al.,
2021, arXiv:2103.15306) whose phase alternates with the channel. The decoder runs the hyper synthesis and both
passes on integers instead: see `entropy_networks`, whose layers mirror these.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .config import Config
from .entropy_networks import NEIGHBOURS, SCALE_MIN
from .hyper_analysis import EntropyBlock, HyperAnalysis, asinh
from .layers import depth_to_space, interpolate_levels
from .quantisation import DISTORTION_WEIGHT

Rounding = Callable[[Tensor, Tensor], Tensor]
"""Makes symbols of values, given the logarithms of their scales, or stands in for that where gradients are wanted."""
LEAST_MASS = 1e-9
"""Probability below which that of a symbol is not reckoned with."""


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


def add_noise(x: Tensor, noise: torch.Generator) -> Tensor:
    """Adds uniform noise in [-1/2, 1/2): the differentiable stand-in for rounding in the rate."""
    return x + torch.empty_like(x).uniform_(-0.5, 0.5, generator=noise)


def gaussian_bits(magnitude: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of magnitudes of either sign under zero-mean Gaussians (same shape), integrated over unit intervals."""
    scale = LowerBound.apply(log_scale.clamp(-8, 8).exp(), SCALE_MIN)
    mass = torch.special.ndtr((0.5 - magnitude) / scale) - torch.special.ndtr((-0.5 - magnitude) / scale)
    return -torch.log2(LowerBound.apply(mass, LEAST_MASS))


def choose_straight_through(deviation: Tensor, log_scale: Tensor) -> Tensor:
    """The symbols that `Quantiser.rdo_quantise` takes, under Gaussians instead of tables, with the gradient of the identity."""
    with torch.no_grad():
        magnitude = deviation.abs()
        nearest = magnitude.round()
        saved = gaussian_bits(nearest, log_scale) - gaussian_bits(nearest - 1, log_scale)
        smaller = (nearest > 0) & (magnitude - nearest < (saved / DISTORTION_WEIGHT - 1) / 2)
        chosen = (nearest - smaller.to(nearest.dtype)).copysign(deviation)
    return deviation + (chosen - deviation).detach()


def shift(x: Tensor, rows: int, columns: int) -> Tensor:
    """The tensor (B, h, w, C) whose value at (i, j) is x at (i + rows, j + columns), zero outside."""
    _, h, w, _ = x.shape
    out = torch.zeros_like(x)
    out[:, max(0, -rows) : h - max(0, rows), max(0, -columns) : w - max(0, columns)] = x[
        :, max(0, rows) : h - max(0, -rows), max(0, columns) : w - max(0, -columns)
    ]
    return out


class HyperSynthesis(nn.Module):
    """Rounded hyper-latent (B, h/4, w/4, Z) and the quality's bias (B, 1, 1, H) to features (B, h, w, H)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        h, z = config.entropy_channels, config.hyper_channels
        self.enter = nn.Linear(z, 4 * z)
        self.block_half = EntropyBlock(z)
        self.upsample = nn.Linear(z, 4 * h)
        self.block = EntropyBlock(h)

    def forward(self, z: Tensor, bias: Tensor) -> Tensor:
        x = self.block_half(depth_to_space(self.enter(z), 2))
        return self.block(depth_to_space(self.upsample(x), 2) + bias)


def checkerboard(height: int, width: int, channels: int, device: torch.device | str = "cpu") -> Tensor:
    """Mask (height, width, channels) of the latents coded in the first pass: row + column + channel is even."""
    parity = torch.arange(height, device=device)[:, None] + torch.arange(width, device=device)
    return (parity[..., None] + torch.arange(channels, device=device)) % 2 == 0


class EntropyModel(nn.Module):
    """Everything between the latent and its bits: gains, hyperprior, both context passes, likelihoods."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        n, h, z = config.latent_channels, config.entropy_channels, config.hyper_channels
        self.log_gain = nn.Parameter(torch.zeros(config.levels, n))
        self.quality_bias = nn.Parameter(torch.zeros(config.levels, h))
        self.z_mean = nn.Parameter(torch.zeros(z))
        self.z_log_scale = nn.Parameter(torch.zeros(z))
        self.hyper_analysis = HyperAnalysis(config)
        self.hyper_synthesis = HyperSynthesis(config)
        self.first_block = EntropyBlock(h)
        self.first_head = nn.Linear(h, 2 * n)
        self.embed = nn.Linear(n, h)
        self.second_blocks = nn.Sequential(*[EntropyBlock(h) for _ in range(config.context_blocks)])
        self.second_head = nn.Linear(h, 2 * n)
        self.neighbour_weight = nn.Parameter(torch.zeros(len(NEIGHBOURS), config.leading_channels))
        for head in (self.first_head, self.second_head):
            nn.init.zeros_(head.bias)
            with torch.no_grad():
                head.weight.mul_(0.1)

    def forward(
        self, y: Tensor, level: Tensor, noise: torch.Generator | None, choose: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises y (B, h, w, N) and estimates its rate.

        `level` (B,) is each image's position on the gain levels; with a generator, its uniform noise replaces
        rounding in the rate, as training wants. To `choose`, symbols are those that an encoder chooses, not the nearest,
        and scales are fitted to them. Returns the reconstructed latent (B, h, w, N) and the bits of y and of z (B,).
        """
        gain = interpolate_levels(self.log_gain, level).exp()
        y = y * gain
        z = self.hyper_analysis(y)
        z_hat = round_straight_through(z)
        bits_z = self.bits_z(z_hat if noise is None else add_noise(z, noise))
        rounding = choose_straight_through if choose else lambda values, _: round_straight_through(values)
        symbols, mean, log_scale = self.passes(y, z_hat, level, rounding)
        if noise is None:
            bits_y = self._bits_y(symbols, log_scale)
        elif choose:
            # noise tells what a mean gains, but nothing of how often zero is chosen
            moved = self._bits_y(add_noise(y - mean, noise), log_scale.detach())
            bits_y = self._bits_y(symbols.detach(), log_scale) + moved - moved.detach()
        else:
            bits_y = self._bits_y(add_noise(y - mean, noise), log_scale)
        return (mean + symbols) / gain, bits_y, bits_z

    def passes(self, y: Tensor, z_hat: Tensor, level: Tensor, rounding: Rounding) -> tuple[Tensor, Tensor, Tensor]:
        """Both context passes over y (B, h, w, N) in quantisation steps, given the hyper-latent (B, h/4, w/4, Z), h/4 and
        w/4 rounded up: symbols, means and logarithms of the scales, (B, h, w, N) each, in steps."""
        _, h, w, n = y.shape
        features = self.hyper_synthesis(z_hat, interpolate_levels(self.quality_bias, level))[:, :h, :w]
        log_gain = interpolate_levels(self.log_gain, level)
        first = checkerboard(h, w, n, y.device)
        features = self.first_block(features)
        mean, log_scale = self.first_head(features).float().chunk(2, -1)
        log_scale = log_scale + log_gain
        symbols = rounding(y - mean, log_scale) * first
        known = (mean + symbols) * first
        features = self.second_blocks(features + self.embed(asinh(known)))
        mean_second, log_scale_second = self.second_head(features).float().chunk(2, -1)
        mean = torch.where(first, mean, mean_second + self._innovation(symbols))
        log_scale = torch.where(first, log_scale, log_scale_second + log_gain)
        return torch.where(first, symbols, rounding(y - mean, log_scale)), mean, log_scale

    def _innovation(self, symbols: Tensor) -> Tensor:
        """What the leading channels' neighbours differ by from their means, linearly: what a mean gains from it."""
        leading = self.neighbour_weight.shape[1]
        known = symbols[..., :leading]
        total = sum(shift(known, *offset) * weight for offset, weight in zip(NEIGHBOURS, self.neighbour_weight, strict=True))
        return torch.nn.functional.pad(total, (0, symbols.shape[-1] - leading))

    def bits_z(self, z: Tensor) -> Tensor:
        """Bits (B,) of a hyper-latent (B, h, w, Z), rounded or not, under one logistic distribution per channel."""
        scale = self.z_log_scale.exp()
        offset = z - self.z_mean
        mass = torch.sigmoid((offset + 0.5) / scale) - torch.sigmoid((offset - 0.5) / scale)
        return -torch.log2(LowerBound.apply(mass, LEAST_MASS)).sum((1, 2, 3))

    @staticmethod
    def _bits_y(deviation: Tensor, log_scale: Tensor) -> Tensor:
        """Bits (B,) under Gaussians of the given scales, integrated over unit intervals."""
        return gaussian_bits(deviation.abs(), log_scale).sum((1, 2, 3))
