"""The hyper analysis h_a: from the latent to the hyper-latent. Only the encoder runs it."""

from __future__ import annotations

from torch import Tensor, nn

from .config import Config
from .layers import EntropyBlock, Pointwise, asinh, space_to_depth


class HyperAnalysis(nn.Module):
    """Scaled latent (B, h, w, N), h and w multiples of 4, to the hyper-latent (B, h/4, w/4, Z), not yet rounded."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        n, h, z = config.latent_channels, config.entropy_channels, config.hyper_channels
        self.enter = Pointwise(n, h)
        self.block = EntropyBlock(h)
        self.downsample = Pointwise(4 * h, z)
        self.block_half = EntropyBlock(z)
        self.leave = Pointwise(4 * z, z)

    def forward(self, y: Tensor) -> Tensor:
        x = self.block(self.enter(asinh(y)))
        x = self.block_half(self.downsample(space_to_depth(x, 2)))
        return self.leave(space_to_depth(x, 2)).float()
