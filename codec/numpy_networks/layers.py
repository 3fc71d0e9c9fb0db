"""Layers of the decoder's networks. Arrays are (rows, columns, channels) float32."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.threads import check_cancelled

STRIP_POSITIONS = 512
"""Positions that a block takes at a time, in whole rows: their hidden features fit in a core's cache of 2 MB."""


class Tensors:
    """A network's tensors by name, of which each is taken once."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self._left = dict(tensors)

    def take(self, name: str, *shape: int) -> np.ndarray:
        """A tensor as float32; LookupError where there is none, ValueError where it has another shape."""
        tensor = self._left.pop(name)
        if tensor.shape != shape:
            raise ValueError(f"{name} has the shape {tensor.shape}, not {shape}")
        return tensor.astype(np.float32)

    def finish(self) -> None:
        """ValueError where tensors are left, which the network does not know."""
        if self._left:
            raise ValueError(f"{', '.join(self._left)}: unknown tensors")


class Pointwise:
    """1x1 convolution, as one matrix product."""

    def __init__(self, tensors: Tensors, name: str, inputs: int, outputs: int) -> None:
        self.weight = np.ascontiguousarray(tensors.take(f"{name}.weight", outputs, inputs).T)
        self.bias = tensors.take(f"{name}.bias", outputs)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(h, w, inputs) to (h, w, outputs)."""
        out = self.without_bias(x)
        out += self.bias
        return out

    def without_bias(self, x: np.ndarray) -> np.ndarray:
        """The product alone."""
        h, w, channels = x.shape
        return (np.ascontiguousarray(x).reshape(h * w, channels) @ self.weight).reshape(h, w, self.weight.shape[1])


class PixelShuffle(Pointwise):
    """Enlarges a grid of features by one matrix product per position: (h, w, inputs) to (h * factor, w * factor, outputs)."""

    reach, blocks = 0, ()

    def __init__(self, tensors: Tensors, name: str, inputs: int, outputs: int, factor: int) -> None:
        super().__init__(tensors, name, inputs, outputs * factor**2)
        self.factor = factor

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return depth_to_space(super().__call__(x), self.factor)


class Block:
    """Residual block: 1x1, an activation, depthwise 3x3, 1x1; then what a kind of blocks does at each position alone.

    Beyond the window there are zeros.
    """

    reach = 1

    def __init__(self, tensors: Tensors, name: str, channels: int, hidden: int, narrowed: int) -> None:
        """`hidden` is the width of the features within the second part, `narrowed` that before its last layer."""
        self._mix_in = Pointwise(tensors, f"{name}.mix_in", channels, channels)
        taps = tensors.take(f"{name}.depthwise.weight", channels, 1, 3, 3)
        self._taps = np.ascontiguousarray(taps.reshape(channels, 9).T)
        depthwise_bias = tensors.take(f"{name}.depthwise.bias", channels)
        self._mix_out = Pointwise(tensors, f"{name}.mix_out", channels, channels)
        self._mix_out.bias = self._mix_out.bias + depthwise_bias @ self._mix_out.weight
        self._up = Pointwise(tensors, f"{name}.up", channels, hidden)
        self._down = Pointwise(tensors, f"{name}.down", narrowed, channels)

    def __call__(self, x: np.ndarray, cropped: Sequence[bool] = (False,) * 4) -> np.ndarray:
        """(h, w, C) to the same without the first row, first column, last row and last column that are `cropped`."""
        top, left, bottom, right = cropped
        (h, w, channels), width = x.shape, x.shape[1] - left - right
        out = np.empty((h - top - bottom, width, channels), np.float32)
        strips = max(1, len(out) // max(1, STRIP_POSITIONS // width))
        edges = [len(out) * number // strips for number in range(strips + 1)]
        mixed = np.zeros((max(np.diff(edges)) + 2, w + 2, channels), np.float32)
        rows = ready = 0  # rows of the strip, and those of x that `mixed` has had
        for first, last in itertools.pairwise(edges):
            check_cancelled()
            # row i of `mixed` is row first + top - 1 + i of x
            if ready:
                mixed[:2] = mixed[rows : rows + 2]
            rows = last - first
            end = min(h, last + top + 1)
            self._mix(x[ready:end], mixed[ready - first - top + 1 :][: end - ready, 1:-1])
            mixed[end - first - top + 1 : rows + 2] = 0
            ready = end
            y = self._mix_out.without_bias(self._depthwise(mixed, rows, left, width))
            y += x[first + top : last + top, left : left + width]
            y += self._mix_out.bias
            self._add_feed_forward(y, out[first:last])
        return out

    def _mix(self, x: np.ndarray, out: np.ndarray) -> None:
        out[:] = self._activate(self._mix_in(x))

    def _depthwise(self, x: np.ndarray, rows: int, left: int, width: int) -> np.ndarray:
        """(rows, width, C) of x, which has one more row at each side, and whose columns begin at `left` - 1."""
        out = np.empty((rows, width, x.shape[2]), np.float32)
        product = np.empty_like(out)
        for number, tap in enumerate(self._taps):
            row, column = divmod(number, 3)
            part = x[row : row + rows, left + column : left + column + width]
            if number == 0:
                np.multiply(part, tap, out=out)
            else:
                np.multiply(part, tap, out=product)
                out += product
        return out

    def _activate(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _add_feed_forward(self, x: np.ndarray, out: np.ndarray) -> None:
        """Writes x plus its feed-forward part to `out`; x may change."""
        raise NotImplementedError


class TransformBlock(Block):
    """A block of the transforms: leaky ReLU, gated feed-forward, features held to `limit`; `stride` is pixels per position."""

    def __init__(self, tensors: Tensors, name: str, channels: int, expansion: int, stride: int, limit: float) -> None:
        super().__init__(tensors, name, channels, 2 * expansion * channels, expansion * channels)
        self.stride, self._limit = stride, np.float32(limit)
        # the gate's hard sigmoid is clip(x / 6 + 1/2, 0, 1)
        gate = slice(expansion * channels, None)
        self._up.weight[:, gate] /= 6
        self._up.bias[gate] = self._up.bias[gate] / 6 + np.float32(0.5)

    def _activate(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x, np.float32(0.1) * x, out=x)

    def _add_feed_forward(self, x: np.ndarray, out: np.ndarray) -> None:
        value, gate = np.split(self._up(x), 2, -1)
        np.maximum(gate, 0, out=gate)
        np.minimum(gate, 1, out=gate)
        x += self._down(value * gate)
        np.clip(x, -self._limit, self._limit, out=out)


class EntropyBlock(Block):
    """A block of the entropy model: ReLU in both parts."""

    def __init__(self, tensors: Tensors, name: str, channels: int) -> None:
        super().__init__(tensors, name, channels, 2 * channels, 2 * channels)

    def _activate(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0, out=x)

    def _add_feed_forward(self, x: np.ndarray, out: np.ndarray) -> None:
        hidden = self._up(x)
        np.add(x, self._down(np.maximum(hidden, 0, out=hidden)), out=out)


def depth_to_space(x: np.ndarray, factor: int) -> np.ndarray:
    """(h, w, factor * factor * C) to (h * factor, w * factor, C), the row within a patch varying slowest."""
    h, w, _ = x.shape
    return x.reshape(h, w, factor, factor, -1).swapaxes(1, 2).reshape(h * factor, w * factor, -1)


def interpolate_levels(table: np.ndarray, level: float) -> np.ndarray:
    """A table's (levels, C) row at a real-valued position, (C,); extrapolates beyond its ends."""
    low = min(max(int(np.floor(level)), 0), len(table) - 2)
    return table[low] + np.float32(level - low) * (table[low + 1] - table[low])
