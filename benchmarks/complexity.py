"""Multiply-accumulates per pixel, parameters and file size of a weights file."""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors import safe_open

from codec import models
from codec.config import Config

ENCODER_ONLY = ("analysis", "hyper analysis")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, default=models.default_path(), help="weights file (default: the package's)")


def parameters(path: Path) -> int:
    """Learned numbers in a weights file: weights and biases, not tables and not derived values."""
    total = 0
    with safe_open(path, "np") as file:
        for name in file.keys():  # noqa: SIM118
            learned = name.startswith("levels/") or name.endswith((".weight", ".bias", "log_feature_gain"))
            if learned:
                count = 1
                for side in file.get_slice(name).get_shape():
                    count *= side
                total += count
    return total


def encoder_and_decoder(config: Config) -> tuple[float, float]:
    """Multiply-accumulates per pixel of all networks that the encoder runs, and of those that the decoder runs."""
    counts = config.macs_per_pixel()
    encoder = sum(count for name, count in counts.items() if name != "synthesis")
    return encoder, sum(count for name, count in counts.items() if name not in ENCODER_ONLY)


def run(arguments: argparse.Namespace) -> None:
    config = models.read_config(arguments.weights)
    for name, count in config.macs_per_pixel().items():
        print(f"{name:<16}{count / 1000:8.3f} kMAC/px")
    encoder, decoder = encoder_and_decoder(config)
    print(f"{'encoder':<16}{encoder / 1000:8.3f} kMAC/px\n{'decoder':<16}{decoder / 1000:8.3f} kMAC/px")
    print(f"{'parameters':<16}{parameters(arguments.weights) / 1e6:8.3f} million")
    print(f"{'weights file':<16}{arguments.weights.stat().st_size / 1e6:8.3f} MB")
