"""A weights file's tensors for torch."""

from __future__ import annotations

import torch
from torch import Tensor

from .weights import Groups


def as_tensors(groups: Groups) -> dict[str, dict[str, Tensor]]:
    """The tensors of `Weights.arrays`, by group and name, without copying them."""
    return {group: {name: torch.from_numpy(array) for name, array in arrays.items()} for group, arrays in groups.items()}
