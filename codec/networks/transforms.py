"""Analysis and synthesis transforms: pixels to latent and back, at 1/16 scale.

All tensors are channels-last (batch, height, width, channels), so that a 1x1 convolution is one matrix
product. The way of scaling by 8 at once and working at that scale alone follows DCVC-RT (Jia et al., 2025,
arXiv:2502.20762).
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..format.geometry import LATENT_STRIDE
from .config import FEATURE_LIMIT, FEATURE_STRIDE, WIDE_LIMIT, Config
from .halos import Halo, shrink
from .layers import Depthwise, PixelShuffle, Pointwise, interpolate_levels, space_to_depth

SLICE_ROWS = 16
"""Rows of features that a feed-forward takes at a time on a CPU, so that they stay in the cache."""
PATCH_VALUES = 3 * FEATURE_STRIDE**2


class TransformBlock(nn.Module):
    """Residual block: 1x1, depthwise, 1x1; then a gated 1x1 feed-forward. Starts as the identity.

    `stride` is the pixels per position of its features, `limit` bounds them. With weights in bfloat16 the residual stream
    keeps its type.
    """

    def __init__(self, channels: int, expansion: int, stride: int, limit: float) -> None:
        super().__init__()
        self.stride, self.limit = stride, limit
        self.mix_in = Pointwise(channels, channels)
        self.depthwise = Depthwise(channels)
        self.mix_out = Pointwise(channels, channels)
        self.up = Pointwise(channels, 2 * expansion * channels)
        self.down = Pointwise(expansion * channels, channels)
        for last in (self.mix_out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @property
    def reach(self) -> int:
        """Positions to each side that a result depends on."""
        return self.depthwise.kernel_size[0] // 2

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_out(self.depthwise(F.leaky_relu_(self.mix_in(self._as_weights(x)), 0.1))).to(x.dtype)
        if torch.is_grad_enabled():
            return (x + self._feed_forward(x)).clamp(-self.limit, self.limit)
        # slice by slice and in place the hidden features stay in a CPU's cache: a fifth faster
        slices = max(1, x.shape[1] // SLICE_ROWS) if x.device.type == "cpu" else 1
        for rows in x.tensor_split(slices, dim=1):
            rows += self._feed_forward(self._as_weights(rows)).to(x.dtype)
            rows.clamp_(-self.limit, self.limit)
        return x

    def _as_weights(self, x: Tensor) -> Tensor:
        return x.bfloat16() if self.up.weight.dtype == torch.bfloat16 else x

    def _feed_forward(self, x: Tensor) -> Tensor:
        value, gate = self.up(x).chunk(2, -1)
        if torch.is_grad_enabled():
            return self.down(value * F.hardsigmoid(gate))
        return self.down(value.mul_(F.hardsigmoid(gate, inplace=True)))


def receptive_field(network: nn.Module) -> int:
    """Pixels to each side of a latent position's that reach it through a transform, in whole latent positions' worth."""
    reach = sum(block.stride * block.reach for block in network.modules() if isinstance(block, TransformBlock))
    return -(-reach // LATENT_STRIDE) * LATENT_STRIDE


def crop(x: Tensor, sides: Halo) -> Tensor:
    """Leaves sides away."""
    top, left, bottom, right = sides
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def apply_blocks(blocks: nn.Sequential, x: Tensor, halo: Halo, later: int = 0) -> tuple[Tensor, Halo]:
    """Runs the blocks and leaves the halo away but for the `later` positions that following blocks reach.

    Each block needs less of it, so it shrinks on the way, see `shrink`.
    """
    first, sides, left = shrink(halo, sum(block.reach for block in blocks), later)
    x = crop(x, first)
    for block in blocks:
        x = crop(block(x), [block.reach * shrinks for shrinks in sides])
    return x, left


def upsample(layer: nn.Module, x: Tensor, halo: Halo, later: int = 0) -> tuple[Tensor, Halo]:
    """As `apply_blocks`, for a layer with a `reach` that enlarges by its `factor`.

    `halo` and `later` count in positions before it, the halo that is left in positions after it.
    """
    first, sides, left = shrink(halo, layer.reach, later)
    x = crop(layer(crop(x, first)), [layer.factor * layer.reach * shrinks for shrinks in sides])
    return x, [layer.factor * side for side in left]


class Analysis(nn.Module):
    """Pixels (B, H, W, 3) in [-0.5, 0.5], H and W multiples of 16, to the latent (B, H/16, W/16, N) in pixel units.

    Blocks of narrow features at 1/8, then blocks of wide ones at 1/16.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        c, n = config.channels, config.latent_channels
        self.patch_in = Pointwise(PATCH_VALUES, c)
        self.log_feature_gain = nn.Parameter(torch.zeros(config.levels, c))
        self.blocks = narrow_blocks(config, config.analysis_blocks, 2)
        self.to_latent = Pointwise(4 * c, n)
        self.wide_blocks = wide_blocks(config, config.analysis_wide_blocks, config.analysis_wide_expansion)
        if len(self.wide_blocks):
            self.log_wide_gain = nn.Parameter(torch.zeros(config.levels, n))

    def forward(
        self, x: Tensor, level: Tensor, compute_dtype: torch.dtype = torch.float32, halo: Halo = (0, 0, 0, 0)
    ) -> Tensor:
        """`compute_dtype` is the type of the residual stream; the first and last products keep the input's.

        The result is without `halo`, in positions of the latent.
        """
        later = sum(block.reach for block in self.wide_blocks)
        f, halo = self._narrow(x, level, compute_dtype, halo, 2 * later)
        halo = tuple(side // 2 for side in halo)
        with torch.autocast(x.device.type, enabled=False):
            y = self.to_latent(space_to_depth(f, 2).to(x.dtype))
        if len(self.wide_blocks):
            f, halo = apply_blocks(self.wide_blocks, y, halo)
            y = f * interpolate_levels(self.log_wide_gain, level).exp()
        return crop(y, halo)

    def features(
        self, x: Tensor, level: Tensor, compute_dtype: torch.dtype = torch.float32, halo: Halo = (0, 0, 0, 0)
    ) -> Tensor:
        """Returns the features of the latent: (B, H/8, W/8, C), without `halo`, which counts in positions of the latent."""
        return crop(*self._narrow(x, level, compute_dtype, halo, 0))

    def _narrow(self, x: Tensor, level: Tensor, compute_dtype: torch.dtype, halo: Halo, later: int) -> tuple[Tensor, Halo]:
        """The blocks at 1/8; `later` and the halo that is left count in their positions."""
        with torch.autocast(x.device.type, enabled=False):
            f = self.patch_in(space_to_depth(x, FEATURE_STRIDE)) * interpolate_levels(self.log_feature_gain, level).exp()
        return apply_blocks(self.blocks, f.to(compute_dtype), tuple(2 * side for side in halo), later)


class Synthesis(nn.Module):
    """Latent (B, h, w, N) in pixel units to pixels (B, 16h, 16w, 3), about [-0.5, 0.5], not clamped.

    Blocks of wide features at 1/16, then blocks of narrow ones at 1/8.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        c, n = config.channels, config.latent_channels
        self.wide_blocks = wide_blocks(config, config.synthesis_wide_blocks, config.synthesis_wide_expansion)
        if len(self.wide_blocks):
            self.log_wide_gain = nn.Parameter(torch.zeros(config.levels, n))
        self.from_latent = PixelShuffle(n, c, 2)
        self.log_feature_gain = nn.Parameter(torch.zeros(config.levels, c))
        self.blocks = narrow_blocks(config, config.synthesis_blocks, config.synthesis_expansion)
        self.patch_out = PixelShuffle(c, 3, FEATURE_STRIDE)

    def forward(
        self, y: Tensor, level: Tensor, compute_dtype: torch.dtype = torch.float32, halo: Halo = (0, 0, 0, 0)
    ) -> Tensor:
        """`compute_dtype` is the type of the residual stream; the first and last products keep the input's.

        The result is without `halo`, in positions of the latent.
        """
        last = self.patch_out.reach
        later = -(-(last + sum(block.reach for block in self.blocks)) // 2)
        dtype = y.dtype
        if len(self.wide_blocks):
            f = y * interpolate_levels(self.log_wide_gain, level).exp()
            y, halo = apply_blocks(self.wide_blocks, f, halo, later)
        with torch.autocast(y.device.type, enabled=False):
            f, halo = upsample(self.from_latent, y, halo, later)
            f = f * interpolate_levels(self.log_feature_gain, level).exp()
        f, halo = apply_blocks(self.blocks, f.to(compute_dtype), halo, last)
        with torch.autocast(y.device.type, enabled=False):
            pixels, halo = upsample(self.patch_out, f.to(dtype), halo)
            return crop(pixels, halo)


def with_bf16_products(synthesis: Synthesis) -> Synthesis:
    """A copy whose narrow blocks have their weights in bfloat16, all but the last, whose errors nothing smooths."""
    faster = copy.deepcopy(synthesis)
    faster.blocks[:-1].to(torch.bfloat16)
    return faster


def with_first_blocks(network: nn.Module) -> nn.Module:
    """The same layers with only one block of each width."""
    short = copy.copy(network)
    short._modules = {name: part[:1] if isinstance(part, nn.Sequential) else part for name, part in network._modules.items()}
    return short


def narrow_blocks(config: Config, count: int, expansion: int) -> nn.Sequential:
    """Blocks of features at 1/8."""
    return nn.Sequential(*[TransformBlock(config.channels, expansion, FEATURE_STRIDE, FEATURE_LIMIT) for _ in range(count)])


def wide_blocks(config: Config, count: int, expansion: int) -> nn.Sequential:
    """Blocks of features at 1/16."""
    n = config.latent_channels
    return nn.Sequential(*[TransformBlock(n, expansion, LATENT_STRIDE, WIDE_LIMIT) for _ in range(count)])
