"""Ways to enlarge a grid of features, of which a configuration names one.

All tensors are channels-last (batch, height, width, channels). `reach` is how many positions to each side of its own a
pixel depends on, `input_stride` how many pixels of the picture a position stands for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config
from .layers import Pointwise, depth_to_space


class PixelShuffle(Pointwise):
    """One matrix product for each position, whose result is its pixels (Shi et al., 2016, arXiv:1609.05158)."""

    reach = 0

    def __init__(self, inputs: int, outputs: int, factor: int, stride: int) -> None:
        super().__init__(inputs, outputs * factor**2)
        self.factor, self.input_stride = factor, stride

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(super().forward(x), self.factor)

    def start_from(self, matrix: Tensor) -> None:
        """Takes on what turns a position (inputs,) into its pixels (factor * factor * outputs), the row varying slowest."""
        self.weight.copy_(matrix)
        self.bias.zero_()

    def scale_inputs(self, unit: Tensor) -> None:
        """Multiplies each input's weights by a number."""
        self.weight.mul_(unit)


class Transposed(nn.ConvTranspose2d):
    """A transposed convolution with windows of twice the factor, so that each pixel comes from 2 x 2 positions.

    Windows that overlap evenly keep the worst of checkerboards away (Odena et al., 2016, doi:10.23915/distill.00003).
    """

    reach = 1

    def __init__(self, inputs: int, outputs: int, factor: int, stride: int) -> None:
        super().__init__(inputs, outputs, 2 * factor, stride=factor, padding=factor // 2)
        self.factor, self.input_stride = factor, stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def start_from(self, matrix: Tensor) -> None:
        """As that of `PixelShuffle`: the middle of each window is a position's own pixels."""
        own = slice(self.factor // 2, self.factor // 2 + self.factor)
        self.weight.zero_()
        self.weight[:, :, own, own] = matrix.unflatten(0, (self.factor, self.factor, -1)).permute(3, 2, 0, 1)
        self.bias.zero_()

    def scale_inputs(self, unit: Tensor) -> None:
        """Multiplies each input's weights by a number."""
        self.weight.mul_(unit[:, None, None, None])


class Nearest(nn.Module):
    """Doublings by the nearest neighbour, each with a 3 x 3 convolution to half the channels, in the end to the outputs.

    Nothing in it knows a pixel's place in its position, so that nothing can repeat from position to position.
    """

    reach = 1

    def __init__(self, inputs: int, outputs: int, factor: int, stride: int) -> None:
        super().__init__()
        self.input_stride, self.factor = stride, factor
        doublings = factor.bit_length() - 1
        widths = [max(inputs >> number, outputs) for number in range(doublings)]
        self.steps = nn.ModuleList(
            nn.Conv2d(width, following, 3, padding=1) for width, following in zip(widths, [*widths[1:], outputs], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        for step in self.steps:
            x = step(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x.permute(0, 2, 3, 1)

    def start_from(self, matrix: Tensor) -> None:
        """As that of `PixelShuffle`, but for the mean over a position's pixels, which is all it can give."""
        mean = matrix.unflatten(0, (self.factor**2, -1)).mean(0)
        outputs = len(mean)
        for number, step in enumerate(self.steps):
            step.bias.zero_()
            step.weight[:outputs] = 0
            step.weight[:outputs, :, 1, 1] = mean if number == 0 else torch.eye(outputs, step.in_channels)

    def scale_inputs(self, unit: Tensor) -> None:
        """Multiplies each input's weights by a number."""
        self.steps[0].weight.mul_(unit[:, None, None])


KINDS = {"pixel-shuffle": PixelShuffle, "transposed": Transposed, "nearest": Nearest}
"""By the name that a configuration has."""


def upsampler(config: Config, inputs: int, outputs: int, factor: int, stride: int) -> PixelShuffle | Transposed | Nearest:
    """Positions (B, h, w, inputs) of `stride` pixels to (B, factor * h, factor * w, outputs), as a configuration has it."""
    return KINDS[config.upsampling](inputs, outputs, factor, stride)
