"""NumPy's arrays for torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .weights import Groups


def as_tensors(groups: Groups) -> dict[str, dict[str, Tensor]]:
    """The tensors of `Weights.arrays`, by group and name, without copying them."""
    return {group: {name: torch.from_numpy(array) for name, array in arrays.items()} for group, arrays in groups.items()}


def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The product of two matrices of float32."""
    return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
