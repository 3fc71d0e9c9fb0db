"""The entropy model of a weights file as training has it: floating point made of the file's integers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..entropy.scale_model import MAGNITUDE_UNIT, SCALE_BITS, SCALE_MIN, SCALE_STEP
from .config import Config
from .entropy_model import EntropyModel

UNIT = 2**SCALE_BITS / SCALE_STEP
"""The integer scale model's units to one of the logarithm of a scale."""
TRAINED = ("prior.logits", "scales.bias")
"""Parameters that a file holds as they were trained, in the group `training`: its integers stand for qualities, not levels."""


def trainable(config: Config, groups: Mapping[str, Mapping[str, Tensor]]) -> EntropyModel:
    """An entropy model from a file's tensors by group; LookupError or RuntimeError where these are not whole."""
    model = EntropyModel(config)
    scales, priors = groups["scales"], groups["priors"]
    context = 2.0 ** -scales["context.shift"].double()[:, None] * MAGNITUDE_UNIT / UNIT
    state = {
        "log_gain": groups["levels"]["log_gain"],
        "prior.mean": priors["mean"],
        "prior.log_scale": priors["index"].double() * SCALE_STEP + math.log(SCALE_MIN),
        "scales.map": scales["map.weight"] * 2.0 ** -scales["map.shift"].double()[:, None] / UNIT,
        **{f"scales.{name}": scales[f"{name}.weight"] * context for name in ("own", "edge", "diagonal")},
        "scales.expected": scales["expected"].double() / MAGNITUDE_UNIT,
        **{name: groups["training"][name] for name in TRAINED},
        **{f"{group}.{name}": value for group in ("hyper_analysis", "means") for name, value in groups[group].items()},
    }
    model.load_state_dict({name: torch.as_tensor(value).float() for name, value in state.items()})
    return model
