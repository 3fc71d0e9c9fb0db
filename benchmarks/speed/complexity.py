"""Multiply-accumulates per pixel, parameters and file size of a weights file."""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors import safe_open

from codec.networks.registry import default_path
from codec.networks.weights import Weights

from ..core.arguments import add_weights_argument
from ..core.operations import encoder_and_decoder, macs_per_pixel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_weights_argument(parser, default_path())


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


def run(arguments: argparse.Namespace) -> None:
    config = Weights.read(arguments.weights).config
    for name, count in macs_per_pixel(config).items():
        print(f"{name:<16}{count / 1000:8.3f} kMAC/px")
    encoder, decoder = encoder_and_decoder(config)
    print(f"{'encoder':<16}{encoder / 1000:8.3f} kMAC/px\n{'decoder':<16}{decoder / 1000:8.3f} kMAC/px")
    print(f"{'parameters':<16}{parameters(arguments.weights) / 1e6:8.3f} million")
    print(f"{'weights file':<16}{arguments.weights.stat().st_size / 1e6:8.3f} MB")
