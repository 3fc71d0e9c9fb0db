"""A float copy of the integer entropy networks, for what needs gradients: training on, and searching symbols."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .config import Config
from .entropy_model import EntropyModel
from .entropy_networks import MEAN_BITS, SCALE_BITS, SCALE_STEP

HEADS = ("first_head", "second_head")
KEPT = ("quality_bias", "z_mean", "z_log_scale")
"""Parameters of the entropy model that a weights file keeps in floating point as well."""
FORMAT = ".format"
"""Ending of the names of the fractional bits of each integer layer's inputs and outputs."""


def head_units(config: Config) -> Tensor:
    """Units of the heads' integer outputs, means and then scale indices, to one of the float networks' (2N,)."""
    units = torch.tensor([2.0**MEAN_BITS, 2.0**SCALE_BITS / SCALE_STEP], dtype=torch.float64, device="cpu")
    return units.repeat_interleave(config.latent_channels)


def float_copy(config: Config, groups: Mapping[str, Mapping[str, Tensor]]) -> EntropyModel:
    """The entropy model of a weights file's groups of tensors, in float32: what its integers stand for.

    Raises LookupError, RuntimeError or ValueError where the tensors are not those of a whole file.
    """
    integers, kept = groups["entropy"], groups["training"]
    state = {name: kept[name] for name in KEPT} | {"log_gain": groups["levels"]["log_gain"]}
    for name in (key.removesuffix(FORMAT) for key in kept if key.endswith(FORMAT)):
        into, out = kept[f"{name}{FORMAT}"].tolist()
        shift = integers[f"{name}.shift"].double()
        unit = head_units(config) if name in HEADS else torch.ones(1, dtype=torch.float64, device="cpu")
        weight = integers[f"{name}.weight"].double() / 2.0 ** (shift + out - into)[:, None] / unit[:, None]
        if name == "neighbour":
            state["neighbour_weight"] = weight.T
            continue
        state[f"{name}.weight"] = weight.reshape(-1, 1, 3, 3) if name.endswith("depthwise") else weight
        state[f"{name}.bias"] = (integers[f"{name}.bias"].double() - 2.0 ** (shift - 1)) / 2.0 ** (shift + out) / unit
    state |= {f"hyper_analysis.{name}": value for name, value in groups["hyper_analysis"].items()}
    with torch.device("meta"):
        model = EntropyModel(config)
    model.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return model
