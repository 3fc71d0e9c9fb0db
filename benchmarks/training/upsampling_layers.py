"""Layers that enlarge in other ways than pixel-shuffle. Each takes the place of a `PixelShuffle` in the synthesis.

All tensors are channels-last. `factor` is by how much a layer enlarges; `reach` how many positions to each side of its own an
output depends on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.networks.layers import PixelShuffle
from codec.training.autoencoder import Autoencoder


class Transposed(nn.ConvTranspose2d):
    """A transposed convolution with windows of twice the factor, so that each output comes from 2 x 2 positions.

    It starts as the layer that it replaces: the middle of each window is a position's own outputs. Windows that overlap evenly
    keep the worst of checkerboards away (Odena et al., 2016, doi:10.23915/distill.00003).
    """

    reach = 1

    @torch.no_grad()
    def __init__(self, layer: PixelShuffle) -> None:
        factor = layer.factor
        super().__init__(layer.in_features, layer.out_features // factor**2, 2 * factor, stride=factor, padding=factor // 2)
        self.factor = factor
        self.weight.zero_()
        self.bias.zero_()
        middle = slice(factor // 2, factor // 2 + factor)
        self.weight[:, :, middle, middle] = layer.weight.unflatten(0, (factor, factor, -1)).permute(3, 2, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Nearest(nn.Module):
    """Doublings by the nearest neighbour, each with a 3 x 3 convolution to half the channels, in the end to the outputs.

    No weight knows an output's place within its position, so that no pattern can repeat from position to position. It starts
    from the mean over the outputs of the layer that it replaces.
    """

    reach = 1

    @torch.no_grad()
    def __init__(self, layer: PixelShuffle) -> None:
        super().__init__()
        self.factor = layer.factor
        inputs, outputs = layer.in_features, layer.out_features // layer.factor**2
        doublings = layer.factor.bit_length() - 1
        widths = [max(inputs >> number, outputs) for number in range(doublings)]
        self.steps = nn.ModuleList(
            nn.Conv2d(width, following, 3, padding=1) for width, following in zip(widths, [*widths[1:], outputs], strict=True)
        )
        mean = layer.weight.unflatten(0, (layer.factor**2, -1)).mean(0)
        for number, step in enumerate(self.steps):
            step.bias.zero_()
            step.weight[:outputs] = 0
            step.weight[:outputs, :, 1, 1] = mean if number == 0 else torch.eye(outputs, step.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        for step in self.steps:
            x = step(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x.permute(0, 2, 3, 1)


UPSAMPLINGS: dict[str, Callable[[PixelShuffle], nn.Module]] = {
    "pixel-shuffle": lambda layer: layer,
    "transposed": Transposed,
    "nearest": Nearest,
}
"""By name, what takes the place of a layer of the synthesis."""


def replace_layers(model: Autoencoder, name: str) -> None:
    """Replaces both layers of a model's synthesis that enlarge."""
    synthesis, kind = model.synthesis, UPSAMPLINGS[name]
    synthesis.from_latent, synthesis.patch_out = kind(synthesis.from_latent), kind(synthesis.patch_out)


def macs_per_position(layer: nn.Module) -> int:
    """Multiply-accumulates of a layer per position of its input."""
    if isinstance(layer, Nearest):
        return sum(step.weight.numel() * 4**number for number, step in enumerate(layer.steps, 1))
    return layer.weight.numel()
