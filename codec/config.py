"""Sizes of a model, and the arithmetic that follows from them. Knows no torch."""

from __future__ import annotations

import dataclasses

from .errors import CaeError

FEATURE_STRIDE = 8
"""Pixels per position of the transforms' features."""
LATENT_STRIDE = 16
"""Pixels per position of the latent y."""
HYPER_STRIDE = 64
"""Pixels per position of the hyper-latent z."""
QUALITIES = range(1, 101)
PIXELS_MAX = 2**28
"""Largest picture that is read or decoded to one array unless told otherwise."""


def check_size(width: int, height: int, limit: int, advice: str) -> None:
    """CaeError, with the advice at its end, where a picture has more pixels than the limit.

    Sides count as at least one latent position's, since thinner pictures take the memory of such.
    """
    if max(width, LATENT_STRIDE) * max(height, LATENT_STRIDE) > limit:
        thin = f" (sides under {LATENT_STRIDE} count as {LATENT_STRIDE})" if min(width, height) < LATENT_STRIDE else ""
        raise CaeError(f"{width} x {height} pixels{thin} are more than the limit of {limit}{advice}")


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the networks and the range of rate points that they were trained for.

    Qualities 1 to 100 are spread evenly over `levels` gain vectors, from `levels_below` the first (number 0) to
    `levels_above` the last; between them gains are interpolated, beyond them extrapolated. The first level stands for
    `lambda_min`, the last for `lambda_max`: the loss is lambda * 255**2 * MSE + bits per pixel, with pixels in [0, 1].
    """

    channels: int = 128
    latent_channels: int = 320
    hyper_channels: int = 96
    entropy_channels: int = 192
    analysis_blocks: int = 5
    synthesis_blocks: int = 7
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

    def macs_per_pixel(self) -> dict[str, float]:
        """Multiply-accumulates per pixel of each network, as the encoder and decoder run them."""
        c, n, z, h = self.channels, self.latent_channels, self.hyper_channels, self.entropy_channels
        transform_block = 8 * c * c + 9 * c
        entropy_block = lambda width: 6 * width * width + 9 * width  # noqa: E731
        feature, latent, hyper = FEATURE_STRIDE**2, LATENT_STRIDE**2, HYPER_STRIDE**2
        middle = (HYPER_STRIDE // 2) ** 2
        return {
            "analysis": (192 * c + self.analysis_blocks * transform_block) / feature + 4 * c * n / latent,
            "hyper analysis": (n * h + entropy_block(h)) / latent + (4 * h * z + entropy_block(z)) / middle + 4 * z * z / hyper,
            "hyper synthesis": 4 * z * z / hyper + (entropy_block(z) + 4 * z * h) / middle + entropy_block(h) / latent,
            # each pass predicts a mean and a scale for half of the latents, and the second reads the other half
            "first pass": (entropy_block(h) + h * n) / latent,
            "second pass": (n // 2 * h + self.context_blocks * entropy_block(h) + h * n + 2 * self.leading_channels) / latent,
            "synthesis": n * 4 * c / latent + (self.synthesis_blocks * transform_block + 192 * c) / feature,
        }
