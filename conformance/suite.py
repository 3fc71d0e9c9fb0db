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
    "png": "what a decoder wrote: 8 bits, or for deeper samples s of D bits round(s * 65535 / (2**D - 1)); a sample of colour "
    "may differ by 1/255 of the largest value, alpha by nothing",
    "metadata": "SHA-256 of the data of each known section",
}
"""How digests are made, for whoever checks a decoder step by step."""


def digest(array: np.ndarray, kind: str) -> str:
    """SHA-256 of an array's values, converted to a type such as "<u2"."""
    return hashlib.sha256(array.astype(kind).tobytes()).hexdigest()


def read_list(folder: Path) -> dict[str, dict[str, Any]]:
    """What is expected of each file, by its name."""
    return json.loads((folder / LIST).read_text())["files"]


def complaint(output: Path, expected: Mapping[str, Any], folder: Path) -> str | None:
    """What is wrong with the PNG that a decoder wrote of a file that it should decode; None if nothing is."""
    try:
        found = read_png(output.read_bytes())
    except (OSError, ValueError) as error:
        return f"wrote no picture ({error})"
    shape = expected["height"], expected["width"], expected["channels"]
    if found.shape != shape or found.itemsize != (1 if expected["depth"] == 8 else 2):
        return f"wrote {found.shape} of {8 * found.itemsize} bits, not {shape} of depth {expected['depth']}"
    if "png" not in expected:
        return None if digest(_samples(found, expected["depth"]), "<u2") == expected["pixels"] else "pixels differ"
    return _difference(found, read_png((folder / expected["png"]).read_bytes()))


def _samples(found: np.ndarray, depth: int) -> np.ndarray:
    """Samples of a depth, of those that a PNG file holds of them."""
    return found if depth == 8 else (found.astype(np.uint32) * (2**depth - 1) + 32767) // 65535


def _difference(found: np.ndarray, wanted: np.ndarray) -> str | None:
    """What is wrong with pixels that may differ a little in colours."""
    errors = abs(found.astype(np.int32) - wanted)
    if found.shape[2] in (2, 4) and errors[..., -1].any():
        return "alpha differs"
    colours = errors[..., :-1] if found.shape[2] in (2, 4) else errors
    allowed = 1 if found.itemsize == 1 else 257
    if colours.max() > allowed:
        return f"samples differ by up to {colours.max()}, more than {allowed}; {(colours > allowed).mean():.1%} of them"
    return None
