"""A decoder of a reduced size, as it is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.model import REDUCED
from ..networks.reduced import ReducedSynthesis
from ..options import QUALITIES
from .autoencoder import Autoencoder
from .frozen_latent_decoder import FrozenLatentDecoder
from .initialisation import initialise_reduced


class ReducedDecoder(FrozenLatentDecoder):
    """A small decoder of pictures that are `factor` times smaller.

    It learns from what the model's own decoder shows, which says more about a latent than the photograph behind it.
    """

    def __init__(self, model: Autoencoder, factor: int) -> None:
        super().__init__(model, ReducedSynthesis(model.config, factor))
        self.reduction, self.group, self.title = factor, f"{REDUCED}/{factor}", f"1/{factor}"
        middle = torch.tensor([model.config.level(sum(QUALITIES) / len(QUALITIES))])
        initialise_reduced(self.network, model.synthesis, middle)

    @torch.no_grad()
    def whole(self, y: Tensor, level: Tensor, compute_dtype: torch.dtype) -> Tensor:
        """Pictures (B, H, W, 3) in [0, 1] of the latent y at the full size, by the model's own decoder."""
        return (self._frozen[0].synthesis(y, level, compute_dtype).float() + 0.5).clamp(0, 1)
