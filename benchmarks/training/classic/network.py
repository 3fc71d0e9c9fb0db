"""The network: convolutions and three halvings to a dense latent of 200 numbers, and its mirror image back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE, LATENT = 96, 200
STAGE_CHANNELS = (48, 96, 192, 384)
VARIANTS = {"plain": (False, 0.0), "normalised": (True, 0.0), "dropout": (False, 0.2), "normalised-dropout": (True, 0.2)}
"""By name: whether values are normalised to (-1, 1), and the share of values that dropout leaves out."""


class Classic(nn.Module):
    """Autoencoder of pictures of 96x96: 48, 96, 192 and 384 channels at full, half, quarter and eighth size.

    Convolutions are 3x3, with a rectifier and dropout after each; halvings are strides of 2. Normalised values end in a
    hyperbolic tangent, others in a logistic function. Pictures go in and come out as (B, 3, 96, 96) in [0, 1] either way.
    """

    def __init__(self, normalised: bool, dropout: float) -> None:
        super().__init__()
        self.normalised = normalised
        smallest = SIDE // 2 ** (len(STAGE_CHANNELS) - 1)
        values = STAGE_CHANNELS[-1] * smallest**2
        inward: list[nn.Module] = [nn.Conv2d(3, STAGE_CHANNELS[0], 3, padding=1), nn.ReLU(), nn.Dropout(dropout)]
        outward: list[nn.Module] = [nn.Conv2d(STAGE_CHANNELS[0], 3, 3, padding=1), nn.Tanh() if normalised else nn.Sigmoid()]
        for wide, narrow in zip(STAGE_CHANNELS[1:], STAGE_CHANNELS, strict=False):
            inward += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.ReLU(), nn.Dropout(dropout)]
            grow = nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1)
            outward = [grow, nn.ReLU(), nn.Dropout(dropout), *outward]
        dense = nn.Linear(LATENT, values), nn.ReLU(), nn.Dropout(dropout)
        self.encoder = nn.Sequential(*inward, nn.Flatten(), nn.Linear(values, LATENT))
        self.decoder = nn.Sequential(*dense, nn.Unflatten(1, (STAGE_CHANNELS[-1], smallest, smallest)), *outward)

    def encode(self, x: Tensor) -> Tensor:
        """Latents (B, 200) of pictures."""
        return self.encoder(2 * x - 1 if self.normalised else x)

    def decode(self, z: Tensor) -> Tensor:
        """Pictures of latents."""
        x = self.decoder(z)
        return (x + 1) / 2 if self.normalised else x

    def forward(self, x: Tensor) -> Tensor:
        """Pictures coded and decoded."""
        return self.decode(self.encode(x))


def planes(pictures: Tensor) -> Tensor:
    """(B, 96, 96, 3) uint8 to (B, 3, 96, 96) in [0, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 255


def untrained(variant: str, seed: int) -> Classic:
    """A variant at its start, which is the same for each seed."""
    torch.manual_seed(seed)
    return Classic(*VARIANTS[variant])
