"""Pictures for the page: what codecs really decode of a few images, at rates as equal as their settings allow."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from codec import CaeError

from .codecs import Codec
from .images import Sample
from .metrics import psnr_rgb

RATES = (0.15, 0.3, 0.6)
SIDE = 512
_COUNT = 3
_BUDGET = 16_000_000  # characters of all pictures together; the page stays below 25 MB with its charts' library
_SIDE_MIN = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option that chooses images."""
    parser.add_argument(
        "--pictures",
        metavar="A,B,…",
        help=f"images to show in page.html as each codec decodes them, or none (default: the first {_COUNT})",
    )


def choose(names: str | None, images: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The images of these names in the order given; CaeError where one is unknown."""
    if names is None:
        return list(images[:_COUNT])
    chosen = []
    for name in [] if names == "none" else [part.strip() for part in names.split(",") if part.strip()]:
        known = [image for image in images if image["name"] == name]
        if not known:
            raise CaeError(f"--pictures: there is no image {name!r}; there are {', '.join(image['name'] for image in images)}")
        chosen += known
    return chosen


def nearest(points: Sequence[dict[str, Any]], rate: float) -> dict[str, Any]:
    """The point whose bits per pixel are nearest to a rate, as a ratio."""
    return min(points, key=lambda point: (abs(math.log(point["bpp"] / rate)), point["setting"]))


@dataclasses.dataclass(frozen=True)
class _Decoded:
    facts: dict[str, Any]
    pixels: np.ndarray


def _again(point: dict[str, Any], pixels: np.ndarray, codec: Codec) -> _Decoded:
    """Encodes and decodes once more; the figures are of this file and of the whole picture."""
    data = codec.encode(pixels, point["setting"])
    decoded = codec.decode(data)
    if len(data) != point["bytes"]:
        warnings.warn(
            f"{codec.name} at {point['setting']:g} made {len(data)} bytes of {point['image']}, not {point['bytes']} as when "
            "it was measured; the page shows the new figures of the picture beside the old curves",
            stacklevel=2,
        )
    facts = {
        "codec": codec.name,
        "setting": point["setting"],
        "bytes": len(data),
        "bpp": len(data) * 8 / (point["width"] * point["height"]),
        "psnr": psnr_rgb(pixels, decoded),
    }
    return _Decoded(facts, _middle(decoded, SIDE))


def _middle(pixels: np.ndarray, side: int) -> np.ndarray:
    """The central part, at most `side` pixels wide and high. A copy, so that the rest can be freed."""
    height, width = (min(side, extent) for extent in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width].copy()


def _uri(pixels: np.ndarray, side: int) -> str:
    """The central part as a data URI, compressed without loss."""
    buffer = io.BytesIO()
    Image.fromarray(_middle(pixels, side)).save(buffer, "WEBP", lossless=True, quality=50, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _embed(decoded: Sequence[_Decoded]) -> tuple[list[str], int]:
    """Data URIs of the largest crops that fit the budget together, and the crops' greatest side."""
    side = SIDE
    while True:
        uris = [_uri(item.pixels, side) for item in decoded]
        total = sum(map(len, uris))
        if total <= _BUDGET or side <= _SIDE_MIN:
            return uris, side
        side = max(_SIDE_MIN, int(side * math.sqrt(_BUDGET / total) * 0.97) // 16 * 16)


def make(
    everything: Mapping[str, Any],
    chosen: Sequence[dict[str, Any]],
    samples: Mapping[str, Sample],
    codecs: Sequence[Codec],
) -> list[dict[str, Any]]:
    """Encodes and decodes the chosen images with each codec, at its settings nearest to `RATES`.

    Args:
        everything: the results as JSON values.
        chosen: records of images in it.
        samples: images by digest, at least the chosen ones.
        codecs: those to show, of the versions that were measured.

    Returns:
        For each image its name and size, that of the crop, the original and a list of decoded pictures as data URIs with
        their figures, and for each codec the places in that list that belong to `RATES`.
    """
    jobs = []
    for image in chosen:
        for codec in codecs:
            own = [
                point for point in everything["points"] if point["digest"] == image["digest"] and point["codec"] == codec.name
            ]
            if own:
                jobs.append((image, codec, [nearest(own, rate) for rate in RATES]))
    shown: dict[tuple[str, str, float], _Decoded] = {}
    originals = {}
    with tqdm(total=len(jobs), unit="codec", desc="pictures for the page", disable=not jobs) as bar:
        for image, codec, points in jobs:
            pixels = samples[image["digest"]].load()
            originals[image["digest"]] = _Decoded({}, _middle(pixels, SIDE))
            for point in points:
                key = (image["digest"], codec.name, point["setting"])
                if key not in shown:
                    shown[key] = _again(point, pixels, codec)
            bar.update()
    uris, side = _embed([*originals.values(), *shown.values()])
    original_uris = dict(zip(originals, uris, strict=False))
    coded_uris = dict(zip(shown, uris[len(originals) :], strict=True))
    pictures = []
    for image in chosen:
        if image["digest"] not in originals:
            continue
        keys = [key for key in shown if key[0] == image["digest"]]
        pictures.append(
            {
                "name": image["name"],
                "width": image["width"],
                "height": image["height"],
                "crop": [min(side, image["width"]), min(side, image["height"])],
                "original": original_uris[image["digest"]],
                "coded": [{**shown[key].facts, "uri": coded_uris[key]} for key in keys],
                "places": {
                    codec.name: [keys.index((image["digest"], codec.name, point["setting"])) for point in points]
                    for owner, codec, points in jobs
                    if owner is image
                },
            }
        )
    return pictures
