"""Patches of pictures, as batches of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...format.geometry import HYPER_STRIDE
from .augmentation import Augmentation


def random_patches(
    images: Sequence[Tensor],
    count: int,
    size: int,
    rngs: Iterable[np.random.Generator],
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    reduction: int = 1,
) -> Tensor:
    """Cuts a patch of an image (H, W, 3) uint8 for each random generator: (count, size, size, 3) uint8.

    Patches are cut and augmented on the images' device: see `Augmentation.cut`.
    """
    patches = torch.empty(count, size, size, 3, dtype=torch.uint8, device=images[0].device)
    for patch, rng in zip(patches, rngs, strict=True):
        image = images[int(rng.integers(len(images)))]
        patch.copy_(augmentation.cut(image, size, rng, reduction))
    return patches


def whole_blocks(image: np.ndarray, factor: int = 1) -> Tensor:
    """An image (H, W, 3) uint8 as a batch of one in [0, 1], cropped to the multiples of 64 * factor that the networks take."""
    step = factor * HYPER_STRIDE
    height, width = (side // step * step for side in image.shape[:2])
    return torch.from_numpy(image[None, :height, :width].copy()).float() / 255
