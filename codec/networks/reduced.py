"""Small decoders: from the latent of the full size to pictures of a half, a quarter or an eighth of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..format.geometry import LATENT_STRIDE
from .config import FEATURE_LIMIT, REDUCED_EXPANSION, Config
from .halos import Halo
from .layers import Pointwise, depth_to_space, interpolate_levels
from .transforms import TransformBlock, apply_blocks, crop


class ReducedSynthesis(nn.Module):
    """Latent (B, h, w, N) in pixel units to pixels (B, 16h/factor, 16w/factor, 3), about [-0.5, 0.5], not clamped.

    All blocks work at 1/16 of the full size. The last layer turns each position's features into its reduced pixels.
    """

    def __init__(self, config: Config, factor: int) -> None:
        super().__init__()
        self.side = LATENT_STRIDE // factor
        c = config.reduced_channels(self.side)
        self.from_latent = Pointwise(config.latent_channels, c)
        self.log_feature_gain = nn.Parameter(torch.zeros(config.levels, c))
        blocks = (TransformBlock(c, REDUCED_EXPANSION, LATENT_STRIDE, FEATURE_LIMIT) for _ in range(config.reduced_blocks))
        self.blocks = nn.Sequential(*blocks)
        self.patch_out = Pointwise(c, 3 * self.side**2)

    def forward(
        self, y: Tensor, level: Tensor, compute_dtype: torch.dtype = torch.float32, halo: Halo = (0, 0, 0, 0)
    ) -> Tensor:
        """As that of `Synthesis`."""
        with torch.autocast(y.device.type, enabled=False):
            f = self.from_latent(y) * interpolate_levels(self.log_feature_gain, level).exp()
        f, halo = apply_blocks(self.blocks, f.to(compute_dtype), halo)
        with torch.autocast(y.device.type, enabled=False):
            return depth_to_space(self.patch_out(crop(f, halo).to(y.dtype)), self.side)
