"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path

from codec import CaeError

from . import images


def add_codec_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say which codecs there are."""
    parser.add_argument(
        "--weights", type=Path, action="append", metavar="FILE", help="weights file of our codec; repeat it to compare several"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu", help="where networks run (default: cpu)")
    parser.add_argument(
        "--checkpoints",
        action="append",
        metavar="ARCH=FILE,FILE…",
        help="a CompressAI model: its checkpoints by ascending rate",
    )


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder and the name of the images."""
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="folder of images (default: scikit-image's)")
    parser.add_argument(
        "--dataset",
        choices=images.DATASETS,
        help=f"a known set: scikit-image's photographs, or the 24 Kodak images in FOLDER, verified (from {images.KODAK_PAGE})",
    )


def add_weights_argument(parser: argparse.ArgumentParser, default: Path | None = None) -> None:
    """The weights file of our codec; None where the codec finds its own."""
    help_text = "weights file (default: the one that comes with the codec)"
    parser.add_argument("--weights", type=Path, default=default, metavar="FILE", help=help_text)


def integers(text: str, name: str, allowed: range) -> list[int]:
    """The numbers of a list with commas, sorted, each once; CaeError, which calls them by `name`, for any other."""
    try:
        numbers = sorted({int(number) for number in text.split(",")})
    except ValueError:
        numbers = [-1]
    if any(number not in allowed for number in numbers):
        raise CaeError(f"{name} {text!r} are not integers of {allowed[0]} to {allowed[-1]} with commas between")
    return numbers


def sides(size: str) -> tuple[int, int]:
    """Width and height of "WIDTHxHEIGHT"; CaeError for another text."""
    parts = size.split("x")
    if len(parts) != 2 or not all(side.isdigit() and int(side) for side in parts):
        raise CaeError(f"size {size!r} is not WIDTHxHEIGHT")
    width, height = map(int, parts)
    return width, height
