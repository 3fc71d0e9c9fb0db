"""The hyper analysis: the one of the entropy networks that only the encoder runs, in floating point."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import Config
from .layers import Depthwise, space_to_depth


def asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine, by functions that run seven times faster on a CPU than torch's own."""
    magnitude = x.abs()
    return torch.copysign(torch.log(magnitude + torch.sqrt(magnitude * magnitude + 1)), x)


class EntropyBlock(nn.Module):
    """Residual block: 1x1, ReLU, depthwise 3x3, 1x1; then 1x1, ReLU, 1x1. Starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_in = nn.Linear(channels, channels)
        self.depthwise = Depthwise(channels)
        self.mix_out = nn.Linear(channels, channels)
        self.up = nn.Linear(channels, 2 * channels)
        self.down = nn.Linear(2 * channels, channels)
        for last in (self.mix_out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_out(self.depthwise(torch.relu(self.mix_in(x))))
        return x + self.down(torch.relu(self.up(x)))


class HyperAnalysis(nn.Module):
    """Scaled latent (B, h, w, N), h and w multiples of 4, to the hyper-latent (B, h/4, w/4, Z), not yet rounded."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        n, h, z = config.latent_channels, config.entropy_channels, config.hyper_channels
        self.enter = nn.Linear(n, h)
        self.block = EntropyBlock(h)
        self.downsample = nn.Linear(4 * h, z)
        self.block_half = EntropyBlock(z)
        self.leave = nn.Linear(4 * z, z)

    def forward(self, y: Tensor) -> Tensor:
        x = self.block(self.enter(asinh(y)))
        x = self.block_half(self.downsample(space_to_depth(x, 2)))
        return self.leave(space_to_depth(x, 2)).float()
