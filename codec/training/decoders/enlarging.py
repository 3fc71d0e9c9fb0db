"""A decoder whose pictures are larger than what is coded, as it is trained."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ...networks.enlarging import EnlargedSynthesis
from ...networks.parts import ENLARGED
from ..autoencoder import Autoencoder
from ..initialisation import initialise_enlarged
from .frozen_latent import FrozenLatentDecoder


def average_rounded(x: Tensor, factor: int) -> Tensor:
    """Averages pictures x (B, H, W, 3) in [0, 1] over squares, rounded to 8 bits."""
    return (255 * F.avg_pool2d(x.permute(0, 3, 1, 2), factor)).round_().permute(0, 2, 3, 1) / 255


class EnlargingDecoder(FrozenLatentDecoder):
    """A decoder whose pictures are `factor` times larger than what is coded."""

    def __init__(self, model: Autoencoder, factor: int) -> None:
        super().__init__(model, EnlargedSynthesis(model.config, factor))
        self.factor, self.group, self.title = factor, f"{ENLARGED}/{factor}", f"{factor}"
        initialise_enlarged(self.network, model.synthesis)

    def coded_picture(self, x: Tensor) -> Tensor:
        return average_rounded(x, self.factor)
