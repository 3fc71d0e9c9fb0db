"""Coded patches that a small decoder sees several times, because coding them takes much longer than a step of its training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CAPACITY = 2048
"""Most patches that are kept: a step rarely meets the same ones again, and 256 x 256 patches take under 2 GB."""


class CodedPatches(NamedTuple):
    """Coded patches: latents (B, h, w, N) in pixel units, gain levels (B,), bits per pixel (B,).

    `target` holds the pictures that the decoder should make of them, (B, H, W, 3) in [0, 1].
    """

    latent: Tensor
    level: Tensor
    bpp: Tensor
    target: Tensor


class Replay:
    """A buffer of the patches that were coded last, to draw random ones from."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._patches: CodedPatches | None = None
        self._count = 0

    def __len__(self) -> int:
        """Number of patches in the buffer."""
        return min(self._count, self._capacity)

    def add(self, coded: CodedPatches) -> None:
        """Adds patches, which replace the oldest once the buffer is full."""
        if self._patches is None:
            self._patches = CodedPatches(*(part.new_empty(self._capacity, *part.shape[1:]) for part in coded))
        places = torch.arange(self._count, self._count + len(coded.level)) % self._capacity
        for buffer, part in zip(self._patches, coded, strict=True):
            buffer[places.to(buffer.device)] = part
        self._count += len(places)

    def draw(self, count: int, random: torch.Generator) -> CodedPatches:
        """Draws `count` patches in random order; none comes twice while the buffer has enough."""
        assert self._patches is not None
        order = torch.randperm(len(self), generator=random)
        places = order.repeat(-(-count // len(order)))[:count]
        return CodedPatches(*(buffer[places.to(buffer.device)] for buffer in self._patches))
