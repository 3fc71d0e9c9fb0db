"""What training lowers: the rate-distortion loss, balanced over the range of qualities."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..networks.config import Config
from .autoencoder import Autoencoder
from .data import whole_blocks
from .denoising import degraded
from .distortions import DISTORTIONS, Distortion, squared_error
from .frozen_latent_decoder import FrozenLatentDecoder
from .reduction import ReducedDecoder
from .replay import Coded

RATE_BALANCE = 0.45
"""Exponent that weighs each sample's loss by (mean lambda / lambda): without it the highest rates own the gradient."""
LOSS_LIMIT = 4.0
"""Balanced loss beyond which a sample's gradient grows no more; photographs hardly reach it."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is lowered beside the rate: the distortion; to `denoise`, of what comes of noisy pictures, against clean ones.

    To `choose`, on the symbols that an encoder chooses; else on the nearest.
    """

    distortion: Distortion = DISTORTIONS["mse"]
    denoise: bool = False
    choose: bool = False


PLAIN = Objective()


class Measured(NamedTuple):
    """What is known of each image of a batch (B,).

    `rate` and `distortion` are the parts of the balanced loss; `bpp` bits per pixel; `mse` the mean squared error; `distance`
    the objective's distortion, not weighed.
    """

    rate: Tensor
    distortion: Tensor
    bpp: Tensor
    mse: Tensor
    distance: Tensor

    @property
    def loss(self) -> Tensor:
        """The balanced loss (B,)."""
        return self.distortion + self.rate


def rate_distortion(
    model: Autoencoder | FrozenLatentDecoder,
    x: Tensor,
    level: Tensor,
    objective: Objective,
    *,
    wanted: Tensor | None = None,
    noise: torch.Generator | None = None,
    compute_dtype: torch.dtype,
) -> Measured:
    """Measures images x (B, H, W, 3) in [0, 1] at gain levels `level` (B,).

    The reconstruction is compared with `wanted`, or with x itself. A decoder of a reduced size is measured against the averages
    of the image's areas.
    """
    with _cast(x, compute_dtype):
        decoded, bits_y, bits_z = model(x, level, noise, compute_dtype, objective.choose)
    bpp = (bits_y + bits_z) / (x.shape[1] * x.shape[2])
    target = x if wanted is None else wanted
    return _measured(model.config, objective, level, bpp, decoded.float(), reduced(target, x.shape[1] // decoded.shape[1]))


def coded(
    model: ReducedDecoder, x: Tensor, level: Tensor, objective: Objective, *, noise: torch.Generator, compute_dtype: torch.dtype
) -> Coded:
    """Images x (B, H, W, 3) in [0, 1] as a small decoder's model codes and shows them, to be learnt any number of times."""
    with _cast(x, compute_dtype):
        latent, bits_y, bits_z = model.latent(x, level, noise, compute_dtype, objective.choose)
        whole = model.whole(latent, level, compute_dtype)
    bpp = (bits_y + bits_z) / (x.shape[1] * x.shape[2])
    return Coded(latent, level, bpp, reduced(whole, model.reduction))


def distortion_of_coded(model: ReducedDecoder, coded: Coded, objective: Objective, *, compute_dtype: torch.dtype) -> Measured:
    """Measures what a small decoder makes of images that were coded before."""
    with _cast(coded.latent, compute_dtype):
        decoded = model.decoded(coded.latent, coded.level, compute_dtype)
    return _measured(model.config, objective, coded.level, coded.bpp, decoded.float(), coded.wanted)


def _cast(x: Tensor, compute_dtype: torch.dtype) -> torch.autocast:
    # each weight is cast once: a cache would only be shared, and emptied, by several threads
    return torch.autocast(x.device.type, torch.bfloat16, enabled=compute_dtype is torch.bfloat16, cache_enabled=False)


def _measured(config: Config, objective: Objective, level: Tensor, bpp: Tensor, decoded: Tensor, wanted: Tensor) -> Measured:
    mse, distance = squared_error(decoded, wanted), objective.distortion.measure(decoded, wanted)
    lam = config.rate_weight(level)
    middle = math.sqrt(config.lambda_min * config.lambda_max)
    balance = (middle / lam) ** RATE_BALANCE
    return Measured(bpp * balance, objective.distortion.weight(lam) * distance * balance, bpp, mse, distance)


def reduced(x: Tensor, factor: int) -> Tensor:
    """Averages (B, H/factor, W/factor, 3) over squares of images (B, H, W, 3)."""
    if factor == 1:
        return x
    b, h, w, c = x.shape
    return x.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def validate(
    model: Autoencoder | FrozenLatentDecoder,
    images: list[np.ndarray],
    device: str,
    compute_dtype: torch.dtype,
    objective: Objective = PLAIN,
) -> float:
    """Mean balanced loss with real rounding over four levels of every image.

    Where it is to denoise, each image is given noise of its own, the same every time.
    """
    losses = []
    factor = model.factor if isinstance(model, FrozenLatentDecoder) else 1
    with torch.inference_mode():
        for number, image in enumerate(images):
            x = whole_blocks(image, factor)
            pair = degraded(x, torch.Generator().manual_seed(number)) if objective.denoise else (x, x)
            x, wanted = (picture.to(device) for picture in pair)
            for level in np.linspace(0, model.config.levels - 1, 4):
                at = torch.tensor([level], dtype=torch.float32, device=device)
                made = rate_distortion(model, x, at, objective, wanted=wanted, compute_dtype=compute_dtype)
                losses.append(made.loss.item())
    return float(np.mean(losses))
