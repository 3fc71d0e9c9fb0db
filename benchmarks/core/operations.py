"""Multiply-accumulates per pixel of the networks."""

from __future__ import annotations

from codec.format.geometry import HYPER_STRIDE, LATENT_STRIDE
from codec.networks.config import FEATURE_STRIDE, Config

ENCODER_ONLY = ("analysis", "hyper analysis")


def macs_per_pixel(config: Config) -> dict[str, float]:
    """Multiply-accumulates per pixel of each network, as the encoder and decoder run them."""
    c, n, z, h = config.channels, config.latent_channels, config.hyper_channels, config.entropy_channels
    narrow_block = lambda expansion: ((2 + 3 * expansion) * c + 9) * c  # noqa: E731
    wide_block = lambda expansion: ((2 + 3 * expansion) * n + 9) * n  # noqa: E731
    entropy_block = lambda width: 6 * width * width + 9 * width  # noqa: E731
    feature, latent, hyper = FEATURE_STRIDE**2, LATENT_STRIDE**2, HYPER_STRIDE**2
    middle = (HYPER_STRIDE // 2) ** 2
    return {
        "analysis": (192 * c + config.analysis_blocks * narrow_block(2)) / feature
        + (4 * c * n + config.analysis_wide_blocks * wide_block(config.analysis_wide_expansion)) / latent,
        "hyper analysis": (n * h + entropy_block(h)) / latent + (4 * h * z + entropy_block(z)) / middle + 4 * z * z / hyper,
        "hyper synthesis": 4 * z * z / hyper + (entropy_block(z) + 4 * z * h) / middle + entropy_block(h) / latent,
        "means": ((1 + config.context_blocks) * entropy_block(h) + 3 * h * n + 4 * config.leading_channels) / latent,
        # of 16 latent positions around a hyper-latent position each sees four; of a symbol's channels a quarter is a stage's
        "scales": 16 * n * 4 * z / hyper + 12 * (n / 4) ** 2 / latent,
        "synthesis": (4 * n * c + config.synthesis_wide_blocks * wide_block(config.synthesis_wide_expansion)) / latent
        + (config.synthesis_blocks * narrow_block(config.synthesis_expansion) + 192 * c) / feature,
    }


def encoder_and_decoder(config: Config) -> tuple[float, float]:
    """Multiply-accumulates per pixel of all networks that the encoder runs, and of those that the decoder runs."""
    counts = macs_per_pixel(config)
    encoder = sum(count for name, count in counts.items() if name != "synthesis")
    return encoder, sum(count for name, count in counts.items() if name not in ENCODER_ONLY)
