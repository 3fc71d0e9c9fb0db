"""Means of the latent by NumPy: see `networks.means`, of which these are the layers."""

from __future__ import annotations

import numpy as np

from ..entropy.scale_model import EDGES, STAGES, stage_of
from ..networks.config import Config
from .layers import EntropyBlock, Pointwise, Tensors, depth_to_space, interpolate_levels


class Means:
    """Means of a tile's latent, in quantisation steps."""

    def __init__(self, tensors: Tensors, config: Config) -> None:
        n, h, z = config.latent_channels, config.entropy_channels, config.hyper_channels
        self._quality_bias = tensors.take("quality_bias", config.levels, h)
        self._enter = Pointwise(tensors, "hyper_synthesis.enter", z, 4 * z)
        self._block_half = EntropyBlock(tensors, "hyper_synthesis.block_half", z)
        self._upsample = Pointwise(tensors, "hyper_synthesis.upsample", z, 4 * h)
        self._block = EntropyBlock(tensors, "hyper_synthesis.block", h)
        self._anchor_block = EntropyBlock(tensors, "anchor_block", h)
        self._anchor_head = Pointwise(tensors, "anchor_head", h, n)
        self._embed = Pointwise(tensors, "embed", n, h)
        self._context_blocks = [EntropyBlock(tensors, f"context_blocks.{number}", h) for number in range(config.context_blocks)]
        self._context_head = Pointwise(tensors, "context_head", h, n)
        self._neighbour_weight = tensors.take("neighbour_weight", len(EDGES), config.leading_channels)
        tensors.finish()

    def of_symbols(self, hyper: np.ndarray, latent: np.ndarray, level: float) -> np.ndarray:
        """Means (h, w, N), given the hyper-latent (⌈h/4⌉, ⌈w/4⌉, Z) and the latent's symbols (h, w, N), both float32."""
        height, width, _ = latent.shape
        half = self._block_half(depth_to_space(self._enter(hyper), 2))
        features = depth_to_space(self._upsample(half), 2)
        features += interpolate_levels(self._quality_bias, level)
        features = self._anchor_block(self._block(features)[:height, :width])
        mean = self._anchor_head(features)
        mask = _anchors(*latent.shape)
        anchors = mean + latent
        anchors *= mask
        features += self._embed(_asinh(anchors))
        for block in self._context_blocks:
            features = block(features)
        others = self._context_head(features)
        leading = self._neighbour_weight.shape[1]
        others[..., :leading] += self._innovation(latent[..., :leading] * mask[..., :leading])
        np.copyto(others, mean, where=mask)
        return others

    def _innovation(self, symbols: np.ndarray) -> np.ndarray:
        """Returns what the leading channels' means gain from their neighbours' symbols, linearly."""
        padded = np.pad(symbols, ((1, 1), (1, 1), (0, 0)))
        h, w, _ = symbols.shape
        return sum(
            padded[1 + row : 1 + row + h, 1 + column : 1 + column + w] * weight
            for (row, column), weight in zip(EDGES, self._neighbour_weight, strict=True)
        )


def _anchors(height: int, width: int, channels: int) -> np.ndarray:
    """Mask (height, width, channels) of the anchors."""
    rows, columns, channel = np.ogrid[:2, :2, :channels]
    pattern = stage_of(rows, columns, channel) < STAGES // 2
    return np.tile(pattern, (-(-height // 2), -(-width // 2), 1))[:height, :width]


def _asinh(x: np.ndarray) -> np.ndarray:
    """Inverse hyperbolic sine; of x, which may change, much faster than NumPy's own."""
    magnitude = np.abs(x)
    root = np.sqrt(magnitude * magnitude + 1)
    root += magnitude
    return np.copysign(np.log(root, out=root), x, out=x)
