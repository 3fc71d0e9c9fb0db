"""Small decoders: from the same latent to pictures of a half, a quarter or an eighth of the size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..format.geometry import LATENT_STRIDE
from .config import Config
from .layers import Pointwise, depth_to_space, interpolate_levels, space_to_depth
from .transforms import FEATURE_LIMIT, Halo, Synthesis, TransformBlock, apply_blocks, crop


class ReducedSynthesis(nn.Module):
    """Latent (B, h, w, N) in pixel units to pixels (B, 16h/factor, 16w/factor, 3), about [-0.5, 0.5], not clamped.

    All blocks are at 1/16 of the size; their result is the reduced pixels of a position, three values each.
    """

    def __init__(self, config: Config, factor: int) -> None:
        super().__init__()
        self.side = LATENT_STRIDE // factor
        # no fewer features than values of a position: what has no feature of its own is lost
        c = max(config.channels, 3 * self.side**2)
        self.from_latent = Pointwise(config.latent_channels, c)
        self.log_feature_gain = nn.Parameter(torch.zeros(config.levels, c))
        blocks = (TransformBlock(c, 2, LATENT_STRIDE, FEATURE_LIMIT) for _ in range(config.reduced_blocks))
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


@torch.no_grad()
def start_from_synthesis(network: ReducedSynthesis, synthesis: Synthesis, level: Tensor) -> None:
    """Sets a small decoder to the synthesis' linear layers, at a gain level (1,), and areas' averages after them.

    Their product has the best approximation of its rank by its largest singular values; channels beyond it are left as
    they are on their way in, and count nothing on their way out.
    """
    latents = torch.cat([torch.eye(network.from_latent.in_features), torch.zeros(1, network.from_latent.in_features)])
    latents = latents[:, None, None]
    if len(synthesis.wide_blocks):
        latents = latents * interpolate_levels(synthesis.log_wide_gain, level).exp()
    patch = synthesis.patch_out(synthesis.from_latent(latents) * interpolate_levels(synthesis.log_feature_gain, level).exp())
    factor = LATENT_STRIDE // network.side
    reduced = patch.unflatten(1, (network.side, factor)).unflatten(3, (network.side, factor)).mean((2, 4))
    values = space_to_depth(reduced, network.side).flatten(1)
    product = (values[:-1] - values[-1]).T
    left, sizes, right = torch.linalg.svd(product, full_matrices=False)
    count = min(len(sizes), network.from_latent.out_features)
    roots = sizes[:count].sqrt()
    network.from_latent.weight[:count] = roots[:, None] * right[:count]
    network.from_latent.bias.zero_()
    network.patch_out.weight.zero_()
    network.patch_out.weight[:, :count] = left[:, :count] * roots
    network.patch_out.bias.copy_(values[-1])
