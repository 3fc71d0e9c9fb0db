"""Coded patches that a small decoder sees several times, since coding them takes much longer than a step of its training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CAPACITY = 2048
"""Patches that are kept: enough that a step sees each but now and then, and under 2 GB for patches of 256 x 256."""


class Coded(NamedTuple):
    """Patches as they were coded: latents (B, h, w, N) in pixel units, gain levels (B,), bits per pixel (B,).

    `wanted` are the pictures that the decoder is to make of them, (B, H, W, 3) in [0, 1].
    """

    latent: Tensor
    level: Tensor
    bpp: Tensor
    wanted: Tensor


class Replay:
    """The patches coded last, and random ones of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: Coded | None = None
        self._count = 0

    def __len__(self) -> int:
        """How many patches are kept."""
        return min(self._count, self._capacity)

    def add(self, coded: Coded) -> None:
        """Keeps patches, in place of the oldest where there is no room."""
        if self._kept is None:
            self._kept = Coded(*(part.new_empty(self._capacity, *part.shape[1:]) for part in coded))
        places = torch.arange(self._count, self._count + len(coded.level)) % self._capacity
        for kept, part in zip(self._kept, coded, strict=True):
            kept[places.to(kept.device)] = part
        self._count += len(places)

    def draw(self, count: int, random: torch.Generator) -> Coded:
        """So many of the patches kept, in random order, each once as far as there are enough."""
        assert self._kept is not None
        order = torch.randperm(len(self), generator=random)
        places = order.repeat(-(-count // len(order)))[:count]
        return Coded(*(kept[places.to(kept.device)] for kept in self._kept))
