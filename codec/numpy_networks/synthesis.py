"""Synthesis transforms by NumPy, to every size: see `networks.transforms`, `.reduced` and `.enlarging`."""

from __future__ import annotations

import copy

import numpy as np

from ..format.geometry import LATENT_STRIDE
from ..networks.config import (
    FEATURE_LIMIT,
    FEATURE_STRIDE,
    FINE_BLOCKS,
    FINE_CHANNELS,
    FINE_EXPANSION,
    FINE_STRIDE,
    REDUCED_EXPANSION,
    WIDE_LIMIT,
    Config,
)
from ..networks.halos import Halo, shrink
from .layers import PixelShuffle, Pointwise, Tensors, TransformBlock, depth_to_space, interpolate_levels

Blocks = list[TransformBlock]


class Synthesis:
    """Latent (h, w, N) in pixel units to pixels (16h, 16w, 3), about [-0.5, 0.5], not clamped."""

    def __init__(self, tensors: Tensors, config: Config, factor: int = 1) -> None:
        c, n = config.channels, config.latent_channels
        expansion = config.synthesis_wide_expansion
        self._wide_blocks = _blocks(
            tensors, "wide_blocks", config.synthesis_wide_blocks, n, expansion, LATENT_STRIDE, WIDE_LIMIT
        )
        if self._wide_blocks:
            self._log_wide_gain = tensors.take("log_wide_gain", config.levels, n)
        self._from_latent = PixelShuffle(tensors, "from_latent", n, c, 2)
        self._log_feature_gain = tensors.take("log_feature_gain", config.levels, c)
        count, expansion = config.synthesis_blocks, config.synthesis_expansion
        self._blocks = _blocks(tensors, "blocks", count, c, expansion, FEATURE_STRIDE, FEATURE_LIMIT)
        self._patch_out = self._last_layer(tensors, c, factor)
        tensors.finish()

    def _last_layer(self, tensors: Tensors, channels: int, factor: int) -> PixelShuffle | FinePixels:
        return PixelShuffle(tensors, "patch_out", channels, 3, FEATURE_STRIDE)

    @property
    def receptive_field(self) -> int:
        """Pixels to each side of a latent position's that the result depends on, in whole latent positions' worth."""
        blocks = [*self._wide_blocks, *self._blocks, *self._patch_out.blocks]
        return _whole_positions(blocks)

    def shortened(self) -> Synthesis:
        """The same layers with only one block of each width."""
        short = copy.copy(self)
        short._wide_blocks, short._blocks = self._wide_blocks[:1], self._blocks[:1]
        return short

    def __call__(self, y: np.ndarray, level: float, halo: Halo) -> np.ndarray:
        """The pixels without the halo, which counts in positions of the latent; y may change."""
        last = self._patch_out.reach
        later = -(-(last + _reach(self._blocks)) // 2)
        if self._wide_blocks:
            y *= np.exp(interpolate_levels(self._log_wide_gain, level))
            y, halo = _apply_blocks(self._wide_blocks, y, halo, later)
        y, halo = _upsample(self._from_latent, y, halo, later)
        y *= np.exp(interpolate_levels(self._log_feature_gain, level))
        y, halo = _apply_blocks(self._blocks, y, halo, last)
        return _crop(*_upsample(self._patch_out, y, halo, 0))


class EnlargedSynthesis(Synthesis):
    """Latent (h, w, N) in pixel units to pixels (16h * factor, 16w * factor, 3)."""

    def _last_layer(self, tensors: Tensors, channels: int, factor: int) -> FinePixels:
        return FinePixels(tensors, channels, factor)


class FinePixels:
    """Features (h, w, C) at 1/8 to pixels (8h * factor, 8w * factor, 3)."""

    reach = 1

    def __init__(self, tensors: Tensors, channels: int, factor: int) -> None:
        self.factor = factor * FEATURE_STRIDE
        self._direct = PixelShuffle(tensors, "patch_out.direct", channels, 3, self.factor)
        self._enter = PixelShuffle(tensors, "patch_out.enter", channels, FINE_CHANNELS, FEATURE_STRIDE // FINE_STRIDE)
        self.blocks = _blocks(
            tensors, "patch_out.blocks", FINE_BLOCKS, FINE_CHANNELS, FINE_EXPANSION, FINE_STRIDE, FEATURE_LIMIT
        )
        self._leave = PixelShuffle(tensors, "patch_out.leave", FINE_CHANNELS, 3, factor * FINE_STRIDE)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        fine = self._enter(x)
        for block in self.blocks:
            fine = block(fine)
        pixels = self._direct(x)
        pixels += self._leave(fine)
        return pixels


class ReducedSynthesis:
    """Latent (h, w, N) in pixel units to pixels (16h / factor, 16w / factor, 3), about [-0.5, 0.5], not clamped."""

    def __init__(self, tensors: Tensors, config: Config, factor: int) -> None:
        self._side = LATENT_STRIDE // factor
        c = config.reduced_channels(self._side)
        self._from_latent = Pointwise(tensors, "from_latent", config.latent_channels, c)
        self._log_feature_gain = tensors.take("log_feature_gain", config.levels, c)
        self._blocks = _blocks(tensors, "blocks", config.reduced_blocks, c, REDUCED_EXPANSION, LATENT_STRIDE, FEATURE_LIMIT)
        self._patch_out = Pointwise(tensors, "patch_out", c, 3 * self._side**2)
        tensors.finish()

    @property
    def receptive_field(self) -> int:
        """As that of `Synthesis`."""
        return _whole_positions(self._blocks)

    def shortened(self) -> ReducedSynthesis:
        """As that of `Synthesis`."""
        short = copy.copy(self)
        short._blocks = self._blocks[:1]
        return short

    def __call__(self, y: np.ndarray, level: float, halo: Halo) -> np.ndarray:
        """As that of `Synthesis`."""
        f = self._from_latent(y)
        f *= np.exp(interpolate_levels(self._log_feature_gain, level))
        f, halo = _apply_blocks(self._blocks, f, halo, 0)
        return depth_to_space(self._patch_out(_crop(f, halo)), self._side)


def _blocks(tensors: Tensors, name: str, count: int, channels: int, expansion: int, stride: int, limit: float) -> Blocks:
    return [TransformBlock(tensors, f"{name}.{number}", channels, expansion, stride, limit) for number in range(count)]


def _reach(blocks: Blocks) -> int:
    return sum(block.reach for block in blocks)


def _whole_positions(blocks: Blocks) -> int:
    return -(-sum(block.stride * block.reach for block in blocks) // LATENT_STRIDE) * LATENT_STRIDE


def _crop(x: np.ndarray, sides: Halo) -> np.ndarray:
    """Leaves sides away."""
    top, left, bottom, right = sides
    return x[top : x.shape[0] - bottom, left : x.shape[1] - right]


def _apply_blocks(blocks: Blocks, x: np.ndarray, halo: Halo, later: int) -> tuple[np.ndarray, Halo]:
    """As that of `networks.transforms`."""
    first, sides, left = shrink(halo, _reach(blocks), later)
    x = _crop(x, first)
    for block in blocks:
        x = block(x, sides)
    return x, left


def _upsample(layer: PixelShuffle | FinePixels, x: np.ndarray, halo: Halo, later: int) -> tuple[np.ndarray, Halo]:
    """As that of `networks.transforms`."""
    first, sides, left = shrink(halo, layer.reach, later)
    x = layer(_crop(x, first))
    cropped = _crop(x, [layer.factor * layer.reach * shrinks for shrinks in sides])
    return cropped, [layer.factor * side for side in left]
