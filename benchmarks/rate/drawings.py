"""Our codec on pictures that no camera took, beside the least that others take for the same quality: a table."""

from __future__ import annotations

import argparse
import bisect
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from codec import CaeError
from codec.options import QUALITIES

from ..codecs import TestedCodec, registry
from ..core.arguments import add_codec_arguments, integers
from ..core.metrics import psnr_rgb
from ..core.synthetic_pictures import PICTURES

RIVALS = {"JPEG": ("jpeg", "jpeg-444"), "WebP": ("webp",), "AVIF": ("avif-s6", "avif-444-s6")}
"""Lossy formats, and the codecs of which each picture takes the better."""
EXACT: dict[str, Callable[[Image.Image, io.BytesIO], None]] = {
    "WebP exact": lambda image, file: image.save(file, "WEBP", lossless=True, quality=100, method=6),
    "PNG": lambda image, file: image.save(file, "PNG", optimize=True),
}
"""Lossless formats, at their highest effort."""

_GROUND_LEAST = 0.1
"""Share of a picture that its commonest colour covers where it is a ground."""


@dataclasses.dataclass(frozen=True)
class DrawingRow:
    """One picture: bits per pixel and PSNR of ours (None where it is exact), and of others the bits that do as well.

    A format that does not reach our quality has None. `ground` is the share of the pixels of the picture's commonest colour
    that ours gives back off by more than a level; None where that covers less than a tenth.
    """

    picture: str
    quality: int
    bits: float
    psnr: float | None
    ground: float | None
    others: dict[str, float | None]

    @property
    def against_best(self) -> float:
        """Our bits over the least of the others'."""
        return self.bits / min(bits for bits in self.others.values() if bits is not None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_codec_arguments(parser)
    parser.add_argument("--qualities", default="50", metavar="Q,Q…", help="qualities of our codec (default: %(default)s)")
    parser.add_argument("--pictures", metavar="NAME,NAME…", help=f"some of {', '.join(PICTURES)} (default: all)")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the pictures there, and what our files decode to")
    parser.add_argument("--json", action="store_true", help="print JSON")


def ground_off(pixels: np.ndarray, decoded: np.ndarray) -> float | None:
    """Share of the pixels of the commonest colour that are off by more than a level; None where it covers under a tenth."""
    flat = pixels.reshape(pixels.shape[0] * pixels.shape[1], -1)
    colours, counts = np.unique(flat, axis=0, return_counts=True)
    if counts.max() < _GROUND_LEAST * len(flat):
        return None
    ground = (flat == colours[counts.argmax()]).all(-1)
    errors = np.abs(decoded.reshape(flat.shape).astype(np.int16) - flat)[ground]
    return float((errors > 1).any(-1).mean())


def least_bytes(codec: TestedCodec, pixels: np.ndarray, psnr_min: float) -> int | None:
    """Bytes of a codec's smallest file of at least a PSNR in dB, by bisection of its quality; None where no quality has it."""
    sizes = {}

    def reaches(quality: int) -> bool:
        data = codec.encode(pixels, quality)
        decoded = codec.decode(data)
        value = psnr_rgb(pixels, decoded[..., 1] if pixels.ndim == 2 else decoded)
        sizes[quality] = len(data)
        return value is None or value >= psnr_min

    qualities = range(1, 96 if codec.name.startswith("jpeg") else 101)
    place = bisect.bisect_left(qualities, True, key=reaches)
    return sizes[qualities[place]] if place < len(qualities) else None


def measure(
    name: str, pixels: np.ndarray, quality: int, codecs: dict[str, TestedCodec], save: Path | None = None
) -> DrawingRow:
    """Codes a picture with all."""
    ours = next(iter(codecs.values()))
    data = ours.encode(pixels, quality)
    decoded = ours.decode(data)
    reached = psnr_rgb(pixels, decoded)
    image = Image.fromarray(pixels)
    if save:
        image.save(save / f"{name}.png")
        Image.fromarray(decoded).save(save / f"{name}-q{quality}.png")
    others: dict[str, float | None] = {}
    scale = 8 / (image.width * image.height)
    for label, names in RIVALS.items():
        sizes = [least_bytes(codecs[each], pixels, reached) for each in names] if reached is not None else []
        others[label] = min((scale * size for size in sizes if size is not None), default=None)
    for label, write in EXACT.items():
        file = io.BytesIO()
        write(image, file)
        others[label] = scale * file.tell()
    return DrawingRow(name, quality, scale * len(data), reached, ground_off(pixels, decoded), others)


def heading() -> str:
    """The first two lines of the table, in Markdown."""
    labels = ("quality", "PSNR, dB", "ground off", "cae", *RIVALS, *EXACT, "cae / best")
    return f"| picture | {' | '.join(labels)} |\n|---|{'---:|' * len(labels)}"


def line(row: DrawingRow) -> str:
    """One line of the table."""
    reached = "exact" if row.psnr is None else f"{row.psnr:.1f}"
    others = " | ".join("" if bits is None else f"{bits:.3f}" for bits in row.others.values())
    ground = "" if row.ground is None else f"{100 * row.ground:.1f} %"
    return f"| {row.picture} | {row.quality} | {reached} | {ground} | {row.bits:.3f} | {others} | {row.against_best:.2f} |"


def run(arguments: argparse.Namespace) -> None:
    codecs = registry(arguments.weights, arguments.device)
    names = arguments.pictures.split(",") if arguments.pictures else list(PICTURES)
    if unknown := [name for name in names if name not in PICTURES]:
        raise CaeError(f"no picture {unknown[0]!r}; there are {', '.join(PICTURES)}")
    qualities = integers(arguments.qualities, "qualities", QUALITIES)
    if arguments.save:
        arguments.save.mkdir(parents=True, exist_ok=True)
    rows = []
    if not arguments.json:
        print(heading())
    for name in names:
        pixels = PICTURES[name]()
        for quality in qualities:
            rows.append(measure(name, pixels, quality, codecs, arguments.save))
            if not arguments.json:
                print(line(rows[-1]), flush=True)
    better = sum(row.against_best <= 1 for row in rows)
    last = f"\nNo more bits than the best of the others on {better} of {len(rows)}."
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2) if arguments.json else last)
