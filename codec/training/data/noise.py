"""Noisy pictures beside clean ones, from which an encoder learns to leave noise out."""

from __future__ import annotations

import torch
from torch import Tensor

SIGMA_MAX = 55 / 255
"""Largest standard deviation of Gaussian noise, in pictures of values in [0, 1]."""
SHOT_MAX = 0.2
"""Largest standard deviation, at white, of photon noise, whose variance is proportional to the signal."""
READ_MAX = 0.06
"""Largest standard deviation of the noise that a sensor adds to it."""
CLEAN = 0.2
"""Share of pictures that stay clean."""
GAUSSIAN = 0.5
"""Share of the noisy pictures whose noise does not depend on the signal."""
GRAY = 0.15
"""Share of pictures that are made gray, with the same noise in each channel."""


def add_camera_noise(x: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Makes noisy and clean pictures (B, H, W, 3) in [0, 1] of pictures x of that shape, on the generator's device.

    The noise is Gaussian, or Poissonian-Gaussian in the normal approximation, of variance a * x + b (Foi, Trimeche, Katkovnik
    and Egiazarian, 2008, doi:10.1109/TIP.2008.2001399). Its strength differs from picture to picture. Noisy values are clipped
    and rounded to 8 bits.
    """
    kind, gray, first, second, third = torch.rand(5, len(x), 1, 1, 1, generator=random, device=x.device)
    noise = torch.randn(x.shape, generator=random, device=x.device)
    is_gray = gray < GRAY
    clean = torch.where(is_gray, x.mean(-1, keepdim=True), x)
    noise = torch.where(is_gray, noise[..., :1], noise)
    signal_dependent = (SHOT_MAX * first).square() * clean + (READ_MAX * second).square()
    variance = torch.where(kind < CLEAN + (1 - CLEAN) * GAUSSIAN, (SIGMA_MAX * third).square(), signal_dependent)
    noisy = (255 * (clean + variance.sqrt() * noise)).round_().clamp_(0, 255) / 255
    return torch.where(kind < CLEAN, clean, noisy), clean
