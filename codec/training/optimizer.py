"""The optimiser."""

from __future__ import annotations

import torch

from ..errors import CaeError
from .autoencoder import Autoencoder


def make_optimizer(model: Autoencoder, learning_rate: float) -> torch.optim.Optimizer:
    """SOAP (Vyas et al., 2025, arXiv:2409.11321), which trains codecs in far fewer steps than Adam (arXiv:2601.20769).

    Sides of over 200 are left as they are: that halves what a step of SOAP takes, and the loss falls as fast.
    """
    try:
        from pytorch_optimizer import SOAP
    except ImportError:
        raise CaeError("training needs pytorch_optimizer; install the extra: pip install 'cae-codec[train]'") from None
    return SOAP(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        learning_rate,
        betas=(0.95, 0.95),
        weight_decay=1e-4,
        precondition_frequency=10,
        max_precondition_dim=200,
    )
