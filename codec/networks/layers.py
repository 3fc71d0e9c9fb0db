"""Layers that the networks share, and changes of scale.

All tensors are channels-last (batch, height, width, channels), so that a 1x1 convolution is one matrix product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(B, H, W, C) to (B, H/factor, W/factor, factor * factor * C), the row within a patch varying slowest."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return x.transpose(2, 3).reshape(b, h // factor, w // factor, factor * factor * c)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """Inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, factor, factor, c // factor**2)
    return x.transpose(2, 3).reshape(b, h * factor, w * factor, c // factor**2)


def interpolate_levels(table: Tensor, level: Tensor) -> Tensor:
    """Rows of `table` (levels, C) at real-valued positions `level` (B,), as (B, 1, 1, C); extrapolates beyond its ends."""
    low = level.floor().clamp(0, len(table) - 2).long()
    fraction = (level - low)[:, None]
    return torch.lerp(table[low], table[low + 1], fraction)[:, None, None, :]


class Pointwise(nn.Linear):
    """1x1 convolution of a channels-last tensor."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        # as a convolution of a batch of rows, torch gives it to oneDNN, which can be twice as fast as its linear layer
        *shape, channels = x.shape
        rows = x.reshape(-1, 1, shape[-1], channels).permute(0, 3, 1, 2)
        out = F.conv2d(rows, self.weight[:, :, None, None], self.bias)
        return out.permute(0, 2, 3, 1).reshape(*shape, -1)


class PixelShuffle(Pointwise):
    """Enlarges a grid of features by one matrix product per position (Shi et al., 2016, arXiv:1609.05158).

    (B, h, w, inputs) to (B, h * factor, w * factor, outputs). `reach` is how many positions to each side of its own an output
    depends on.
    """

    reach = 0

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__(inputs, outputs * factor**2)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(super().forward(x), self.factor)


class Depthwise(nn.Conv2d):
    """3x3 depthwise convolution of a channels-last tensor, zero-padded to keep its size."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        if x.is_cuda and not torch.is_grad_enabled():
            # else cuDNN would take it, round to TF32, and plan anew for every size and thread
            x = x.contiguous()
        return super().forward(x).permute(0, 2, 3, 1)


def asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine, by functions that run seven times faster on a CPU than torch's own."""
    magnitude = x.abs()
    return torch.copysign(torch.log(magnitude + torch.sqrt(magnitude * magnitude + 1)), x)


class EntropyBlock(nn.Module):
    """Residual block: 1x1, ReLU, depthwise 3x3, 1x1; then 1x1, ReLU, 1x1. Starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_in = Pointwise(channels, channels)
        self.depthwise = Depthwise(channels)
        self.mix_out = Pointwise(channels, channels)
        self.up = Pointwise(channels, 2 * channels)
        self.down = Pointwise(2 * channels, channels)
        for last in (self.mix_out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_out(self.depthwise(torch.relu_(self.mix_in(x))))
        return x + self.down(torch.relu_(self.up(x)))
