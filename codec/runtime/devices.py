"""Devices that torch's networks run on, and the precision of their products."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch

from ..errors import CaeError
from .cpu import cpu_has
from .device_names import Device, name_of


def choose(requested: str | Device | None = None) -> torch.device:
    """Chooses a device by a name that `name_of` accepts; "auto" takes CUDA if a product there comes out right.

    Raises CaeError for an unknown name, and where CUDA does not work or has no device of that number.
    """
    name = name_of(requested)
    if name == "cpu" or (name == "auto" and not _cuda_works("cuda")):
        return torch.device("cpu")
    if torch.cuda.is_available() and name.startswith("cuda:") and int(name[5:]) >= torch.cuda.device_count():
        raise CaeError(f"device {name}: there are {torch.cuda.device_count()} CUDA devices here, the first is cuda:0")
    if name != "auto" and not _cuda_works(name):
        raise CaeError(f"device {name}: no CUDA device works here; use device cpu or auto")
    # with its number, since a new thread's own current device is the first
    return torch.device("cuda", torch.cuda.current_device()) if ":" not in name else torch.device(name)


def _cuda_works(name: str) -> bool:
    if not torch.cuda.is_available():
        return False
    try:
        ones = torch.ones(8, 8, dtype=torch.float32, device=name)
        return bool((ones @ ones == 8).all())
    except Exception:  # whatever is wrong with CUDA, the CPU works
        return False


def out_of_memory(error: Exception) -> bool:
    """True if an error of torch means that a GPU is out of memory for tensors, kernels or cuBLAS."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in ("CUDA error: out of memory", "ALLOC_FAILED", "cublasCreate"))


def free_memory() -> None:
    """Gives GPU memory that torch keeps for later tensors back."""
    torch.cuda.empty_cache()


@functools.cache
def fast_bf16(device: torch.device) -> bool:
    """True if matrix products are faster in bfloat16 than in float32 on this device."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return cpu_has("avx512_bf16", "amx_bf16")


@contextlib.contextmanager
def precision(device: torch.device, bf16: bool) -> Iterator[None]:
    """Runs networks without gradients: products of residual branches in bfloat16, or everything in float32."""
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        yield
