"""Decoders that enlarge, as they are trained: from the latent, and after the decoder by SRCNN, to compare with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.enlarging import EnlargedSynthesis, start_from_synthesis
from .autoencoder import Autoencoder
from .frozen_latent_decoder import FrozenLatentDecoder
from .options import ENLARGED, SRCNN


def shrunk(x: Tensor, factor: int) -> Tensor:
    """Averages over squares of pictures x (B, H, W, 3) in [0, 1], as 8 bits hold them."""
    return (255 * F.avg_pool2d(x.permute(0, 3, 1, 2), factor)).round_().permute(0, 2, 3, 1) / 255


class EnlargingDecoder(FrozenLatentDecoder):
    """A decoder of pictures that are `factor` times larger than what is coded."""

    def __init__(self, model: Autoencoder, factor: int) -> None:
        super().__init__(model, EnlargedSynthesis(model.config, factor))
        self.factor, self.group, self.title = factor, f"{ENLARGED}/{factor}", f"{factor}"
        start_from_synthesis(self.network, model.synthesis)

    def to_code(self, x: Tensor) -> Tensor:
        return shrunk(x, self.factor)


class Srcnn(nn.Module):
    """Enlarged pictures (B, H, W, 3) in [0, 1] to better ones, by convolutions of 9, 1 and 5 pixels.

    Of RGB, with 64 and 32 features (Dong, Loy, He and Tang, 2014, arXiv:1501.00092).
    """

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 64, 9), (64, 32, 1), (32, 3, 5))
        self.layers = nn.ModuleList(nn.Conv2d(*widths, side, padding=side // 2) for *widths, side in sizes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x).permute(0, 2, 3, 1)


def bicubic(x: Tensor, factor: int) -> Tensor:
    """What SRCNN takes: pictures (B, H, W, 3) in [0, 1] enlarged."""
    larger = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=float(factor), mode="bicubic")
    return larger.permute(0, 2, 3, 1).clamp(0, 1)


class SrcnnAfter(FrozenLatentDecoder):
    """SRCNN on what the model's own decoder gives, in 8 bits, enlarged."""

    def __init__(self, model: Autoencoder, factor: int) -> None:
        super().__init__(model, Srcnn())
        self.factor, self.group, self.title = factor, f"{SRCNN}/{factor}", f"{factor} by SRCNN"

    def to_code(self, x: Tensor) -> Tensor:
        return shrunk(x, self.factor)

    def decoded(self, y: Tensor, level: Tensor, compute_dtype: torch.dtype) -> Tensor:
        with torch.no_grad():
            shown = self._frozen[0].synthesis(y, level, compute_dtype).float() + 0.5
            shown = (255 * shown).round_().clamp_(0, 255) / 255
        return self.network(bicubic(shown, self.factor))


ENLARGERS = {ENLARGED: EnlargingDecoder, SRCNN: SrcnnAfter}
"""By the name that `--enlarge-by` has."""
