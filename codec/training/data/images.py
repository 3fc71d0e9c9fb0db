"""Photographs in memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...cli.bars import open_bar
from ...errors import CaeError
from ...images.files import read_image
from ...images.plugins import readable_suffixes
from ...images.samples import converted
from ...runtime.warning import warn


def find_images(folder: Path) -> list[Path]:
    """Finds the image files anywhere below a folder, sorted; raises CaeError where there are none."""
    if not folder.is_dir():
        raise CaeError(f"{folder}: not a folder of images")
    suffixes = readable_suffixes()
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    if not files:
        raise CaeError(f"{folder}: holds no image")
    return files


def _load(path: Path, minimum: int) -> np.ndarray | None:
    """Decodes a file to (H, W, 3) uint8; None where it is unreadable or too small."""
    try:
        picture = read_image(path)
    except CaeError:
        return None
    colour = converted(picture.colour, picture.depth, 8)
    pixels = np.array(np.broadcast_to(colour, (*colour.shape[:2], 3)))
    return pixels if min(pixels.shape[:2]) >= minimum else None


def load_images(files: Sequence[Path], minimum: int, limit_bytes: int, *, quiet: bool = False) -> list[np.ndarray]:
    """Decodes images to uint8 arrays (H, W, 3) until `limit_bytes` are used up.

    The order is random but always the same, so that the images that fit are a fair sample. Unreadable files and images with a
    side under `minimum` pixels are skipped with a warning. Raises CaeError where no image is left.
    """
    files = random.Random(0).sample(files, len(files))
    images: list[np.ndarray] = []
    room, skipped = limit_bytes, 0
    with ThreadPoolExecutor() as pool, open_bar(quiet, total=len(files), desc="images", unit="") as bar:
        for start in range(0, len(files), 16):
            for pixels in pool.map(lambda path: _load(path, minimum), files[start : start + 16]):
                bar.update()
                if pixels is None:
                    skipped += 1
                elif (room := room - pixels.nbytes) >= 0:
                    images.append(pixels)
            if room < 0:
                break
    if not images and room < 0:
        raise CaeError(f"the first image does not fit in {limit_bytes} bytes of memory (--memory-gib)")
    if not images:
        raise CaeError(f"none of {len(files)} images is readable and at least {minimum} pixels on its short side")
    if room < 0:
        message = f"only {len(images)} of {len(files)} images, taken at random, fit in the memory allowed (--memory-gib)"
        warn(message)
    if skipped:
        message = f"{skipped} images are not readable, or have a side under {minimum} pixels, and are left out"
        warn(message)
    return images
