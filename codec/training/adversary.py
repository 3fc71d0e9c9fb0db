"""An adversary in training: a network that tells decoded pictures from photographs, and the decoder that deceives it.

The non-saturating losses of Goodfellow et al. (2014, arXiv:1406.2661), judged patch by patch (Isola et al., 2017,
arXiv:1611.07004), with spectral normalisation (Miyato et al., 2018, arXiv:1802.05957).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .soap import BatchedSOAP

WIDTHS = (32, 64, 128)
LEARNING_RATE = 1e-3


class Discriminator(nn.Module):
    """Pictures (B, H, W, 3) in [0, 1] and their place in the range of qualities (B,) in [0, 1] to judgements (B, h, w).

    They are high where it takes the picture for a photograph. Sides of eight pixels are judged as one.
    """

    def __init__(self) -> None:
        super().__init__()
        sizes = zip((4, *WIDTHS), WIDTHS, strict=False)
        self.layers = nn.ModuleList(spectral_norm(nn.Conv2d(*size, 4, stride=2, padding=1)) for size in sizes)
        self.judge = spectral_norm(nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))
        # threads share the normalisation, and only `renew` changes it
        self.eval()

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        x = torch.cat([2 * x - 1, place[:, None, None, None].expand(*x.shape[:3], 1)], -1).permute(0, 3, 1, 2)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.judge(x)[:, 0]

    @torch.no_grad()
    def renew(self) -> None:
        """Lets the normalisation follow the weights."""
        for layer in (*self.layers, self.judge):
            layer.train()
            layer.weight  # noqa: B018 (one power iteration each time that it is read)
            layer.eval()


class Adversary:
    """A discriminator with its own optimiser. What it thinks counts `share` of a picture's distortion."""

    def __init__(self, share: float, device: torch.device | str) -> None:
        self.share = share
        self.network = Discriminator().to(device)
        self.parameters: list[Tensor] = list(self.network.parameters())
        self.optimizer = BatchedSOAP(self.network.parameters(), LEARNING_RATE, betas=(0.5, 0.95))

    def deceived(self, decoded: Tensor, place: Tensor) -> Tensor:
        """What a decoder lowers, (B,): small where decoded pictures (B, H, W, 3) pass for photographs."""
        return F.softplus(-self.network(decoded, place)).mean((1, 2))

    def loss(self, decoded: Tensor, photographs: Tensor, place: Tensor) -> Tensor:
        """What the discriminator lowers, (B,): ln 4 where it cannot tell decoded pictures from photographs."""
        real, made = self.network(photographs, place), self.network(decoded.detach(), place)
        return (F.softplus(-real) + F.softplus(made)).mean((1, 2))

    def step(self, gradients: Sequence[Tensor]) -> None:
        """One update by the gradients of its parameters."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient.view_as(parameter)
        self.optimizer.step()
        self.network.renew()
