"""Pictures for the page: what codecs really decode of a few images, at rates as equal as their settings allow."""

from __future__ import annotations

import argparse
import base64
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from codec import CaeError

from ..codecs import TestedCodec
from ..core.images import Sample, crop_middle
from ..core.metrics import psnr_rgb

RATES = (0.15, 0.3, 0.6)
CROP_SIDE = 512
_COUNT = 3
BUDGET = 16_000_000
"""Characters of all pictures together; with its charts' library the page stays below 25 MB."""
_SIDE_MIN = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of what the page shows."""
    parser.add_argument(
        "--training", type=Path, metavar="RUN", help="folder of a cae-train run, of which page.html shows curves"
    )
    parser.add_argument(
        "--pictures",
        metavar="A,B,…",
        help=f"images to show in page.html as each codec decodes them, or none (default: the first {_COUNT})",
    )


def choose(text: str | None, images: Sequence[str]) -> list[str]:
    """The names of images that a text lists, by default the first few; CaeError where one is unknown."""
    if text is None:
        return list(images[:_COUNT])
    names = [] if text == "none" else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in images:
            raise CaeError(f"--pictures: there is no image {name!r}; there are {', '.join(images)}")
    return list(dict.fromkeys(names))


def nearest(points: Sequence[dict[str, Any]], rate: float) -> dict[str, Any]:
    """The point whose bits per pixel are nearest to a rate, as a ratio."""
    return min(points, key=lambda point: (abs(math.log(point["bpp"] / rate)), point["setting"]))


def _again(point: dict[str, Any], pixels: np.ndarray, codec: TestedCodec) -> tuple[dict[str, Any], np.ndarray]:
    """Encodes and decodes once more: figures of this file and of the whole picture, and the picture."""
    data = codec.encode(pixels, point["setting"])
    decoded = codec.decode(data)
    if len(data) != point["bytes"]:
        warnings.warn(
            f"{codec.name} at {point['setting']:g} made {len(data)} bytes of {point['image']}, not {point['bytes']} as when "
            "it was measured; the page shows the new figures beside the picture and the old ones in the curves",
            stacklevel=2,
        )
    facts = {
        "setting": point["setting"],
        "bytes": len(data),
        "bpp": len(data) * 8 / (point["width"] * point["height"]),
        "psnr": psnr_rgb(pixels, decoded),
    }
    return facts, decoded


def _uri(pixels: np.ndarray, side: int) -> str:
    """The central part as a data URI, compressed without loss."""
    buffer = io.BytesIO()
    Image.fromarray(crop_middle(pixels, side)).save(buffer, "WEBP", lossless=True, quality=50, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def embed(crops: Sequence[np.ndarray], budget: int = BUDGET) -> tuple[list[str], int]:
    """Data URIs of the pictures, cropped to the greatest side with which they fit the budget together, and that side."""
    side = CROP_SIDE
    while True:
        uris = [_uri(pixels, side) for pixels in crops]
        total = sum(map(len, uris))
        if total <= budget or side <= _SIDE_MIN:
            return uris, side
        side = max(_SIDE_MIN, int(side * math.sqrt(budget / total) * 0.97) // 16 * 16)


def make(
    everything: Mapping[str, Any],
    chosen: Sequence[dict[str, Any]],
    samples: Mapping[str, Sample],
    codecs: Sequence[TestedCodec],
) -> dict[str, Any]:
    """Encodes and decodes the chosen images with each codec, at its settings nearest to `RATES`.

    Args:
        everything: the results as JSON values.
        chosen: records of images in it.
        samples: images by digest, at least the chosen ones.
        codecs: those to show, of the versions that were measured.

    Returns:
        JSON values: `rates`; `uris`, pictures as data URIs; `side`, the greatest side of their crops; and `images`, each with
        its name and size, the place of the original in `uris`, and for each codec and rate the figures and such a place.
    """
    images, crops = [], []
    bar = tqdm(total=len(chosen) * len(codecs), unit="codec", desc="pictures for the page", disable=not chosen)
    for image in chosen:
        pixels = samples[image["digest"]].load()
        codec_pictures: dict[str, list[dict[str, Any]]] = {}
        crops.append(crop_middle(pixels, CROP_SIDE))
        images.append(
            {key: image[key] for key in ("name", "width", "height")} | {"original": len(crops) - 1, "codecs": codec_pictures}
        )
        for codec in codecs:
            points = [point for point in everything["points"] if _is_of(point, image, codec)]
            done: dict[float, dict[str, Any]] = {}
            for point in (nearest(points, rate) for rate in RATES if points):
                if point["setting"] not in done:
                    facts, decoded = _again(point, pixels, codec)
                    crops.append(crop_middle(decoded, CROP_SIDE))
                    done[point["setting"]] = {**facts, "place": len(crops) - 1}
                codec_pictures.setdefault(codec.name, []).append(done[point["setting"]])
            bar.update()
    bar.close()
    uris, side = embed(crops)
    return {"rates": RATES, "side": side, "images": images, "uris": uris}


def _is_of(point: dict[str, Any], image: dict[str, Any], codec: TestedCodec) -> bool:
    return point["digest"] == image["digest"] and point["codec"] == codec.name
