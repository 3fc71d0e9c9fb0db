"""Photographs in memory, and random patches of them."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import CaeError
from ..format.geometry import HYPER_STRIDE
from ..images.files import read_image
from ..images.samples import converted
from .augmentation import Augmentation

SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def find_images(folder: Path) -> list[Path]:
    """Image files anywhere below a folder, sorted; CaeError where there are none."""
    if not folder.is_dir():
        raise CaeError(f"{folder}: not a folder of images")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise CaeError(f"{folder}: holds no image ({', '.join(sorted(SUFFIXES))})")
    return files


def _load(path: Path, minimum: int) -> np.ndarray | None:
    try:
        picture = read_image(path)
    except CaeError:
        return None
    colour = converted(picture.colour, picture.depth, 8)
    pixels = np.array(np.broadcast_to(colour, (*colour.shape[:2], 3)))
    return pixels if min(pixels.shape[:2]) >= minimum else None


def load_images(files: Sequence[Path], minimum: int, limit_bytes: int, *, quiet: bool = False) -> list[np.ndarray]:
    """Decodes images to uint8 arrays (H, W, 3), up to the first beyond `limit_bytes` in all.

    Their order is random, but always the same, so that those that memory holds are a fair sample. Unreadable files and
    images with a side under `minimum` pixels are passed over, with a warning; CaeError where none is left.
    """
    files = random.Random(0).sample(files, len(files))
    images: list[np.ndarray] = []
    room, passed_over = limit_bytes, 0
    with ThreadPoolExecutor() as pool, tqdm(total=len(files), desc="images", unit="", disable=quiet) as bar:
        for start in range(0, len(files), 16):
            for pixels in pool.map(lambda path: _load(path, minimum), files[start : start + 16]):
                bar.update()
                if pixels is None:
                    passed_over += 1
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
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    if passed_over:
        message = f"{passed_over} images are not readable, or have a side under {minimum} pixels, and are left out"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return images


def random_patches(
    images: Sequence[Tensor],
    count: int,
    size: int,
    rngs: Iterable[np.random.Generator],
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    reduction: int = 1,
) -> Tensor:
    """A patch of an image (H, W, 3) uint8 for each source of random numbers, (count, size, size, 3) uint8.

    They are cut and changed on the device where the images are: see `Augmentation.cut`.
    """
    patches = torch.empty(count, size, size, 3, dtype=torch.uint8, device=images[0].device)
    for patch, rng in zip(patches, rngs, strict=True):
        image = images[int(rng.integers(len(images)))]
        patch.copy_(augmentation.cut(image, size, rng, reduction))
    return patches


def whole_blocks(image: np.ndarray, factor: int = 1) -> Tensor:
    """An image (H, W, 3) uint8 as a batch of one in [0, 1], cut to the multiples of 64 * factor that the networks take."""
    step = factor * HYPER_STRIDE
    height, width = (side // step * step for side in image.shape[:2])
    return torch.from_numpy(image[None, :height, :width].copy()).float() / 255
