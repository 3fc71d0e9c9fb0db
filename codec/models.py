"""The registry of weights: safetensors files, found by the id that every `.cae` file carries."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from . import entropy
from .config import QUALITIES, Config
from .devices import out_of_memory
from .errors import CaeError
from .exact import ExactEntropy
from .hyperprior import SCALES, HyperAnalysis
from .products import LIMIT
from .quantisation import Quantiser
from .transforms import Analysis, Synthesis, interpolate_levels

WEIGHTS_FOLDER = Path(__file__).with_name("weights")
Network = TypeVar("Network", bound=nn.Module)
DEFAULT = "base"
ID_BYTES = 8


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
    exact: ExactEntropy
    gain: Tensor
    scale_tables: list[entropy.Table]
    hyper_tables: list[entropy.Table]
    quantiser: Quantiser
    device: torch.device

    def level(self, quality: int) -> Tensor:
        """The quality's position on the gain levels, (1,)."""
        return torch.tensor([self.config.level(quality)], dtype=torch.float32, device=self.device)


@functools.cache
def _digest(path: Path, _size: int, _modified: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:ID_BYTES]


def model_id(path: Path) -> bytes:
    """First 8 bytes of the SHA-256 of a weights file."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


def installed() -> dict[bytes, Path]:
    """Weights files that come with the package, by id."""
    return {model_id(path): path for path in sorted(WEIGHTS_FOLDER.glob("*.safetensors"))}


def find(wanted: bytes, tried: Model | None = None) -> Path:
    """The weights file with an id; CaeError, which names the ones that were `tried`, where it is not installed."""
    known = installed()
    if wanted not in known and tried is not None and tried.id not in known:
        raise CaeError(
            f"the file needs the weights with id {wanted.hex()}, but {tried.path} has the id {tried.id.hex()}; "
            "pass the weights file that made it"
        )
    if wanted not in known:
        have = ", ".join(f"{key.hex()} ({path.stem})" for key, path in known.items())
        raise CaeError(
            f"the file needs the weights with id {wanted.hex()}, which are not installed; pass the weights file that made it "
            f"(weights=…, --weights), or install the release that has it. Installed: {have}"
        )
    return known[wanted]


def default_path() -> Path:
    """The weights that encoding uses unless told otherwise."""
    return WEIGHTS_FOLDER / f"{DEFAULT}.safetensors"


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a weights file: configuration, training record, licence."""
    return _metadata(path, _read(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None


def _metadata(path: Path, data: bytes) -> dict[str, str]:
    try:
        length = int.from_bytes(data[:8], "little")
        return json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (ValueError, AttributeError):
        raise CaeError(f"{path}: not a readable weights file") from None


def read_config(path: Path) -> Config:
    """Configuration of a weights file; CaeError where it is none."""
    return _config(path, _read(path))


def _config(path: Path, data: bytes) -> Config:
    try:
        return Config(**json.loads(_metadata(path, data)["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CaeError(f"{path}: not a weights file of this codec ({error!r})") from None


def load(path: Path, device: torch.device | str = "cpu") -> Model:
    """Loads a weights file onto a device; CaeError where it is none, RuntimeError where a GPU's memory is used up."""
    device = torch.device(device)
    # read once: the id must be that of the very tensors, and a file that is replaced later must not matter
    data = _read(path)
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


def read_tensors(data: bytes) -> dict[str, dict[str, Tensor]]:
    """Tensors of a weights file's bytes by group (what stands before the slash) and name."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in safetensors.torch.load(data).items():
        group, _, rest = name.partition("/")
        parts.setdefault(group, {})[rest] = tensor
    return parts


def _build(path: Path, data: bytes, device: torch.device) -> Model:
    config, parts = _config(path, data), read_tensors(data)
    scale_tables, hyper_tables = (read_tables(parts["tables"], name) for name in ("scale", "hyper"))
    if len(scale_tables) != SCALES or len(hyper_tables) != config.hyper_channels:
        raise ValueError("the number of tables is wrong")
    levels = torch.tensor([config.level(quality) for quality in QUALITIES], dtype=torch.float32, device="cpu")
    exact = ExactEntropy({name: value.to(device) for name, value in parts["exact"].items()}, config)
    _try_out(exact, config, device)
    return Model(
        path=path,
        id=hashlib.sha256(data).digest()[:ID_BYTES],
        config=config,
        analysis=_network(Analysis, config, parts["analysis"], device),
        hyper_analysis=_network(HyperAnalysis, config, parts["hyper_analysis"], device),
        synthesis=_network(Synthesis, config, parts["synthesis"], device),
        exact=exact,
        gain=interpolate_levels(parts["levels"]["log_gain"], levels)[:, 0, 0].exp().to(device),
        scale_tables=scale_tables,
        hyper_tables=hyper_tables,
        quantiser=Quantiser(scale_tables, device),
        device=device,
    )


@torch.inference_mode()
def _try_out(exact: ExactEntropy, config: Config, device: torch.device) -> None:
    """Raises an error where the operands' shapes do not fit each other."""
    z = torch.zeros(1, 1, 1, config.hyper_channels, dtype=torch.int32, device=device)
    features, mean, _ = exact.first(z, QUALITIES[-1], 2, 2)
    exact.second(features, mean, torch.full_like(mean, LIMIT), QUALITIES[-1])


def _network(kind: Callable[[Config], Network], config: Config, tensors: Mapping[str, Tensor], device: torch.device) -> Network:
    """A network with its tensors, in float32, without making up values first."""
    with torch.device("meta"):
        module = kind(config)
    module.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    return module.to(device).eval().requires_grad_(False)


def read_tables(tensors: Mapping[str, Tensor], name: str) -> list[entropy.Table]:
    """The coder's tables "scale" or "hyper" from a weights file's group of tables; ValueError where they are none."""
    frequencies, lengths = (np.asarray(tensors[f"{name}.{part}"]) for part in ("frequencies", "lengths"))
    if lengths.sum() != len(frequencies) or lengths.min() < 4 or frequencies.min() < 1:
        raise ValueError(f"bad {name} tables")
    return entropy.tables_from_arrays(frequencies, lengths)
