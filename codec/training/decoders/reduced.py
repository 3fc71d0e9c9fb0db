"""A decoder of a reduced size, as it is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from ...networks.parts import REDUCED
from ...networks.reduced import ReducedSynthesis
from ...options import QUALITIES
from ..autoencoder import Autoencoder
from ..initialisation import initialise_reduced
from .frozen_latent import FrozenLatentDecoder


class ReducedDecoder(FrozenLatentDecoder):
    """A small decoder whose pictures are `factor` times smaller.

    It learns from the pictures of the model's own decoder, which say more about a latent than the photograph behind it.
    """

    def __init__(self, model: Autoencoder, factor: int) -> None:
        super().__init__(model, ReducedSynthesis(model.config, factor))
        self.reduction, self.group, self.title = factor, f"{REDUCED}/{factor}", f"1/{factor}"
        middle = torch.tensor([model.config.level(sum(QUALITIES) / len(QUALITIES))])
        initialise_reduced(self.network, model.synthesis, middle)

    @torch.no_grad()
    def decode_whole(self, y: Tensor, level: Tensor, compute_dtype: torch.dtype) -> Tensor:
        """Decodes the latent y to pictures (B, H, W, 3) in [0, 1] of the full size, by the model's own decoder."""
        return (self._frozen[0].synthesis(y, level, compute_dtype).float() + 0.5).clamp(0, 1)
