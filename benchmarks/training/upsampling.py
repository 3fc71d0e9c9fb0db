"""Ways to enlarge in the synthesis, each trained from scratch on equal data: loss, speed and checkerboards."""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from torch import Tensor

from codec.format.geometry import LATENT_STRIDE
from codec.networks.config import FEATURE_STRIDE, MODELS, Config
from codec.networks.transforms import Synthesis
from codec.training.autoencoder import Autoencoder
from codec.training.data.images import find_images, load_images
from codec.training.data.patches import random_patches
from codec.training.initialisation import start_from_components

from ..core.operations import macs_per_pixel
from .courses import add_training_arguments, figure, options_for, read_course, train_or_continue
from .upsampling_layers import UPSAMPLINGS, macs_per_position, replace_layers

COLOURS = ((0, 0, 0), (64, 64, 64), (128, 128, 128), (255, 255, 255), (200, 60, 40), (40, 90, 190))
PLAIN_SIDE, BORDER = 256, 80
"""Pixels of a constant picture, and of its border that is not looked at."""
LATENT_SIDE = 32
"""Latent positions on a side that are synthesised for the speed."""


def checkerboard_energy(model: Autoencoder) -> float:
    """Variance of what repeats every 16 pixels in pictures of one colour, coded and decoded, in squared 8-bit levels.

    The mean over colours, over a low, a middle and a high level of quality, and over the channels.
    """
    pictures = torch.tensor(COLOURS)[:, None, None].expand(-1, PLAIN_SIDE, PLAIN_SIDE, -1).float() / 255
    energies = []
    with torch.inference_mode():
        for level in (0, (model.config.levels - 1) / 2, model.config.levels - 1):
            decoded = 255 * model(pictures, torch.full((len(pictures),), float(level)))[0]
            energies.append(repeating_variance(decoded[:, BORDER:-BORDER, BORDER:-BORDER]))
    return statistics.fmean(energies)


def repeating_variance(pictures: Tensor) -> float:
    """Variance of the mean over all squares of 16 x 16 of pictures (B, H, W, C), H and W multiples of 16."""
    b, height, width, c = pictures.shape
    squares = pictures.reshape(b, height // LATENT_STRIDE, LATENT_STRIDE, width // LATENT_STRIDE, LATENT_STRIDE, c)
    return squares.mean((1, 3)).var((1, 2), correction=0).mean().item()


@torch.inference_mode()
def megapixels_per_second(model: Autoencoder) -> float:
    """Speed of the synthesis alone in float32, median of five windows of 512 x 512 pixels."""
    y = torch.randn(1, LATENT_SIDE, LATENT_SIDE, model.config.latent_channels)
    level = torch.tensor([float(model.config.levels // 2)])
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        model.synthesis(y, level)
        seconds.append(time.perf_counter() - start)
    return (LATENT_SIDE * LATENT_STRIDE) ** 2 / 1e6 / statistics.median(seconds[1:])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Into the output folder go a run for each way, upsampling.md and upsampling.png. An interrupted command goes on when "
        "it is repeated. Speed is of this machine and its threads (OMP_NUM_THREADS); leave it alone meanwhile."
    )
    add_training_arguments(parser)


def synthesis_macs(model: Autoencoder) -> float:
    """Multiply-accumulates per pixel of a model's synthesis with its own layers that enlarge."""
    usual = macs_per_pixel(model.config)["synthesis"]
    return usual - _enlarging_macs(Synthesis(model.config)) + _enlarging_macs(model.synthesis)


def _enlarging_macs(synthesis: Synthesis) -> float:
    return (
        macs_per_position(synthesis.from_latent) / LATENT_STRIDE**2 + macs_per_position(synthesis.patch_out) / FEATURE_STRIDE**2
    )


def new_model(config: Config, images: list[np.ndarray], seed: int, upsampling: str) -> Autoencoder:
    """Makes a model that starts from the images' principal components and enlarges in the named way."""
    torch.manual_seed(seed)
    model = Autoencoder(config)
    rng = np.random.default_rng(seed)
    start_from_components(model, random_patches([torch.from_numpy(image) for image in images], 6000, 16, [rng] * 6000))
    replace_layers(model, upsampling)
    return model.eval()


def run(arguments: argparse.Namespace) -> None:
    images = load_images(find_images(arguments.images), arguments.patch, int(arguments.memory_gib * 2**30), quiet=True)
    config = MODELS[arguments.model]
    initial = {name: new_model(config, images, arguments.seed, name) for name in UPSAMPLINGS}
    # each training loads its own
    del images
    courses = []
    lines = ["| upsampling | synthesis, kMAC per pixel | MP/s | minutes | validation loss | checkerboard energy: start, end |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for name, start in initial.items():
        before = checkerboard_energy(start)
        options = options_for(arguments, name, {}, config)
        model = train_or_continue(name, options, config, start).average.cpu().eval()
        course = read_course(name, options.run / "log.csv")
        courses.append(course)
        _, minutes, _, loss = course.points[-1]
        macs, speed, after = synthesis_macs(model), megapixels_per_second(model), checkerboard_energy(model)
        lines.append(f"| {name} | {macs / 1000:.1f} | {speed:.2f} | {minutes:.2f} | {loss:.4f} | {before:.4f}, {after:.4f} |")
    text = "\n".join(lines)
    (arguments.out / "upsampling.md").write_text(text + "\n", encoding="utf-8")
    figure(courses, "Ways to enlarge, each from scratch").savefig(arguments.out / "upsampling.png", dpi=150)
    print(text)
