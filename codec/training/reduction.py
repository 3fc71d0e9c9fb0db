"""A decoder of a reduced size, as it is trained."""

from __future__ import annotations

import torch

from ..networks.model import REDUCED
from ..networks.reduced import ReducedSynthesis, start_from_synthesis
from ..options import QUALITIES
from .autoencoder import Autoencoder
from .lone_decoder import LoneDecoder


class ReducedDecoder(LoneDecoder):
    """A small decoder of pictures that are `factor` times smaller."""

    def __init__(self, model: Autoencoder, factor: int) -> None:
        super().__init__(model, ReducedSynthesis(model.config, factor))
        self.reduction, self.group, self.title = factor, f"{REDUCED}/{factor}", f"1/{factor}"
        middle = torch.tensor([model.config.level(sum(QUALITIES) / len(QUALITIES))])
        start_from_synthesis(self.network, model.synthesis, middle)
