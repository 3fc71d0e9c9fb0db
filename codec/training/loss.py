"""What training lowers: the rate-distortion loss, balanced over the range of qualities."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .autoencoder import Autoencoder
from .data import whole_blocks

RATE_BALANCE = 0.45
"""Exponent that weighs each sample's loss by (mean lambda / lambda): without it the highest rates own the gradient."""
LOSS_LIMIT = 4.0
"""Balanced loss beyond which a sample's gradient grows no more; photographs hardly reach it."""


def rate_distortion(
    model: Autoencoder, x: Tensor, level: Tensor, *, noise: torch.Generator | None = None, stream: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Balanced loss, bits per pixel and mean squared error of each image of x (B, H, W, 3) in [0, 1]: (B,) each."""
    # each weight is cast once: a cache would only be shared, and emptied, by several threads
    with torch.autocast(x.device.type, torch.bfloat16, enabled=stream is torch.bfloat16, cache_enabled=False):
        decoded, bits_y, bits_z = model(x, level, noise, stream)
    bpp = (bits_y + bits_z) / (x.shape[1] * x.shape[2])
    mse = (decoded.float() - x).square().mean((1, 2, 3))
    lam = model.config.rate_weight(level)
    middle = math.sqrt(model.config.lambda_min * model.config.lambda_max)
    return (lam * 255**2 * mse + bpp) * (middle / lam) ** RATE_BALANCE, bpp, mse


def validate(model: Autoencoder, images: list[np.ndarray], device: str, stream: torch.dtype) -> float:
    """Mean balanced loss with real rounding over four levels of every image."""
    losses = []
    with torch.inference_mode():
        for image in images:
            x = whole_blocks(image).to(device)
            for level in np.linspace(0, model.config.levels - 1, 4):
                at = torch.tensor([level], dtype=torch.float32, device=device)
                losses.append(rate_distortion(model, x, at, stream=stream)[0].item())
    return float(np.mean(losses))
