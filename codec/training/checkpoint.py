"""Training state as one safetensors file: parameters, their average, optimiser state, and progress as metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import CaeError
from ..files import replacing


def _pack(prefix: str, state: dict[str, Any]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": torch.as_tensor(value).detach().cpu().contiguous() for name, value in state.items()}


def save(path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, progress: dict) -> None:
    """Writes the state to a temporary file beside `path` and renames it."""
    tensors = _pack("model", model.state_dict()) | _pack("average", average.state_dict())
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= _pack(f"optimizer/{index}", state)
    with replacing(path) as file:
        file.write(safetensors.torch.save(tensors, {"progress": json.dumps(progress)}))


def load(path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Restores what `save` wrote, in place; returns the progress."""
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                group, _, rest = name.rpartition("/")
                groups.setdefault(group, {})[rest] = file.get_tensor(name)
            progress = json.loads(file.metadata()["progress"])
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise CaeError(f"{path}: not a whole state of a run ({error}); delete it to start afresh") from None
    try:
        model.load_state_dict(groups["model"])
        average.load_state_dict(groups["average"])
    except RuntimeError:
        raise CaeError(f"{path}: is the state of a model of other sizes; use another folder for this run") from None
    state = optimizer.state_dict()
    prefix = "optimizer/"
    state["state"] = {int(name[len(prefix) :]): value for name, value in groups.items() if name.startswith(prefix)}
    optimizer.load_state_dict(state)
    return progress
