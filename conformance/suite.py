"""The suite's list, and the comparison of what a decoder wrote with what it should have written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .png import read_png

ROOT = Path(__file__).parents[1]
"""The checkout, which has the weights that the files need."""
FILES = Path(__file__).with_name("files")
"""Folder of the suite's files, and of their list."""
LIST = "suite.json"
LAYOUT = {
    "symbols": "SHA-256 of the values as int32, little-endian, in order of row, column, channel, tile after tile; lossless "
    "tiles have none. priors: k; hyper: the hyper-latent; latent: its symbols; index: their scale indices",
    "pixels": "SHA-256 of the samples as uint16, little-endian, in order of row, column, channel, alpha last",
    "png": "samples as they are, in 8 bits, or in 16 where they have more than 8; of these a decoder's colours may differ by "
    "1/255 of the largest value, 2**depth - 1, rounded down, and its alpha by nothing",
    "metadata": "SHA-256 of the data of each known section",
}
"""How digests are made, for whoever checks a decoder step by step."""


def digest(array: np.ndarray, kind: str) -> str:
    """SHA-256 of an array's values, converted to a type such as "<u2"."""
    return hashlib.sha256(array.astype(kind).tobytes()).hexdigest()


def read_list(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads what is expected of each file, by its name."""
    return json.loads((folder / LIST).read_text())["files"]


def complaint(output: Path, expected: Mapping[str, Any], folder: Path) -> str | None:
    """Says what is wrong with the PNG that a decoder wrote of a file that it should decode; None if nothing is."""
    try:
        pixels = read_png(output.read_bytes())
    except (OSError, ValueError) as error:
        return f"wrote no picture ({error})"
    shape = expected["height"], expected["width"], expected["channels"]
    if pixels.shape != shape or pixels.itemsize != (1 if expected["depth"] == 8 else 2):
        return f"wrote {pixels.shape} of {8 * pixels.itemsize} bits, not {shape} of depth {expected['depth']}"
    if "png" not in expected:
        return None if digest(pixels, "<u2") == expected["pixels"] else "pixels differ"
    return _difference(pixels, read_png((folder / expected["png"]).read_bytes()), (2 ** expected["depth"] - 1) // 255)


def _difference(pixels: np.ndarray, expected: np.ndarray, allowed: int) -> str | None:
    """Says what is wrong with pixels whose colours may differ by so much."""
    errors = abs(pixels.astype(np.int32) - expected)
    if pixels.shape[2] in (2, 4) and errors[..., -1].any():
        return "alpha differs"
    colours = errors[..., :-1] if pixels.shape[2] in (2, 4) else errors
    if colours.max() > allowed:
        return f"samples differ by up to {colours.max()}, more than {allowed}; {(colours > allowed).mean():.1%} of them"
    return None
