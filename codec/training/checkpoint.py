"""Training states as safetensors files: parameters, their average, the optimiser's state, and progress as metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import CaeError
from ..runtime.atomic_write import atomic_write


def _flatten(name: str, value: Any) -> dict[str, Tensor]:
    """Maps nested dictionaries and lists of tensors and numbers to tensors by path; an empty list is an empty tensor."""
    if isinstance(value, (list, tuple)) and value:
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {path: leaf for key, item in value.items() for path, leaf in _flatten(f"{name}/{key}", item).items()}
    tensor = torch.tensor(value, dtype=torch.float64) if isinstance(value, float) else torch.as_tensor(value)
    return {name: tensor.detach().cpu().contiguous()}


def _nest(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Inverse of `_flatten`, except that lists become dictionaries."""
    nested: dict[str, Any] = {}
    for path, tensor in tensors.items():
        *groups, name = path.split("/")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = tensor if tensor.ndim else tensor.item()
    return nested


def _list(numbered: dict[str, Any]) -> list[Any]:
    """The list that `_nest` made a dictionary of."""
    return [numbered[str(number)] for number in range(len(numbered))]


def _optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of an optimiser, without its hyper-parameters."""
    state = optimizer.state_dict()
    # the optimiser counts its steps in its group
    return {"state": state["state"], "step": state["param_groups"][0].get("step", 0)}


def _restore(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Inverse of `_optimizer_state`, in place."""
    state = optimizer.state_dict()
    state["param_groups"][0]["step"] = saved["step"]
    state["state"] = {
        int(number): {name: _list(value) if isinstance(value, dict) else value for name, value in values.items()}
        for number, values in saved.get("state", {}).items()
    }
    optimizer.load_state_dict(state)


def save(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict,
) -> None:
    """Writes the state of a run; `progress` must be JSON values. An earlier file is replaced at once or not at all."""
    tensors = _flatten("model", model.state_dict()) | _flatten("average", average.state_dict())
    tensors |= _flatten("optimizer", _optimizer_state(optimizer))
    metadata = {"progress": json.dumps(progress), "optimizer": type(optimizer).__name__}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(tensors, metadata))


def load(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> dict:
    """Restores what `save` wrote, in place, and returns the progress; raises CaeError where the file does not fit."""
    try:
        with safe_open(path, "pt") as file:
            # cloned, since products round differently where tensors are not aligned as torch aligns them
            groups = _nest({name: file.get_tensor(name).clone() for name in file.keys()})  # noqa: SIM118
            metadata = file.metadata() or {}
        if metadata.get("optimizer") != type(optimizer).__name__:
            raise CaeError(f"{path}: is no state of a run with this version's optimiser; use another folder for this run")
        progress = json.loads(metadata["progress"])
        parts = groups["model"], groups["average"], groups["optimizer"]
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CaeError(f"{path}: not a whole state of a run ({error}); delete it to start afresh") from None
    try:
        model.load_state_dict(parts[0])
        average.load_state_dict(parts[1])
    except RuntimeError:
        raise CaeError(f"{path}: is the state of a model of other sizes; use another folder for this run") from None
    _restore(optimizer, parts[2])
    return progress
