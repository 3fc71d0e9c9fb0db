"""A decoder that enlarges: from the same latent to pictures of a multiple of the size."""

from __future__ import annotations

from torch import Tensor, nn

from .config import (
    FEATURE_LIMIT,
    FEATURE_STRIDE,
    FINE_BLOCKS,
    FINE_CHANNELS,
    FINE_EXPANSION,
    FINE_STRIDE,
    Config,
)
from .layers import PixelShuffle
from .transforms import Synthesis, TransformBlock


class EnlargedSynthesis(Synthesis):
    """Latent (B, h, w, N) in pixel units to pixels (B, 16h * factor, 16w * factor, 3), about [-0.5, 0.5], not clamped.

    It differs from `Synthesis` in its last layer alone.
    """

    def __init__(self, config: Config, factor: int) -> None:
        super().__init__(config)
        self.patch_out = FinePixels(config, factor)


class FinePixels(nn.Module):
    """Features (B, h, w, C) at 1/8 to pixels (B, 8h * factor, 8w * factor, 3).

    Features hold less detail than the larger pixels show. So beside the direct layer, blocks at 1/2 sharpen edges; their
    contribution starts at zero.
    """

    reach = 1

    def __init__(self, config: Config, factor: int) -> None:
        super().__init__()
        self.factor = factor * FEATURE_STRIDE
        self.direct = PixelShuffle(config.channels, 3, self.factor)
        self.enter = PixelShuffle(config.channels, FINE_CHANNELS, FEATURE_STRIDE // FINE_STRIDE)
        blocks = (TransformBlock(FINE_CHANNELS, FINE_EXPANSION, FINE_STRIDE, FEATURE_LIMIT) for _ in range(FINE_BLOCKS))
        self.blocks = nn.Sequential(*blocks)
        self.leave = PixelShuffle(FINE_CHANNELS, 3, factor * FINE_STRIDE)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.direct(x) + self.leave(self.blocks(self.enter(x)))
