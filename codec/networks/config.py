"""Sizes of the networks. Knows no torch."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, TypeVar

from ..options import QUALITIES

Number = TypeVar("Number")
FEATURE_STRIDE = 8
"""Pixels per position of the transforms' features."""
FEATURE_LIMIT = 20.0
"""Bound of the features after each block: photographs stay within 13, but noise can grow without end from block to block."""
WIDE_LIMIT = 40.0
"""The same for blocks of wide features: photographs stay within 14, but few kinds of noise within 32."""
REDUCED_EXPANSION = 2
"""Width of a feed-forward part in decoders to reduced sizes, in widths of its block."""
FINE_STRIDE = 2
"""Coded pixels per position of the fine features of a decoder that enlarges."""
FINE_CHANNELS = 32
FINE_BLOCKS = 3
FINE_EXPANSION = 2
RDO_WEIGHT = 25.0
"""Bits that a squared error of one quantisation step is worth; 17 to 60 were tried on held-out photographs.

High-rate theory gives 26/3 for a step that is optimal for uniform noise; trained latents bear less error than that.
"""
SCORED_UP_TO = 89
"""Highest quality that is meant to be its own score in SSIMULACRA 2: no file scores 100 but a lossless one."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the networks and the range of rate points that they were trained for.

    There are `levels` gain vectors; between them gains are interpolated, beyond them extrapolated. `quality_levels` are the
    positions among them, from 0 on, of qualities spread evenly from 1 to 100; others lie on straight lines between. The first
    level stands for `lambda_min`, the last for `lambda_max`: the loss is lambda * 255**2 * MSE + bits per pixel, with pixels
    in [0, 1]. Where `objective` names another distortion, that takes the place of the squared error. `score_max` is the
    expected SSIMULACRA 2 of quality 100, where the qualities have been set by scores: see `expected_score`.

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
    quality_levels: tuple[float, ...] = (-0.75, 15.5)
    lambda_min: float = 0.0007
    lambda_max: float = 0.25
    objective: str = "mse"
    score_max: float | None = None

    def __post_init__(self) -> None:
        # JSON has lists
        object.__setattr__(self, "quality_levels", tuple(self.quality_levels))

    def level(self, quality: float) -> float:
        """Position of a quality in 1 to 100 on the scale of gain levels."""
        position = (quality - QUALITIES[0]) / (len(QUALITIES) - 1) * (len(self.quality_levels) - 1)
        below = min(int(position), len(self.quality_levels) - 2)
        first, second = self.quality_levels[below : below + 2]
        return first + (position - below) * (second - first)

    def expected_score(self, quality: float) -> float | None:
        """SSIMULACRA 2 that photographs have on average at a quality in 1 to 100; None where that has not been measured.

        It is the quality itself up to `SCORED_UP_TO`. From there it rises evenly to `score_max`.
        """
        if self.score_max is None:
            return None
        above = max(0, quality - SCORED_UP_TO) / (QUALITIES[-1] - SCORED_UP_TO)
        return min(quality, SCORED_UP_TO) + above * (self.score_max - SCORED_UP_TO)

    def reduced_channels(self, side: int) -> int:
        """Features of the decoder to a size at which a latent position has `side` x `side` pixels.

        With fewer than these have values, some of their detail would be lost.
        """
        return max(self.channels, 3 * side**2)

    def lmbda(self, level: Number) -> Number:
        """The lambda of a level, or of each in an array: log-linear between the configuration's ends."""
        return self.lambda_min * (self.lambda_max / self.lambda_min) ** (level / (self.levels - 1))


NUMBER_MAX, SIDE_MAX = 64, 2**13
"""Largest number of blocks, levels and so on, and of channels, that a weights file may ask for."""
LAMBDAS, LEVELS_BEYOND = (1e-6, 1e3), 4
"""Range of the lambdas, and how far qualities lie from the gain levels at most: no power of either overflows."""


def checked(config: Config) -> Config:
    """The same configuration; ValueError where a file asks for sizes that would take memory or time without end."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.type == "int":
            largest = SIDE_MAX if field.name.endswith("channels") else NUMBER_MAX
            if type(value) is not int or not 0 <= value <= largest:
                raise ValueError(f"{field.name} {value!r} is not in 0 to {largest}")
        elif field.name.startswith("lambda"):
            _check_number(field.name, value, *LAMBDAS)
    if config.leading_channels > config.latent_channels:
        raise ValueError(f"leading_channels {config.leading_channels} is more than the latent has")
    levels = config.quality_levels
    if not 2 <= len(levels) <= len(QUALITIES):
        raise ValueError(f"quality_levels has {len(levels)} values, not 2 to {len(QUALITIES)}")
    for level in levels:
        _check_number("quality_levels", level, -LEVELS_BEYOND, config.levels + LEVELS_BEYOND)
    if any(second <= first for first, second in itertools.pairwise(levels)):
        raise ValueError("quality_levels do not rise")
    # a decoder does not need to know the objective, which may be a later release's
    if not isinstance(config.objective, str):
        raise ValueError(f"objective {config.objective!r} is no text")
    if config.score_max is not None:
        _check_number("score_max", config.score_max, 0, 100)
    return config


def _check_number(name: str, value: object, least: float, most: float) -> None:
    if type(value) not in (int, float) or not least <= value <= most:
        raise ValueError(f"{name} {value!r} is not in {least:g} to {most:g}")


_LEVELS: dict[str, Any] = {"levels": 20, "quality_levels": (-0.75, 19.5), "lambda_max": 1.2}
MODELS = {
    "default": Config(analysis_wide_blocks=4, **_LEVELS),
    "large": Config(
        channels=192, latent_channels=384, entropy_channels=320, hyper_channels=128, context_blocks=4,
        analysis_blocks=10, analysis_wide_blocks=6, analysis_wide_expansion=2, synthesis_blocks=12, synthesis_wide_blocks=6,
        **_LEVELS,
    ),
    "fast": Config(
        channels=96, latent_channels=256, entropy_channels=128, hyper_channels=64, context_blocks=1,
        analysis_blocks=5, analysis_wide_blocks=4, synthesis_blocks=3, **_LEVELS,
    ),
}  # fmt: skip
"""Configurations that training makes, by name: decoders of about 21, 120 and 6 thousand multiply-accumulates per pixel."""
