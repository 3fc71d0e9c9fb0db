"""A decoder that enlarges: from the same latent to pictures of a multiple of the size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CaeError
from .config import FEATURE_STRIDE, Config
from .layers import depth_to_space, space_to_depth
from .transforms import FEATURE_LIMIT, Synthesis, TransformBlock
from .upsampling import PixelShuffle, upsampler

FINE_STRIDE = 2
"""Pixels of what was coded to a position of the fine features."""
FINE_CHANNELS = 32
FINE_BLOCKS = 3
FINE_EXPANSION = 2


class EnlargedSynthesis(Synthesis):
    """Latent (B, h, w, N) in pixel units to pixels (B, 16h * factor, 16w * factor, 3), about [-0.5, 0.5], not clamped.

    It differs from `Synthesis` in its last layer alone.
    """

    def __init__(self, config: Config, factor: int) -> None:
        super().__init__(config)
        self.patch_out = FinePixels(config, factor)


class FinePixels(nn.Module):
    """Features (B, h, w, C) at 1/8 to pixels (B, 8h * factor, 8w * factor, 3), as a layer of `upsampling` does it.

    What detail a position has is more than its features hold as they are; beside the way straight to pixels, blocks at 1/2
    make it of what they say of edges. They start as nothing.
    """

    reach = 1
    input_stride = FEATURE_STRIDE

    def __init__(self, config: Config, factor: int) -> None:
        super().__init__()
        self.factor = factor * FEATURE_STRIDE
        self.direct = upsampler(config, config.channels, 3, self.factor, FEATURE_STRIDE)
        self.enter = PixelShuffle(config.channels, FINE_CHANNELS, FEATURE_STRIDE // FINE_STRIDE, FEATURE_STRIDE)
        blocks = (TransformBlock(FINE_CHANNELS, FINE_EXPANSION, FINE_STRIDE, FEATURE_LIMIT) for _ in range(FINE_BLOCKS))
        self.blocks = nn.Sequential(*blocks)
        self.leave = PixelShuffle(FINE_CHANNELS, 3, factor * FINE_STRIDE, FINE_STRIDE)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.direct(x) + self.leave(self.blocks(self.enter(x)))


@torch.no_grad()
def start_from_synthesis(network: EnlargedSynthesis, synthesis: Synthesis) -> None:
    """Sets an enlarging decoder to the synthesis with each position's pixels enlarged after it, bicubic.

    CaeError where the synthesis has another last layer than one by pixel-shuffle.
    """
    before, after = synthesis.patch_out, network.patch_out.direct
    if not isinstance(before, PixelShuffle) or not isinstance(after, PixelShuffle):
        raise CaeError("a decoder that enlarges starts from one by pixel-shuffle; these weights have another")
    kept = {name: value for name, value in synthesis.state_dict().items() if not name.startswith("patch_out.")}
    network.load_state_dict(kept, strict=False)
    # a column of weights is what one feature adds to the pixels of its position
    columns = torch.cat([before.weight.T, before.bias[None]])[:, None, None]
    patches = depth_to_space(columns, before.factor).permute(0, 3, 1, 2)
    larger = F.interpolate(patches, (after.factor, after.factor), mode="bicubic").permute(0, 2, 3, 1)
    values = space_to_depth(larger, after.factor).flatten(1)
    after.weight.copy_(values[:-1].T)
    after.bias.copy_(values[-1])
