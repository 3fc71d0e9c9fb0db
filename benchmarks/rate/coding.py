"""The entropy coder on real latents: speed, overhead over the ideal code length, and file sizes beside it."""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from codec.coding.encoder import encode
from codec.coding.jobs import EncodeJob
from codec.coding.settings import Settings
from codec.coding.tile_encoder import hyper_latent, quantise
from codec.coding.windowed_analysis import analyse
from codec.entropy import coder
from codec.format.geometry import LATENT_STRIDE, Rect, grid
from codec.networks.model import Files, Model, load
from codec.networks.registry import default_path
from codec.options import DEFAULT_TILE, EncodeOptions
from codec.runtime.threads import thread_count

from ..core.arguments import add_image_arguments, add_weights_argument
from ..core.images import Sample, gather

CODED_QUALITIES = (1, 25, 50, 75, 100)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_image_arguments(parser)
    add_weights_argument(parser, default_path())


def measure(sample: Sample, model: Model, quality: int) -> np.ndarray:
    """Symbols, ideal bits, coded bits, file bits, seconds of encoding and of decoding of one image's tiles."""
    settings = Settings(threads=thread_count(None))
    pixels = sample.load()
    bounds = Rect(0, 0, *pixels.shape[:2])
    job = EncodeJob.of(model, settings, (sample.width, sample.height), pixels.shape[2], EncodeOptions(quality))
    latent = analyse(pixels, bounds, bounds, job)
    totals = np.zeros(6)
    for _, cell in grid(bounds, DEFAULT_TILE):
        rows, columns = cell.outward(LATENT_STRIDE).slices
        y = latent[rows, columns]
        quantised = quantise(y, hyper_latent(y, job), job, rounding=False)
        groups = list(quantised.symbols.groups(model.coder.exact, quality))
        start = time.perf_counter()
        payload = coder.encode(groups)
        middle = time.perf_counter()
        decoder = coder.Decoder(payload)
        for table, values in groups:
            decoder.decode(table, len(values))
        end = time.perf_counter()
        ideal = sum(table.ideal_bits(values) for table, values in groups)
        totals += (sum(len(values) for _, values in groups), ideal, 8 * len(payload), 0, middle - start, end - middle)
    file = encode(pixels, job, {})
    totals[3] = 8 * len(file)
    return totals


def run(arguments: argparse.Namespace) -> None:
    samples = gather(arguments.dataset, arguments.folder)
    model = load(Files(arguments.weights))
    torch.set_num_threads(1)
    print("quality  bpp     symbols/px  coder over ideal  file over ideal  encode Msymbols/s  decode Msymbols/s")
    everything = np.zeros(6)
    for quality in CODED_QUALITIES:
        totals = sum((measure(sample, model, quality) for sample in samples), np.zeros(6))
        everything += totals
        _line(str(quality), totals, sum(sample.width * sample.height for sample in samples))
    _line("all", everything, len(CODED_QUALITIES) * sum(sample.width * sample.height for sample in samples))


def _line(name: str, totals: np.ndarray, pixels: int) -> None:
    symbols, ideal, coded, file, encoding, decoding = totals
    print(
        f"{name:<8} {file / pixels:<7.4f} {symbols / pixels:<11.3f} {100 * (coded / ideal - 1):<+17.3f} "
        f"{100 * (file / ideal - 1):<+16.3f} {symbols / encoding / 1e6:<18.1f} {symbols / decoding / 1e6:.1f}"
    )
