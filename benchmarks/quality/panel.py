"""The same part of several pictures side by side, each with a caption, for reports."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from codec import CaeError
from codec.cli.values import parse_region
from codec.images.files import read_image
from codec.images.samples import converted

_DPI = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Pictures of a half or a quarter of the size of the largest are shown as large as it, pixel by pixel."
    parser.add_argument("out", type=Path, metavar="OUT", help="picture to write (.png)")
    parser.add_argument("pictures", nargs="+", metavar="CAPTION=FILE", help="what stands above each, and its file")
    parser.add_argument(
        "--crop", required=True, type=parse_region, metavar="X,Y,W,H", help="part to show, in pixels of the largest"
    )
    parser.add_argument("--zoom", type=int, default=2, metavar="N", help="times as large (default: 2)")
    parser.add_argument("--columns", type=int, metavar="N", help="pictures in a row (default: all)")


def run(arguments: argparse.Namespace) -> None:
    x, y, width, height = arguments.crop
    if arguments.out.suffix != ".png":
        raise CaeError(f"{arguments.out}: the panel is written as .png")
    named = []
    for text in arguments.pictures:
        caption, equals, name = text.rpartition("=")
        if not equals:
            raise CaeError(f"{text}: CAPTION=FILE is wanted")
        picture = read_image(Path(name))
        colour = converted(picture.colour, picture.depth, 8)
        named.append((caption, np.broadcast_to(colour, (*colour.shape[:2], 3))))
    full = max(picture.shape[0] for _, picture in named)
    if min(width, height) < 1 or min(arguments.zoom, arguments.columns or 1) < 1:
        raise CaeError("the part, the zoom and the columns must be of one pixel or more")
    crops = []
    for caption, picture in named:
        factor = round(full / picture.shape[0])
        if abs(factor * picture.shape[0] - full) >= factor:
            raise CaeError(f"the picture {caption!r} is no whole number of times smaller than the largest")
        crop = picture.repeat(factor, 0).repeat(factor, 1)[y : y + height, x : x + width]
        if crop.shape[:2] != (height, width):
            raise CaeError(f"--crop {x},{y},{width},{height}: is beyond the picture {caption!r}")
        crops.append((caption, crop))
    drawing = panel(crops, arguments.zoom, arguments.columns or len(crops))
    drawing.savefig(arguments.out, dpi=_DPI)


def panel(crops: Sequence[tuple[str, np.ndarray]], zoom: int, columns: int) -> Figure:
    """Pictures (h, w, 3) uint8 of one size with captions, in rows of so many, each pixel as a square of `zoom`."""
    height, width = (zoom * side for side in crops[0][1].shape[:2])
    rows, gap, head = -(-len(crops) // columns), 8, 24
    total = columns * (width + gap) - gap, rows * (height + head)
    drawing = Figure(figsize=(total[0] / _DPI, total[1] / _DPI))
    for number, (caption, crop) in enumerate(crops):
        row, column = divmod(number, columns)
        left, bottom = column * (width + gap), total[1] - (row + 1) * (height + head)
        axes = drawing.add_axes((left / total[0], bottom / total[1], width / total[0], height / total[1]))
        axes.imshow(crop.repeat(zoom, 0).repeat(zoom, 1), interpolation="none")
        axes.set_axis_off()
        axes.set_title(caption, fontsize=10, pad=5)
    return drawing
