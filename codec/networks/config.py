"""Sizes of the networks. Knows no torch."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from ..options import QUALITIES

Number = TypeVar("Number")
FEATURE_STRIDE = 8
"""Pixels per position of the transforms' features."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the networks and the range of rate points that they were trained for.

    Qualities 1 to 100 are spread evenly over `levels` gain vectors, from `levels_below` the first (number 0) to
    `levels_above` the last; between them gains are interpolated, beyond them extrapolated. The first level stands for
    `lambda_min`, the last for `lambda_max`: the loss is lambda * 255**2 * MSE + bits per pixel, with pixels in [0, 1].

    The transforms have `…_blocks` blocks of `channels` features at 1/8 scale, and `…_wide_blocks` of as many features as
    the latent has channels, at its scale of 1/16. The `…_expansion` is how many times as wide a feed-forward part is. Decoders
    of reduced sizes have `reduced_blocks` of `channels` features or more at 1/16.
    """

    channels: int = 128
    latent_channels: int = 320
    hyper_channels: int = 96
    entropy_channels: int = 192
    priors: int = 64
    analysis_blocks: int = 5
    synthesis_blocks: int = 7
    analysis_wide_blocks: int = 0
    synthesis_wide_blocks: int = 0
    synthesis_expansion: int = 2
    analysis_wide_expansion: int = 1
    synthesis_wide_expansion: int = 2
    reduced_blocks: int = 3
    context_blocks: int = 2
    leading_channels: int = 64
    levels: int = 16
    levels_below: float = 0.75
    levels_above: float = 0.5
    lambda_min: float = 0.0007
    lambda_max: float = 0.25

    def level(self, quality: float) -> float:
        """Position of a quality in 1 to 100 on the scale of gain levels."""
        fraction = (quality - QUALITIES[0]) / (len(QUALITIES) - 1)
        return fraction * (self.levels - 1 + self.levels_above + self.levels_below) - self.levels_below

    def rate_weight(self, level: Number) -> Number:
        """The lambda of a level, or of each in an array: log-linear between the configuration's ends."""
        return self.lambda_min * (self.lambda_max / self.lambda_min) ** (level / (self.levels - 1))


NUMBER_MAX, SIDE_MAX = 64, 2**13
"""Largest number of blocks, levels and so on, and of channels, that a weights file may ask for."""
LAMBDAS, LEVELS_BEYOND = (1e-6, 1e3), (-2.0, 2.0)
"""Ranges of the lambdas, and of the levels beyond the first and the last, within which no power of them overflows."""


def checked(config: Config) -> Config:
    """The same configuration; ValueError where a file asks for sizes that would take memory or time without end."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.type == "int":
            largest = SIDE_MAX if field.name.endswith("channels") else NUMBER_MAX
            if type(value) is not int or not 0 <= value <= largest:
                raise ValueError(f"{field.name} {value!r} is not in 0 to {largest}")
        else:
            least, most = LAMBDAS if field.name.startswith("lambda") else LEVELS_BEYOND
            if type(value) not in (int, float) or not least <= value <= most:
                raise ValueError(f"{field.name} {value!r} is not in {least:g} to {most:g}")
    return config


MODELS = {
    "default": Config(analysis_wide_blocks=4),
    "large": Config(
        channels=192, latent_channels=384, entropy_channels=320, hyper_channels=128, context_blocks=4,
        analysis_blocks=10, analysis_wide_blocks=6, analysis_wide_expansion=2, synthesis_blocks=12, synthesis_wide_blocks=6,
    ),
    "fast": Config(
        channels=96, latent_channels=256, entropy_channels=128, hyper_channels=64, context_blocks=1,
        analysis_blocks=5, analysis_wide_blocks=4, synthesis_blocks=3,
    ),
}  # fmt: skip
"""What training makes, by name: decoders of about 21, 120 and 6 thousand multiply-accumulates per pixel."""
