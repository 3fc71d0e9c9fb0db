"""Exact products of integer matrices: on bytes where the processor multiplies bytes, else in float64."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from ..runtime.cpu import cpu_has

SUM_LIMIT = 2**31 - 1
"""Largest magnitude of a sum: everything is held in 32 bits."""
LIMIT = 2**15 - 1
"""Largest magnitude of an activation."""

Product = Callable[[Tensor], Tensor]
"""From activations (rows, in) int32, within ±LIMIT, to weight @ x + bias (rows, out) int32."""


def check_sums(weight: Tensor, bias: Tensor) -> None:
    """Raises ValueError where weight (out, in) @ activations + bias (out,) could exceed 32 bits."""
    if (weight.long().abs().sum(1) * (LIMIT + 1) + bias.long().abs()).max() > SUM_LIMIT:
        raise ValueError("sums could exceed 32 bits")


def product(weight: Tensor, bias: Tensor) -> Product:
    """The product by weight (out, in) int8, plus bias (out,) int32.

    Raises ValueError for other types, and where a sum could exceed 32 bits.
    """
    if (weight.dtype, bias.dtype) != (torch.int8, torch.int32):
        raise ValueError(f"weights are {weight.dtype} and biases {bias.dtype}, not int8 and int32")
    check_sums(weight, bias)
    # torch misreads a matrix of bytes with a single row
    in_bytes = weight.device.type == "cpu" and weight.shape[1] > 1 and bytes_work()
    return InBytes(weight, bias) if in_bytes else InFloat64(weight, bias)


class InFloat64:
    """Every partial sum is an integer below 2**53, hence exact in any order, on any BLAS, on a CPU or a GPU."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight.T.double().contiguous()
        self.bias = bias.double()

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.double(), self.weight).to(torch.int32)


class InBytes:
    """With x = 256 high + low + 128, high and low signed bytes, two products of bytes with 32-bit sums do."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight.T.contiguous()
        self.bias = bias + 128 * weight.sum(1, dtype=torch.int32)

    def __call__(self, x: Tensor) -> Tensor:
        parts = torch.empty(2, *x.shape, dtype=torch.int8, device=x.device)
        torch.bitwise_right_shift(x, 8, out=parts[0])
        torch.bitwise_xor(x, 128, out=parts[1])
        high, low = torch._int_mm(parts.flatten(0, 1), self.weight).split(len(x))
        return low.add_(high, alpha=256).add_(self.bias)


def bytes_are_fast() -> bool:
    """Whether this CPU multiplies bytes to 32-bit sums in one instruction, and torch has a product for it."""
    return cpu_has("avx512_vnni", "avx_vnni", "amx_int8") and hasattr(torch, "_int_mm")


@functools.cache
def bytes_work() -> bool:
    """Whether products of bytes are fast here, and right at their extremes: older instructions saturate there."""
    if not bytes_are_fast():
        return False
    extremes = [-LIMIT, -256, -129, -1, 0, 127, 128, LIMIT]
    x = torch.tensor(extremes, dtype=torch.int32, device="cpu").repeat(64, 48)
    weight = torch.full((16, x.shape[1]), 127, dtype=torch.int8, device="cpu")
    weight[1::2] = -128
    bias = torch.arange(16, dtype=torch.int32, device="cpu")
    try:
        return torch.equal(InBytes(weight, bias)(x), InFloat64(weight, bias)(x))
    except RuntimeError:
        return False
