"""A weights file's networks and tables, ready to run."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import CaeError
from ..format.entropy_coding import Table
from ..options import QUALITIES
from ..runtime.devices import out_of_memory
from .config import Config
from .entropy_networks import SCALES, EntropyNetworks
from .hyper_analysis import HyperAnalysis
from .layers import interpolate_levels
from .products import LIMIT
from .quantisation import Quantiser
from .registry import ID_BYTES
from .transforms import Analysis, Synthesis
from .weights import parse_config, read, read_tables, read_tensors

Network = TypeVar("Network", bound=nn.Module)


@dataclasses.dataclass(frozen=True)
class Model:
    """Networks and tables of one weights file, on one device, ready to run.

    `gain` (100, N) float32 holds the factor from pixel units to quantisation steps of each quality.
    """

    path: Path
    id: bytes
    config: Config
    analysis: Analysis
    hyper_analysis: HyperAnalysis
    synthesis: Synthesis
    entropy: EntropyNetworks
    gain: Tensor
    scale_tables: list[Table]
    hyper_tables: list[Table]
    quantiser: Quantiser
    device: torch.device

    def level(self, quality: int) -> Tensor:
        """The quality's position on the gain levels, (1,)."""
        return torch.tensor([self.config.level(quality)], dtype=torch.float32, device=self.device)


def load(path: Path, device: torch.device | str = "cpu") -> Model:
    """Loads a weights file onto a device; CaeError where it is none, RuntimeError where a GPU's memory is used up."""
    device = torch.device(device)
    # read once: the id must be that of the very tensors, and a file that is replaced later must not matter
    data = read(path)
    try:
        return _build(path, data, device)
    except (SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if out_of_memory(error):
            raise
        if "CUDA" in str(error):
            raise CaeError(f"device {device}: {str(error).splitlines()[0]}; use --device cpu") from None
        raise CaeError(f"{path}: not a whole weights file of this codec ({error})") from None


@functools.lru_cache(maxsize=2)
def on_cpu(path: Path, wanted: bytes) -> Model:
    """The model of a weights file on the CPU, kept for the next time; CaeError where the file is no longer the one wanted."""
    model = load(path, "cpu")
    if model.id != wanted:
        raise CaeError(f"{path}: has been replaced by other weights since it was loaded")
    return model


def _build(path: Path, data: bytes, device: torch.device) -> Model:
    config, parts = parse_config(path, data), read_tensors(data)
    scale_tables, hyper_tables = (read_tables(parts["tables"], name) for name in ("scale", "hyper"))
    if len(scale_tables) != SCALES or len(hyper_tables) != config.hyper_channels:
        raise ValueError("the number of tables is wrong")
    levels = torch.tensor([config.level(quality) for quality in QUALITIES], dtype=torch.float32, device="cpu")
    entropy = EntropyNetworks({name: value.to(device) for name, value in parts["exact"].items()}, config)
    _try_out(entropy, config, device)
    return Model(
        path=path,
        id=hashlib.sha256(data).digest()[:ID_BYTES],
        config=config,
        analysis=_network(Analysis, config, parts["analysis"], device),
        hyper_analysis=_network(HyperAnalysis, config, parts["hyper_analysis"], device),
        synthesis=_network(Synthesis, config, parts["synthesis"], device),
        entropy=entropy,
        gain=interpolate_levels(parts["levels"]["log_gain"], levels)[:, 0, 0].exp().to(device),
        scale_tables=scale_tables,
        hyper_tables=hyper_tables,
        quantiser=Quantiser(scale_tables, device),
        device=device,
    )


@torch.inference_mode()
def _try_out(entropy: EntropyNetworks, config: Config, device: torch.device) -> None:
    """Raises an error where the operands' shapes do not fit each other."""
    z = torch.zeros(1, 1, 1, config.hyper_channels, dtype=torch.int32, device=device)
    features, mean, _ = entropy.first(z, QUALITIES[-1], 2, 2)
    entropy.second(features, mean, torch.full_like(mean, LIMIT), QUALITIES[-1])


def _network(kind: Callable[[Config], Network], config: Config, tensors: Mapping[str, Tensor], device: torch.device) -> Network:
    """A network with its tensors, in float32, without making up values first."""
    with torch.device("meta"):
        module = kind(config)
    module.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    return module.to(device).eval().requires_grad_(False)
