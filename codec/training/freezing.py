"""Training of a part of a finished model."""

from __future__ import annotations

from ..networks.weights import DECODER, ENCODER
from .autoencoder import Autoencoder

OTHER = {ENCODER: DECODER, DECODER: ENCODER}
"""What is trained where one of them is frozen, for files that stay readable whichever of them is used."""
ANALYSIS = "analysis"


def freeze(model: Autoencoder, role: str) -> None:
    """Leaves of a model's parameters only the decoder's to be trained ("encoder" is frozen), or only the encoder's.

    The gains and the networks that predict symbols are neither's: files depend on them. With "analysis", all is trained but
    the analysis and the hyper analysis.
    """
    encoder = (model.analysis, model.entropy.hyper_analysis)
    trained = {ENCODER: (model.synthesis,), DECODER: encoder, ANALYSIS: (model,)}[role]
    model.requires_grad_(False)
    for network in trained:
        network.requires_grad_(True)
    if role == ANALYSIS:
        for network in encoder:
            network.requires_grad_(False)
