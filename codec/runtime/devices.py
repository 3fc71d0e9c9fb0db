"""Where the networks run, and with what precision."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch

from ..errors import CaeError
from .processor import cpu_has


def choose(name: str | None = None) -> torch.device:
    """The device for "auto" (or None), "cpu" or "cuda"; "auto" takes CUDA when a product there comes out right.

    Raises CaeError for an unknown name, or "cuda" where CUDA does not work.
    """
    if name in (None, "auto"):
        return _current_cuda() if _cuda_works() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "cuda":
        if not _cuda_works():
            raise CaeError("device cuda: no CUDA device works here; use --device cpu or auto")
        return _current_cuda()
    raise CaeError(f"device {name!r} is unknown: use auto, cpu or cuda")


def _current_cuda() -> torch.device:
    # with its number, since a new thread's own current device is the first
    return torch.device("cuda", torch.cuda.current_device())


def _cuda_works() -> bool:
    if not torch.cuda.is_available():
        return False
    try:
        ones = torch.ones(8, 8, dtype=torch.float64, device="cuda")
        return bool((ones @ ones == 8).all())
    except Exception:  # whatever is wrong with CUDA, the CPU works
        return False


def out_of_memory(error: Exception) -> bool:
    """Whether an error of torch means that a GPU's memory is used up, be it for tensors, for kernels or for cuBLAS."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in ("CUDA error: out of memory", "ALLOC_FAILED", "cublasCreate"))


@functools.cache
def fast_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products run faster than float32 on this device."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return cpu_has("avx512_bf16", "amx_bf16")


@contextlib.contextmanager
def precision(device: torch.device, bf16: bool) -> Iterator[None]:
    """Runs networks without gradients, with the products of residual branches in bf16 or everything in float32."""
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        yield
