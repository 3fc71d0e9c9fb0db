"""Factors of the distances that training can lower, with which the quality levels keep their rates.

Along a codec's curve of rate R over distance D a loss `weight * D + R` is least where weight = -dR/dD. That slope is measured
for each distance at the levels of a model that was trained for the mean squared error, whose weight is known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from codec import CaeError
from codec.distortion.distortions import DISTORTIONS
from codec.networks.registry import default_path
from codec.training.autoencoder import Autoencoder
from codec.training.data.images import find_images, load_images
from codec.training.data.patches import whole_blocks
from codec.training.export import restore

from ..core.arguments import add_weights_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of photographs, not those of the final tests")
    add_weights_argument(parser, default_path())
    parser.add_argument("--images", type=int, default=24, help="how many of the photographs (default: 24)")
    parser.add_argument("--side", type=int, default=256, help="pixels of the middle square that is used (default: 256)")


@torch.inference_mode()
def curves(model: Autoencoder, images: list[np.ndarray], side: int) -> np.ndarray:
    """Means over the middle squares of images at each gain level: bits per pixel and each distance (levels, 1 + distances)."""
    totals = np.zeros((model.config.levels, 1 + len(DISTORTIONS)))
    for image in tqdm(images, unit="image"):
        top, left = ((length - side) // 2 for length in image.shape[:2])
        x = whole_blocks(image[top : top + side, left : left + side])
        for number, row in enumerate(totals):
            decoded, bits_y, bits_z = model(x, torch.tensor([float(number)]))
            row[0] += (bits_y + bits_z).item() / x[0, ..., 0].numel()
            row[1:] += [distortion.distance(decoded, x).item() for distortion in DISTORTIONS.values()]
    return totals / len(images)


def weights_along(points: np.ndarray, lmbda: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lambdas half-way between levels (L - 1,), and the weights of the distances there (L - 1, distances).

    They are scaled so that the first distance, the mean squared error, has the weight 255**2 * lambda that is known.
    """
    steps = np.diff(points, axis=0)
    slopes = -steps[:, :1] / steps[:, 1:]
    middle = np.sqrt(lmbda[1:] * lmbda[:-1])
    return middle, slopes * (255**2 * middle / slopes[:, 0])[:, None]


def run(arguments: argparse.Namespace) -> None:
    least = max(distortion.side for distortion in DISTORTIONS.values())
    if arguments.side < least or arguments.images < 1:
        raise CaeError(f"use at least 1 image, and squares of {least} pixels or more")
    model = restore(arguments.weights).eval()
    images = load_images(find_images(arguments.folder), arguments.side, 2**30, quiet=True)[: arguments.images]
    points = curves(model, images, arguments.side)
    middle, weights = weights_along(points, model.config.lmbda(np.arange(model.config.levels)))
    print("| lambda | bpp | " + " | ".join(DISTORTIONS) + " |\n|" + "---:|" * (2 + len(DISTORTIONS)))
    for lmbda, bpp, row in zip(middle, np.sqrt(points[1:, 0] * points[:-1, 0]), weights, strict=True):
        print(f"| {lmbda:.5f} | {bpp:.3f} | " + " | ".join(f"{weight:.4g}" for weight in row) + " |")
    for name, column in zip(DISTORTIONS, weights.T, strict=True):
        exponent, start = np.polyfit(np.log(middle), np.log(column), 1)
        off = np.abs(np.log(column) - start - exponent * np.log(middle)).max()
        print(f"{name}: {np.exp(start):.4g} * lambda ** {exponent:.3f}, off by at most {100 * np.expm1(off):.0f} %")
