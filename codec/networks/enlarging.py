"""A decoder that enlarges: from the same latent to pictures of a multiple of the size."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..errors import CaeError
from .config import FEATURE_STRIDE, Config
from .layers import depth_to_space, space_to_depth
from .transforms import Synthesis
from .upsampling import PixelShuffle, upsampler


class EnlargedSynthesis(Synthesis):
    """Latent (B, h, w, N) in pixel units to pixels (B, 16h * factor, 16w * factor, 3), about [-0.5, 0.5], not clamped.

    It differs from `Synthesis` in its last layer alone.
    """

    def __init__(self, config: Config, factor: int) -> None:
        super().__init__(config)
        self.patch_out = upsampler(config, config.channels, 3, factor * FEATURE_STRIDE, FEATURE_STRIDE)


@torch.no_grad()
def start_from_synthesis(network: EnlargedSynthesis, synthesis: Synthesis) -> None:
    """Sets an enlarging decoder to the synthesis with each position's pixels enlarged after it, bicubic.

    CaeError where the synthesis has another last layer than one by pixel-shuffle.
    """
    before, after = synthesis.patch_out, network.patch_out
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
