"""Training of a part of a finished model, with the rest frozen."""

from __future__ import annotations

from ..networks.weights import DECODER, ENCODER
from .autoencoder import Autoencoder

TRAINED_ROLE = {ENCODER: DECODER, DECODER: ENCODER}
"""The role that is trained where the other one is frozen; it becomes a weights file of its own. Coded files stay readable."""


def freeze(model: Autoencoder, part: str) -> None:
    """Freezes a part of a model, one of `options.FREEZABLE`.

    "encoder" leaves the synthesis to be trained, "decoder" the analysis and hyper analysis: neither changes what coded files
    depend on. "analysis" leaves all but analysis and hyper analysis, "entropy" these two and the synthesis.
    """
    model.requires_grad_(part == "analysis")
    for network in (model.analysis, model.entropy.hyper_analysis):
        network.requires_grad_(part in (DECODER, "entropy"))
    model.synthesis.requires_grad_(part != DECODER)
