"""Training of a finished model's encoder or decoder alone, for files that stay readable whichever of them is used."""

from __future__ import annotations

from ..networks.weights import DECODER, ENCODER
from .autoencoder import Autoencoder

OTHER = {ENCODER: DECODER, DECODER: ENCODER}
"""What is trained where one of them is frozen."""


def freeze(model: Autoencoder, role: str) -> None:
    """Leaves of a model's parameters only the decoder's to be trained ("encoder" is frozen), or only the encoder's.

    The gains and the networks that predict symbols are neither's: files depend on them.
    """
    model.requires_grad_(False)
    trained = (model.synthesis,) if role == ENCODER else (model.analysis, model.entropy.hyper_analysis)
    for network in trained:
        network.requires_grad_(True)
