"""Analysis and synthesis transforms: pixels to latent and back, at 1/16 scale.

All tensors are channels-last (batch, height, width, channels), so that a 1x1 convolution is one matrix
product. The way of scaling by 8 at once and working at that scale alone follows DCVC-RT (Jia et al., 2025,
arXiv:2502.20762).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import FEATURE_STRIDE, Config
from .layers import Depthwise, Pointwise, depth_to_space, interpolate_levels, space_to_depth

SLICE_ROWS = 16
"""Rows of features that a feed-forward takes at a time on a CPU, so that they stay in the cache."""
FEATURE_LIMIT = 20.0
"""Bound of the features after each block: photographs stay within 13, but noise can grow without end from block to block."""
PATCH_VALUES = 3 * FEATURE_STRIDE**2


class TransformBlock(nn.Module):
    """Residual block: 1x1, depthwise 3x3, 1x1; then a gated 1x1 feed-forward. Starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_in = Pointwise(channels, channels)
        self.depthwise = Depthwise(channels)
        self.mix_out = Pointwise(channels, channels)
        self.up = Pointwise(channels, 4 * channels)
        self.down = Pointwise(2 * channels, channels)
        for last in (self.mix_out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_out(self.depthwise(F.leaky_relu(self.mix_in(x), 0.1)))
        if torch.is_grad_enabled():
            return (x + self._feed_forward(x)).clamp(-FEATURE_LIMIT, FEATURE_LIMIT)
        # slice by slice and in place the hidden features stay in a CPU's cache: a fifth faster
        slices = max(1, x.shape[1] // SLICE_ROWS) if x.device.type == "cpu" else 1
        for rows in x.tensor_split(slices, dim=1):
            rows += self._feed_forward(rows)
            rows.clamp_(-FEATURE_LIMIT, FEATURE_LIMIT)
        return x

    def _feed_forward(self, x: Tensor) -> Tensor:
        value, gate = self.up(x).chunk(2, -1)
        return self.down(value * F.hardsigmoid(gate))


Halo = Sequence[int]
"""Positions at the top, left, bottom and right of a window that are there for the receptive field alone."""


def _crop(x: Tensor, sides: Halo) -> Tensor:
    top, left, bottom, right = sides
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def _apply_blocks(blocks: nn.Sequential, x: Tensor, halo: Halo) -> Tensor:
    """Runs the blocks and leaves the halo away: each block needs one position less of it, so it shrinks on the way.

    Where a side's halo is narrower than the blocks' reach, the picture ends there, and all of it counts to the end.
    """
    reach = len(blocks)
    shrinking = tuple(side if side >= reach else 0 for side in halo)
    x = _crop(x, tuple(max(0, side - reach) for side in shrinking))
    for block in blocks:
        x = _crop(block(x), tuple(int(side > 0) for side in shrinking))
    return _crop(x, tuple(0 if gone else side for side, gone in zip(halo, shrinking, strict=True)))


class Analysis(nn.Module):
    """Pixels (B, H, W, 3) in [-0.5, 0.5], H and W multiples of 16, to the latent (B, H/16, W/16, N) in pixel units."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config.channels
        self.patch_in = Pointwise(PATCH_VALUES, c)
        self.log_feature_gain = nn.Parameter(torch.zeros(config.levels, c))
        self.blocks = nn.Sequential(*[TransformBlock(c) for _ in range(config.analysis_blocks)])
        self.to_latent = Pointwise(4 * c, config.latent_channels)

    def forward(self, x: Tensor, level: Tensor, stream: torch.dtype = torch.float32, halo: Halo = (0, 0, 0, 0)) -> Tensor:
        """`stream` is the type of the residual stream; the first and last products keep the input's.

        The result leaves `halo` away, which counts in positions of the latent.
        """
        with torch.autocast(x.device.type, enabled=False):
            f = self.patch_in(space_to_depth(x, FEATURE_STRIDE)) * interpolate_levels(self.log_feature_gain, level).exp()
        f = _apply_blocks(self.blocks, f.to(stream), tuple(2 * side for side in halo))
        with torch.autocast(x.device.type, enabled=False):
            return self.to_latent(space_to_depth(f, 2).to(x.dtype))


class Synthesis(nn.Module):
    """Latent (B, h, w, N) in pixel units to pixels (B, 16h, 16w, 3), about [-0.5, 0.5], not clamped."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config.channels
        self.from_latent = Pointwise(config.latent_channels, 4 * c)
        self.log_feature_gain = nn.Parameter(torch.zeros(config.levels, c))
        self.blocks = nn.Sequential(*[TransformBlock(c) for _ in range(config.synthesis_blocks)])
        self.patch_out = Pointwise(c, PATCH_VALUES)

    def forward(self, y: Tensor, level: Tensor, stream: torch.dtype = torch.float32, halo: Halo = (0, 0, 0, 0)) -> Tensor:
        """`stream` is the type of the residual stream; the first and last products keep the input's.

        The result leaves `halo` away, which counts in positions of the latent.
        """
        with torch.autocast(y.device.type, enabled=False):
            f = depth_to_space(self.from_latent(y), 2) * interpolate_levels(self.log_feature_gain, level).exp()
        f = _apply_blocks(self.blocks, f.to(stream), tuple(2 * side for side in halo))
        with torch.autocast(y.device.type, enabled=False):
            return depth_to_space(self.patch_out(f.to(y.dtype)), FEATURE_STRIDE)
