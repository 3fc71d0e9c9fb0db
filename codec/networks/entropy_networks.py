"""The entropy networks in integer arithmetic: the same means and scale indices on every machine.

Every value is a 32-bit integer. A layer computes

    clamp((weight @ x + bias) >> shift, low, high)

with 8-bit weights, 16-bit activations, a shift (which rounds down) for each output, and sums that 32 bits hold, so
that the order of summation cannot matter. Depthwise convolutions are sums of shifted products. The layers mirror
those of `codec.networks.entropy_model`, from which `codec.training.export` makes the integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .config import Config
from .layers import depth_to_space
from .products import LIMIT, check_sums, product

SCALE_MIN, SCALE_MAX, SCALES = 0.11, 256.0, 64
"""Range and number of the log-spaced standard deviations that have a probability table."""
SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
"""What the logarithm of the standard deviation grows by from one scale index to the next."""
NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0))
"""Offsets (row, column) of a latent's direct neighbours, in the order of the operand `neighbour.weight`."""
HYPER_BITS = 6
"""Fractional bits of the hyper-latent where it enters the networks."""
MEAN_BITS = 6
"""Fractional bits of means and of the reconstructed latent."""
SCALE_BITS = 4
"""Fractional bits of the scale index before it is rounded."""
MEAN_LIMIT = 2**28
"""Largest magnitude of a mean before neighbours are added to it."""
SLICE_POSITIONS = 1024
"""Positions that a layer takes at a time on a CPU, so that its sums stay in the cache."""

Tensors = Mapping[str, Tensor]


class Layer:
    """One integer layer from `name`.weight (out, in) int8, `name`.bias (out,) int32 and `name`.shift (out,) int32."""

    def __init__(self, tensors: Tensors, name: str, rows: slice | Tensor = slice(None), columns: slice = slice(None)) -> None:
        self.shift = read_shift(tensors, name)[rows]
        self.product = product(tensors[f"{name}.weight"][rows][:, columns], tensors[f"{name}.bias"][rows])

    def __call__(self, x: Tensor, low: int = -LIMIT, high: int = LIMIT) -> Tensor:
        """Applies a linear layer to x (..., in), giving (..., out)."""
        flat = x.reshape(-1, x.shape[-1])
        out = flat.new_empty(len(flat), len(self.shift))
        step = SLICE_POSITIONS if x.device.type == "cpu" else max(1, len(flat))
        for rows, into in zip(flat.split(step), out.split(step), strict=True):
            if not len(rows):
                break
            torch.clamp(self.product(rows).bitwise_right_shift_(self.shift), low, high, out=into)
        return out.reshape(*x.shape[:-1], len(self.shift))


class Depthwise:
    """A 3x3 depthwise layer, from the tensors of a `Layer` whose inputs are the taps, row by row."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        self.shift = read_shift(tensors, name)
        weight, self.bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        check_sums(weight, self.bias)
        self.weight = weight.T.to(torch.int32).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """Applies the layer to x (B, h, w, C), zero-padded to keep its size."""
        _, h, w, _ = x.shape
        padded = torch.nn.functional.pad(x, (0, 0, 1, 1, 1, 1))
        out = self.bias.expand_as(x).clone()
        for tap, weight in enumerate(self.weight):
            row, column = divmod(tap, 3)
            out.addcmul_(padded[:, row : row + h, column : column + w], weight)
        return out.bitwise_right_shift_(self.shift).clamp_(-LIMIT, LIMIT)


def read_shift(tensors: Tensors, name: str) -> Tensor:
    """The shifts of a layer's outputs; ValueError where they cannot be."""
    shift = tensors[f"{name}.shift"]
    if shift.min() < 1 or shift.max() > 31:
        raise ValueError(f"{name}: shifts must be 1 to 31")
    return shift


def _bounded(tensors: Tensors, name: str, largest: int) -> Tensor:
    """A tensor as int32; ValueError where it is not of integers up to `largest`."""
    values = tensors[name]
    if values.is_floating_point() or values.long().abs().max() > largest:
        raise ValueError(f"{name}: not integers up to {largest}")
    return values.to(torch.int32)


class Block:
    """Integer twin of `hyper_analysis.EntropyBlock`."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        self.mix_in, self.mix_out, self.up, self.down = (
            Layer(tensors, f"{name}.{layer}") for layer in ("mix_in", "mix_out", "up", "down")
        )
        self.depthwise = Depthwise(tensors, f"{name}.depthwise")

    def __call__(self, x: Tensor) -> Tensor:
        x = self.mix_out(self.depthwise(self.mix_in(x, low=0))).add_(x).clamp_(-LIMIT, LIMIT)
        return self.down(self.up(x, low=0)).add_(x).clamp_(-LIMIT, LIMIT)


class Pass:
    """Heads of one context pass: means and scale indices of the latents that it codes.

    A position codes every other channel; which ones depends on the parity of row + column + pass. All arrays are
    *packed*: (B, h, w, N/2), where column j stands for channel 2j + that parity.
    """

    def __init__(self, tensors: Tensors, name: str, number: int, channels: int) -> None:
        half = channels // 2
        self.half = half
        self.heads = []
        for parity in (0, 1):
            chosen = torch.arange((parity + number) % 2, channels, 2, device=tensors[f"{name}.weight"].device)
            self.heads.append(Layer(tensors, name, rows=torch.cat([chosen, chosen + channels])))

    def __call__(self, features: Tensor, odd: Tensor, log_gain: Tensor) -> tuple[Tensor, Tensor]:
        """Means (in units of 2**-MEAN_BITS) and scale indices (uint8), packed; `log_gain` is packed as well."""
        b, h, w, c = features.shape
        out = features.new_empty(b, h * w, 2 * self.half)
        flat = features.reshape(b, h * w, c)
        for parity, head in enumerate(self.heads):
            chosen = odd == parity
            out[:, chosen] = head(flat[:, chosen], low=-MEAN_LIMIT, high=MEAN_LIMIT)
        mean, scale = out.reshape(b, h, w, -1).split(self.half, -1)
        index = scale.add(log_gain).add_(2 ** (SCALE_BITS - 1)).bitwise_right_shift_(SCALE_BITS)
        return mean, index.clamp_(0, SCALES - 1).to(torch.uint8)


def parity(height: int, width: int, device: torch.device | str) -> Tensor:
    """(row + column) % 2 of each position: (height, width)."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return (rows[:, None] + columns) % 2


def pack(y: Tensor, number: int) -> Tensor:
    """The latents (B, h, w, N/2) that pass 0 or 1 codes, of y (B, h, w, N)."""
    odd = parity(y.shape[1], y.shape[2], y.device)[..., None] == 1
    pair = (y[..., 1::2], y[..., 0::2]) if number == 0 else (y[..., 0::2], y[..., 1::2])
    return torch.where(odd, *pair)


def unpack(first: Tensor, second: Tensor) -> Tensor:
    """Inverse of `pack`, for both passes at once: (B, h, w, N)."""
    odd = parity(first.shape[1], first.shape[2], first.device)[..., None] == 1
    return torch.stack([torch.where(odd, second, first), torch.where(odd, first, second)], -1).flatten(-2)


def deviation(y: Tensor, mean: Tensor, number: int) -> Tensor:
    """What the latents y (B, h, w, N) of a pass differ by from their means, in quantisation steps (packed)."""
    return pack(y, number) - mean * 2.0**-MEAN_BITS


class EntropyNetworks:
    """Hyper synthesis and both context passes on integers, for tiles of one size at a time.

    `tensors` are those of the weights file named `entropy/…`, without that prefix.
    """

    def __init__(self, tensors: Tensors, config: Config) -> None:
        n = config.latent_channels
        self.leading = config.leading_channels
        self.quality_bias = _bounded(tensors, "quality_bias", 2**30)
        self.log_gain = _bounded(tensors, "log_gain", 2**30)
        self.compress = _bounded(tensors, "compress", LIMIT + 1)
        self.enter, self.upsample = Layer(tensors, "hyper_synthesis.enter"), Layer(tensors, "hyper_synthesis.upsample")
        self.block_half, self.block = Block(tensors, "hyper_synthesis.block_half"), Block(tensors, "hyper_synthesis.block")
        self.first_block = Block(tensors, "first_block")
        self.first_pass = Pass(tensors, "first_head", 0, n)
        self.embed = [Layer(tensors, "embed", columns=slice(odd, None, 2)) for odd in (0, 1)]
        self.second_blocks = [Block(tensors, f"second_blocks.{i}") for i in range(config.context_blocks)]
        self.second_pass = Pass(tensors, "second_head", 1, n)
        weight, self.neighbour_bias = tensors["neighbour.weight"], tensors["neighbour.bias"]
        check_sums(weight, self.neighbour_bias)
        self.neighbours, self.neighbour_shift = weight.T.to(torch.int32).contiguous(), read_shift(tensors, "neighbour")

    def _packed(self, values: Tensor, odd: Tensor, number: int, shape: tuple[int, ...]) -> Tensor:
        """A per-channel vector (C,) in the packed layout of a pass: (h, w, C/2)."""
        return torch.stack([values[number % 2 :: 2], values[(number + 1) % 2 :: 2]])[odd].reshape(*shape, -1)

    def first(self, z: Tensor, quality: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """From the hyper-latent z (B, ceil(height/4), ceil(width/4), Z) int32 to the features (B, height, width, H) of the
        second pass, and the means and scale indices of the first (packed)."""
        largest = LIMIT >> HYPER_BITS
        x = depth_to_space(self.enter(z.clamp(-largest, largest).bitwise_left_shift_(HYPER_BITS)), 2)
        x = depth_to_space(self.upsample(self.block_half(x)), 2)[:, :height, :width]
        x = self.block((x + self.quality_bias[quality - 1]).clamp_(-LIMIT, LIMIT))
        features = self.first_block(x)
        odd = parity(height, width, x.device).flatten()
        log_gain = self._packed(self.log_gain[quality - 1], odd, 0, (height, width))
        return (features, *self.first_pass(features, odd, log_gain))

    def second(self, features: Tensor, mean: Tensor, symbols: Tensor, quality: int) -> tuple[Tensor, Tensor]:
        """Means and scale indices of the second pass (packed), given the first one's means and symbols (int32)."""
        b, h, w, c = features.shape
        odd = parity(h, w, features.device).flatten()
        known = torch.add(mean, symbols, alpha=2**MEAN_BITS)
        known = known.clamp_(-LIMIT - 1, LIMIT).add_(LIMIT + 1).flatten()
        flat, known = features.reshape(b, h * w, c).clone(), self.compress.index_select(0, known).reshape(b, h * w, -1)
        for position in (0, 1):
            chosen = odd == position
            flat[:, chosen] += self.embed[position](known[:, chosen])
        x = flat.clamp_(-LIMIT, LIMIT).reshape(b, h, w, c)
        for block in self.second_blocks:
            x = block(x)
        log_gain = self._packed(self.log_gain[quality - 1], odd, 1, (h, w))
        mean, index = self.second_pass(x, odd, log_gain)
        mean[..., : self.leading // 2] += self._innovation(symbols, odd)
        return mean, index

    def _innovation(self, symbols: Tensor, odd: Tensor) -> Tensor:
        """Integer twin of `EntropyModel._innovation`, packed: (B, h, w, leading/2)."""
        _, h, w, _ = symbols.shape
        known = symbols[..., : self.leading // 2].clamp(-LIMIT, LIMIT)
        padded = torch.nn.functional.pad(known, (0, 0, 1, 1, 1, 1))
        bias, shift, *weights = (
            self._packed(values, odd, 1, (h, w)) for values in (self.neighbour_bias, self.neighbour_shift, *self.neighbours)
        )
        total = bias.expand_as(known).clone()
        for (row, column), weight in zip(NEIGHBOURS, weights, strict=True):
            total.addcmul_(padded[:, 1 + row : 1 + row + h, 1 + column : 1 + column + w], weight)
        return total.bitwise_right_shift_(shift)
