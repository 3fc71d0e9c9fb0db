"""The entropy networks in integer arithmetic: the same means and scale indices on every machine.

Every value is an integer held in float64. A layer computes

    clamp(floor((weight @ x + bias) / 2**shift + 1/2), low, high)

with 16-bit weights and activations, so that each partial sum is an integer below 2**53 and exact in any order, on
any BLAS, on a CPU or a GPU. Depthwise convolutions are sums of shifted products. The layers mirror those of
`codec.hyperprior`, from which `codec.training.export` makes the integers.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .config import Config
from .hyperprior import NEIGHBOURS, SCALES
from .transforms import depth_to_space

LIMIT = 2**15 - 1
"""Largest magnitude of an activation."""
SUM_LIMIT = 2**52
"""Largest magnitude of a sum: below it float64 holds every integer, and half an integer too."""
MEAN_BITS = 6
"""Fractional bits of means and of the reconstructed latent."""
SCALE_BITS = 4
"""Fractional bits of the scale index before it is rounded."""

Tensors = Mapping[str, Tensor]


def scale_factor(tensors: Tensors, name: str) -> float:
    """2**-shift of a layer."""
    into, weight, out = tensors[f"{name}.format"].tolist()
    return 2.0 ** (out - into - weight)


class Layer:
    """One integer layer's operands, scaled by 2**-shift beforehand, which is exact.

    `name`.format holds the fractional bits of the input, the weight and the output: shift = input + weight - output.
    """

    def __init__(self, tensors: Tensors, name: str, rows: slice | Tensor = slice(None), columns: slice = slice(None)) -> None:
        factor = scale_factor(tensors, name)
        sizes = tensors[f"{name}.weight"].double().abs().sum(1) * (LIMIT + 1) + tensors[f"{name}.bias"].double().abs()
        if sizes.max() > SUM_LIMIT:
            raise ValueError(f"{name}: sums could exceed what float64 holds exactly")
        self.weight = tensors[f"{name}.weight"][rows][:, columns].double().T.contiguous() * factor
        self.bias = tensors[f"{name}.bias"][rows].double() * factor + 0.5

    def __call__(self, x: Tensor, low: int = -LIMIT, high: int = LIMIT) -> Tensor:
        """Applies a linear layer to x (..., in), giving (..., out)."""
        out = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return out.floor_().clamp_(low, high).reshape(*x.shape[:-1], len(self.bias))

    def depthwise(self, x: Tensor) -> Tensor:
        """Applies a 3x3 depthwise layer (weight 9 x C once transposed) to x (B, h, w, C), zero-padded."""
        _, h, w, _ = x.shape
        padded = torch.nn.functional.pad(x, (0, 0, 1, 1, 1, 1))
        out = self.bias.expand_as(x).clone()
        for tap in range(9):
            row, column = divmod(tap, 3)
            out.addcmul_(padded[:, row : row + h, column : column + w], self.weight[tap])
        return out.floor_().clamp_(-LIMIT, LIMIT)


class Block:
    """Integer twin of `hyperprior.EntropyBlock`."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        self.mix_in, self.around, self.mix_out, self.up, self.down = (
            Layer(tensors, f"{name}.{layer}") for layer in ("mix_in", "depthwise", "mix_out", "up", "down")
        )

    def __call__(self, x: Tensor) -> Tensor:
        hidden = self.around.depthwise(self.mix_in(x, low=0))
        x = self.mix_out(hidden).add_(x).clamp_(-LIMIT, LIMIT)
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
        """Means (in units of 2**-MEAN_BITS, float64) and scale indices (uint8), packed; `log_gain` is packed as well."""
        b, h, w, c = features.shape
        out = features.new_empty(b, h * w, 2 * self.half)
        flat = features.reshape(b, h * w, c)
        for parity, head in enumerate(self.heads):
            chosen = odd == parity
            out[:, chosen] = head(flat[:, chosen], low=-(2**30), high=2**30)
        mean, scale = out.reshape(b, h, w, -1).split(self.half, -1)
        index = scale.add(log_gain).add_(2 ** (SCALE_BITS - 1)).mul_(2.0**-SCALE_BITS).floor_()
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
    """What the latents y (B, h, w, N) of a pass differ by from their means, in quantisation steps (float64, packed)."""
    return pack(y, number).double() - mean * 2.0**-MEAN_BITS


class ExactEntropy:
    """Hyper synthesis and both context passes on integers, for tiles of one size at a time.

    `tensors` are those of the weights file named `exact/…`, without that prefix.
    """

    def __init__(self, tensors: Tensors, config: Config) -> None:
        n = config.latent_channels
        self.leading = config.leading_channels
        self.quality_bias = tensors["quality_bias"].double()
        self.log_gain = tensors["log_gain"].double()
        self.compress = tensors["compress"].double()
        self.enter, self.upsample = Layer(tensors, "hyper_synthesis.enter"), Layer(tensors, "hyper_synthesis.upsample")
        self.block_half, self.block = Block(tensors, "hyper_synthesis.block_half"), Block(tensors, "hyper_synthesis.block")
        self.first_block = Block(tensors, "first_block")
        self.first_pass = Pass(tensors, "first_head", 0, n)
        self.embed = [Layer(tensors, "embed", columns=slice(odd, None, 2)) for odd in (0, 1)]
        self.second_blocks = [Block(tensors, f"second_blocks.{i}") for i in range(config.context_blocks)]
        self.second_pass = Pass(tensors, "second_head", 1, n)
        self.neighbours = tensors["neighbour.weight"].double() * scale_factor(tensors, "neighbour")

    def _packed(self, values: Tensor, odd: Tensor, number: int, shape: tuple[int, ...]) -> Tensor:
        """A per-channel vector (C,) in the packed layout of a pass: (h, w, C/2)."""
        return torch.stack([values[number % 2 :: 2], values[(number + 1) % 2 :: 2]])[odd].reshape(*shape, -1)

    def first(self, z: Tensor, quality: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """From the hyper-latent z (B, ceil(height/4), ceil(width/4), Z) to the features (B, height, width, H) of the
        second pass, and the means and scale indices of the first (packed)."""
        x = depth_to_space(self.enter(z.double().clamp(-LIMIT, LIMIT)), 2)
        x = depth_to_space(self.upsample(self.block_half(x)), 2)[:, :height, :width]
        x = self.block((x + self.quality_bias[quality - 1]).clamp_(-LIMIT, LIMIT))
        features = self.first_block(x)
        odd = parity(height, width, x.device).flatten()
        log_gain = self._packed(self.log_gain[quality - 1], odd, 0, (height, width))
        return (features, *self.first_pass(features, odd, log_gain))

    def second(self, features: Tensor, mean: Tensor, symbols: Tensor, quality: int) -> tuple[Tensor, Tensor]:
        """Means and scale indices of the second pass (packed), given the first one's means and symbols."""
        b, h, w, c = features.shape
        odd = parity(h, w, features.device).flatten()
        known = torch.add(mean, symbols, alpha=2**MEAN_BITS)
        known = self.compress[known.clamp_(-LIMIT - 1, LIMIT).add_(LIMIT + 1).long()]
        flat, known = features.reshape(b, h * w, c).clone(), known.reshape(b, h * w, -1)
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
        """Integer twin of `hyperprior.EntropyModel._innovation`, packed: (B, h, w, leading/2)."""
        _, h, w, _ = symbols.shape
        known = symbols[..., : self.leading // 2].clamp(-LIMIT, LIMIT)
        padded = torch.nn.functional.pad(known, (0, 0, 1, 1, 1, 1))
        total = torch.full_like(known, 0.5)
        for (row, column), weight in zip(NEIGHBOURS, self.neighbours, strict=True):
            shifted = padded[:, 1 + row : 1 + row + h, 1 + column : 1 + column + w]
            total.addcmul_(shifted, self._packed(weight, odd, 1, (h, w)))
        return total.floor_()
