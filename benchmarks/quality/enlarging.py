"""Pictures that were halved and coded, brought back to their size: by the weights' decoder for that, and by other means."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from codec import CaeError, Codec
from codec.format import container
from codec.format.header import Kind
from codec.format.sources import MemorySource
from codec.images.downscale import reduce
from codec.networks.model import load
from codec.networks.registry import default_path
from codec.networks.weights import Files
from codec.options import QUALITIES

from ..core import images
from ..core.arguments import add_image_arguments, integers
from ..core.images import crop_middle
from ..core.metrics import psnr_rgb, ssim

FACTOR = 2
TILE = 2048
"""Side of the largest tile, of which the pictures are one."""


def load_enlarging_codec(path: Path) -> Codec:
    """Loads a codec whose weights have a decoder that enlarges; CaeError for other weights."""
    if FACTOR not in load(Files(path)).resized:
        raise CaeError(f"{path}: holds no decoder that enlarges; add one (cae-train --enlarge {FACTOR}, see docs/training.md)")
    return Codec(weights=path, device="cpu")


def enlarge_each_way(codec: Codec, data: bytes) -> dict[str, np.ndarray]:
    """Decodes a file at twice the size in each way, by name: by filters after the ordinary decoder, and by its own decoder."""
    small = Image.fromarray(codec.decode(data))
    size = FACTOR * small.width, FACTOR * small.height
    return {
        "bicubic": np.asarray(small.resize(size, Image.Resampling.BICUBIC)),
        "Lanczos": np.asarray(small.resize(size, Image.Resampling.LANCZOS)),
        "decoder of its own": codec.decode(data, scale=FACTOR),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Pictures are cut to an even size, halved by the averages of squares, coded, decoded and doubled."
    add_image_arguments(parser)
    parser.add_argument(
        "--weights", type=Path, default=default_path(), metavar="FILE", help="weights file with a decoder that enlarges"
    )
    parser.add_argument("--qualities", default="30,50,70,90", metavar="Q,Q…", help="default: %(default)s")
    parser.add_argument("--images", type=int, metavar="N", help="only the first so many pictures")
    parser.add_argument(
        "--side", type=int, default=2048, metavar="N", help="only the middle of each picture (default: 2048 pixels a side)"
    )
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the pictures there")


def run(arguments: argparse.Namespace) -> None:
    qualities = integers(arguments.qualities, "qualities", QUALITIES)
    if not 2 * 11 <= arguments.side <= FACTOR * TILE or (arguments.images or 1) < 1:
        raise CaeError(f"use at least 1 image, and sides of 22 to {FACTOR * TILE} pixels")
    codec = load_enlarging_codec(arguments.weights)
    samples = images.gather(arguments.dataset, arguments.folder)[: arguments.images]
    if arguments.save:
        arguments.save.mkdir(parents=True, exist_ok=True)
    measured: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    for sample in tqdm(samples, unit="picture", disable=None):
        whole = crop_middle(sample.load(), arguments.side)
        height, width = (side // FACTOR * FACTOR for side in whole.shape[:2])
        whole = whole[:height, :width]
        for quality in qualities:
            data = codec.encode(reduce(whole, FACTOR), quality, tile=TILE)
            if container.read(MemorySource(data)).kind(0) is not Kind.TRANSFORM:
                raise CaeError(
                    f"{sample.path}: quality {quality} codes parts without loss, which no decoder enlarges; leave it out, or "
                    "use lower qualities"
                )
            for name, larger in enlarge_each_way(codec, data).items():
                if arguments.save:
                    Image.fromarray(larger).save(arguments.save / f"{sample.path.stem}, {quality}, {name}.png")
                row = 8 * len(data) / whole[..., 0].size, psnr_rgb(whole, larger) or np.inf, ssim(whole, larger)
                measured.setdefault((quality, name), []).append(row)
    print("| quality | enlarged by | bits per pixel of the full size | PSNR, dB | SSIM |\n|---:|---|---:|---:|---:|")
    for (quality, name), rows in sorted(measured.items(), key=lambda item: item[0][0]):
        bpp, psnr, likeness = (statistics.fmean(column) for column in zip(*rows, strict=True))
        print(f"| {quality} | {name} | {bpp:.3f} | {psnr:.2f} | {likeness:.4f} |")
