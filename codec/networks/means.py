"""Means of the latent: from the hyper-latent, and for half of the positions from what is coded around them.

The context is a checkerboard of two passes (He et al., 2021, arXiv:2103.15306) whose phase alternates with the channel:
anchors, then the others. Symbols do not depend on it, so floating point will do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..entropy.scale_model import EDGES, STAGES, stage_of
from .config import Config
from .layers import EntropyBlock, Pointwise, asinh, depth_to_space, interpolate_levels


def shift(x: Tensor, rows: int, columns: int) -> Tensor:
    """The tensor (B, h, w, C) whose value at (i, j) is x at (i + rows, j + columns), zero outside."""
    _, h, w, _ = x.shape
    padded = F.pad(x, (0, 0, max(0, -columns), max(0, columns), max(0, -rows), max(0, rows)))
    top, left = max(0, rows), max(0, columns)
    return padded[:, top : top + h, left : left + w]


def stage_numbers(height: int, width: int, channels: int, device: torch.device | str = "cpu") -> Tensor:
    """The stage (height, width, channels) in which each latent is coded."""
    rows, columns, channel = (torch.arange(side, device=device) for side in (2, 2, channels))
    pattern = stage_of(rows[:, None, None], columns[:, None], channel).to(torch.uint8)
    return pattern.repeat(-(-height // 2), -(-width // 2), 1)[:height, :width]


def anchors(height: int, width: int, channels: int, device: torch.device | str = "cpu") -> Tensor:
    """Mask (height, width, channels) of the anchors: row + column + channel is even."""
    return stage_numbers(height, width, channels, device) < STAGES // 2


class HyperSynthesis(nn.Module):
    """Rounded hyper-latent (B, h/4, w/4, Z) and the quality's bias (B, 1, 1, H) to features (B, h, w, H)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        h, z = config.entropy_channels, config.hyper_channels
        self.enter = Pointwise(z, 4 * z)
        self.block_half = EntropyBlock(z)
        self.upsample = Pointwise(z, 4 * h)
        self.block = EntropyBlock(h)

    def forward(self, z: Tensor, bias: Tensor) -> Tensor:
        x = self.block_half(depth_to_space(self.enter(z), 2))
        return self.block(depth_to_space(self.upsample(x), 2) + bias)


class Means(nn.Module):
    """Means of the latent, in quantisation steps: of the anchors from the hyper-latent, of the others from these as well."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        n, h = config.latent_channels, config.entropy_channels
        self.quality_bias = nn.Parameter(torch.zeros(config.levels, h))
        self.hyper_synthesis = HyperSynthesis(config)
        self.anchor_block = EntropyBlock(h)
        self.anchor_head = Pointwise(h, n)
        self.embed = Pointwise(n, h)
        self.context_blocks = nn.Sequential(*[EntropyBlock(h) for _ in range(config.context_blocks)])
        self.context_head = Pointwise(h, n)
        self.neighbour_weight = nn.Parameter(torch.zeros(len(EDGES), config.leading_channels))
        for head in (self.anchor_head, self.context_head):
            nn.init.zeros_(head.bias)
            with torch.no_grad():
                head.weight.mul_(0.1)

    def of_anchors(self, z_hat: Tensor, level: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Features (B, height, width, H), and means (B, height, width, N) that hold for the anchors."""
        bias = interpolate_levels(self.quality_bias, level)
        features = self.anchor_block(self.hyper_synthesis(z_hat, bias)[:, :height, :width])
        return features, self.anchor_head(features).float()

    def of_others(self, features: Tensor, mean: Tensor, symbols: Tensor, mask: Tensor) -> Tensor:
        """Means (B, h, w, N) that hold for the non-anchors, given the anchors' means and symbols."""
        anchors = (mean + symbols) * mask
        mean = self.context_head(self.context_blocks(features + self.embed(asinh(anchors)))).float()
        leading = self.neighbour_weight.shape[1]
        mean[..., :leading] += self._innovation((symbols * mask)[..., :leading])
        return mean

    def _innovation(self, symbols: Tensor) -> Tensor:
        """Returns what the leading channels' means gain from their neighbours' symbols, linearly."""
        return sum(shift(symbols, *offset) * weight for offset, weight in zip(EDGES, self.neighbour_weight, strict=True))
