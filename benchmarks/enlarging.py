"""Pictures that were halved and coded, brought back to their size: by the weights' decoder for that, and by other means."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from codec import CaeError, Codec
from codec.format import container
from codec.format.header import Kind
from codec.format.sources import MemorySource
from codec.images.downscale import reduce
from codec.networks.model import load
from codec.networks.registry import default_path
from codec.networks.weights import Files, Weights, within
from codec.options import QUALITIES
from codec.training.enlarging import Srcnn, bicubic
from codec.training.options import SRCNN

from . import images
from .arguments import add_image_arguments, integers
from .denoising import middle, ssim
from .metrics import psnr_rgb

FACTOR = 2
TILE = 2048
"""Side of the largest tile, of which the pictures are one."""


@dataclasses.dataclass(frozen=True)
class Enlargers:
    """A codec whose weights hold a decoder that enlarges, and the SRCNN that they may hold, of float32 (1, H, W, 3)."""

    codec: Codec
    srcnn: Srcnn | None

    @classmethod
    def load(cls, path: Path) -> Enlargers:
        """CaeError where a file is none, or holds no decoder that enlarges."""
        parts = Weights.read(path).tensors()
        if FACTOR not in load(Files(path)).resized:
            raise CaeError(
                f"{path}: holds no decoder that enlarges; add one (cae-train --enlarge {FACTOR}, see docs/training.md)"
            )
        srcnn = None
        if held := within(parts.get(SRCNN, {}), str(FACTOR)):
            srcnn = Srcnn().eval().requires_grad_(False)
            srcnn.load_state_dict(held)
        return cls(Codec(weights=path, device="cpu"), srcnn)

    def ways(self, data: bytes, shown: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
        """What enlarges the picture of a file, by name; `shown` (h, w, 3) uint8 is what the ordinary decoder gives of it."""
        height, width = (FACTOR * side for side in shown.shape[:2])
        filters = {"bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}
        found: dict[str, Callable[[], np.ndarray]] = {
            name: lambda kind=kind: np.asarray(Image.fromarray(shown).resize((width, height), kind))
            for name, kind in filters.items()
        }
        if self.srcnn is not None:
            x = torch.from_numpy(shown.copy())[None].float() / 255
            found["SRCNN"] = lambda: as_pixels(self.srcnn(bicubic(x, FACTOR)))
        found["decoder of its own"] = lambda: self.codec.decode(data, scale=FACTOR)
        return found


def as_pixels(x: Tensor) -> np.ndarray:
    """A picture (1, H, W, 3) in [0, 1] as (H, W, 3) uint8."""
    return (255 * x[0]).round().clamp(0, 255).to(torch.uint8).numpy()


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
    enlargers = Enlargers.load(arguments.weights)
    samples = images.gather(arguments.dataset, arguments.folder)[: arguments.images]
    if arguments.save:
        arguments.save.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    for sample in tqdm(samples, unit="picture", disable=None):
        whole = middle(sample.load(), arguments.side)
        height, width = (side // FACTOR * FACTOR for side in whole.shape[:2])
        whole = whole[:height, :width]
        for quality in qualities:
            data = enlargers.codec.encode(reduce(whole, FACTOR), quality, tile=TILE)
            if container.read(MemorySource(data)).kind(0) is not Kind.TRANSFORM:
                raise CaeError(f"{sample.path}: is drawn in parts, which no decoder enlarges; use photographs")
            for name, enlarge in enlargers.ways(data, enlargers.codec.decode(data)).items():
                larger = enlarge()
                if arguments.save:
                    Image.fromarray(larger).save(arguments.save / f"{sample.path.stem}, {quality}, {name}.png")
                row = 8 * len(data) / whole[..., 0].size, psnr_rgb(whole, larger) or np.inf, ssim(whole, larger)
                found.setdefault((quality, name), []).append(row)
    print("| quality | enlarged by | bits per pixel of the full size | PSNR, dB | SSIM |\n|---:|---|---:|---:|---:|")
    for (quality, name), rows in sorted(found.items(), key=lambda item: item[0][0]):
        bpp, psnr, likeness = (statistics.fmean(column) for column in zip(*rows, strict=True))
        print(f"| {quality} | {name} | {bpp:.3f} | {psnr:.2f} | {likeness:.4f} |")
