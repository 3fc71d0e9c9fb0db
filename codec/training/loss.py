"""The rate-distortion loss, balanced over the range of qualities."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..distortion.distortions import DISTORTIONS, Distortion, squared_error
from ..networks.config import Config
from .autoencoder import Autoencoder
from .data.noise import add_camera_noise
from .data.patches import whole_blocks
from .decoders.frozen_latent import FrozenLatentDecoder
from .decoders.reduced import ReducedDecoder
from .replay import CodedPatches

RATE_BALANCE = 0.45
"""Exponent that weighs each sample's loss by (mean lambda / lambda): without it the highest rates own the gradient."""
LOSS_LIMIT = 4.0
"""Balanced loss beyond which a sample's gradient grows no further. Photographs hardly reach it."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """The distortion to lower beside the rate, and what is coded.

    With `denoise`, noisy pictures are coded and compared with clean ones. With `choose`, symbols are those that an encoder
    chooses by bits and error; otherwise the nearest.
    """

    distortion: Distortion = DISTORTIONS["mse"]
    denoise: bool = False
    choose: bool = False


PLAIN = Objective()
"""Mean squared error."""


class Losses(NamedTuple):
    """Losses of a batch of pictures, each (B,).

    `rate` and `distortion` are the parts of the balanced loss. `bpp` is in bits per pixel, `mse` the mean squared error, and
    `distance` the first distance of the objective, without its weight.
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


def measure_losses(
    model: Autoencoder | FrozenLatentDecoder,
    x: Tensor,
    level: Tensor,
    objective: Objective,
    *,
    target: Tensor | None = None,
    noise: torch.Generator | None = None,
    compute_dtype: torch.dtype,
) -> Losses:
    """Codes pictures x (B, H, W, 3) in [0, 1] at gain levels `level` (B,) and compares them with `target`, or with x itself.

    With a generator, its uniform noise replaces rounding in the rate. A decoder of a reduced size is compared with averages
    over areas of the target.
    """
    with _autocast(x, compute_dtype):
        decoded, bits_y, bits_z = model(x, level, noise, compute_dtype, objective.choose)
    bpp = (bits_y + bits_z) / (x.shape[1] * x.shape[2])
    target = average_areas(x if target is None else target, x.shape[1] // decoded.shape[1])
    return _losses(model.config, objective, level, bpp, decoded.float(), target)


def code_patches(
    model: ReducedDecoder, x: Tensor, level: Tensor, objective: Objective, *, noise: torch.Generator, compute_dtype: torch.dtype
) -> CodedPatches:
    """Codes pictures x (B, H, W, 3) in [0, 1] by a small decoder's model, whose own reduced pictures become the target."""
    with _autocast(x, compute_dtype):
        latent, bits_y, bits_z = model.latent(x, level, noise, compute_dtype, objective.choose)
        whole = model.decode_whole(latent, level, compute_dtype)
    bpp = (bits_y + bits_z) / (x.shape[1] * x.shape[2])
    return CodedPatches(latent, level, bpp, average_areas(whole, model.reduction))


def measure_coded_losses(
    model: ReducedDecoder, coded: CodedPatches, objective: Objective, *, compute_dtype: torch.dtype
) -> Losses:
    """Decodes coded patches by a small decoder and compares the pictures with their target."""
    with _autocast(coded.latent, compute_dtype):
        decoded = model.decode(coded.latent, coded.level, compute_dtype)
    return _losses(model.config, objective, coded.level, coded.bpp, decoded.float(), coded.target)


def _autocast(x: Tensor, compute_dtype: torch.dtype) -> torch.autocast:
    # each weight is cast once, so a cache would gain nothing, and several threads would share and empty it
    return torch.autocast(x.device.type, torch.bfloat16, enabled=compute_dtype is torch.bfloat16, cache_enabled=False)


def _losses(config: Config, objective: Objective, level: Tensor, bpp: Tensor, decoded: Tensor, target: Tensor) -> Losses:
    lmbda = config.lmbda(level)
    weighted, distance = objective.distortion.weighted(decoded, target, lmbda)
    balance = (math.sqrt(config.lambda_min * config.lambda_max) / lmbda) ** RATE_BALANCE
    return Losses(bpp * balance, weighted * balance, bpp, squared_error(decoded, target), distance)


def average_areas(x: Tensor, factor: int) -> Tensor:
    """Averages over squares of pictures (B, H, W, 3): (B, H/factor, W/factor, 3)."""
    if factor == 1:
        return x
    b, h, w, c = x.shape
    return x.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def validate(
    model: Autoencoder | FrozenLatentDecoder,
    images: Iterable[np.ndarray],
    device: str,
    compute_dtype: torch.dtype,
    objective: Objective = PLAIN,
) -> float:
    """Mean balanced loss with real rounding over four levels of every image (H, W, 3) uint8.

    For denoising, each image is given its own noise, the same every time.
    """
    losses = []
    factor = model.factor if isinstance(model, FrozenLatentDecoder) else 1
    with torch.inference_mode():
        for number, image in enumerate(images):
            x = whole_blocks(image, factor)
            pair = add_camera_noise(x, torch.Generator().manual_seed(number)) if objective.denoise else (x, x)
            x, target = (picture.to(device) for picture in pair)
            for position in np.linspace(0, model.config.levels - 1, 4):
                level = torch.tensor([position], dtype=torch.float32, device=device)
                measured = measure_losses(model, x, level, objective, target=target, compute_dtype=compute_dtype)
                losses.append(measured.loss.item())
    return float(np.mean(losses))
