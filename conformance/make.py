"""`python -m conformance.make [FOLDER]`: makes the suite's files, the pictures that they should give, and their list."""

from __future__ import annotations

import argparse
import hashlib
import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from codec import Codec, reference
from codec.format import container
from codec.networks import registry

from .pictures import Weights, picture, valid_files
from .refusals import damaged_files, forged_files
from .suite import FILES, LAYOUT, LIST, ROOT, digest

TINY = ROOT / "tests" / "data" / "tiny.safetensors"
SHIPPED = ("default", "psnr")


def make(folder: Path, pattern: str = "*") -> None:
    """Makes those of the suite's files whose names match a pattern in a folder, which need not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = TINY, *map(registry.find_model, SHIPPED)
    tiny, *shipped = (Weights(path, Codec(weights=path, device="cpu", threads=1)) for path in paths)
    listed: dict[str, dict[str, Any]] = {}
    for name, data, weights in valid_files(tiny, dict(zip(SHIPPED, shipped, strict=True)), pattern):
        (folder / f"{name}.cae").write_bytes(data)
        listed[f"{name}.cae"] = _facts(name, data, weights, folder)
    sound = tiny.codec.encode(picture(90, 77, 2), 80, tile=128)
    for name, data, reason in (*damaged_files(sound), *forged_files(sound)):
        if fnmatch(f"refused-{name}", pattern):
            (folder / f"refused-{name}.cae").write_bytes(data)
            listed[f"refused-{name}.cae"] = {"refused": reason, "weights": str(TINY.relative_to(ROOT))}
    (folder / LIST).write_text(json.dumps({"layout": LAYOUT, "files": listed}, indent=1) + "\n")


def _facts(name: str, data: bytes, weights: Weights, folder: Path) -> dict[str, Any]:
    """Gathers what is expected of a sound file; a picture of it is written where its pixels may differ a little."""
    file = container.read(data)
    header = file.header
    pixels = weights.codec.decode(data).reshape(header.height, header.width, header.channels)
    facts = {
        "weights": str(weights.path.relative_to(ROOT)),
        "width": header.width,
        "height": header.height,
        "channels": header.channels,
        "depth": header.depth,
        "metadata": {section: hashlib.sha256(content).hexdigest() for section, content in file.metadata.items()},
    }
    if symbols := _symbols(data, weights):
        reference.write_png(folder / f"{name}.png", reference.Picture(pixels, header.depth, {}))
        return facts | {"symbols": symbols, "png": f"{name}.png"}
    return facts | {"pixels": digest(pixels, "<u2")}


def _symbols(data: bytes, weights: Weights) -> dict[str, str]:
    """Digests of the symbols of all tiles, step by step; none where all tiles are lossless."""
    header, sections = reference.read_header(data)
    parts = [part for part in reference.read_index(data, header, reference.read_sections(data, sections)[1]) if part.transform]
    if not parts:
        return {}
    model = reference.Model(weights.path, header.model_id)
    tiles = [model.read_symbols(part, header.quality) for part in parts]
    return {step: digest(np.concatenate([getattr(tile, step).ravel() for tile in tiles]), "<i4") for step in tiles[0]._fields}


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m conformance.make", description="Make the conformance suite's files.")
    parser.add_argument("folder", type=Path, nargs="?", default=FILES, help="default: %(default)s")
    make(parser.parse_args().folder)
