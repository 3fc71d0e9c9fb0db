"""Weights files: metadata, configuration, tensors and tables, as safetensors holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
from torch import Tensor

from ..errors import CaeError
from ..format import entropy_coding
from .config import Config


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a weights file: configuration, training record, licence."""
    return parse_metadata(path, read(path))


def read(path: Path) -> bytes:
    """A weights file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None


def parse_metadata(path: Path, data: bytes) -> dict[str, str]:
    """`read_metadata` of a file's bytes."""
    try:
        length = int.from_bytes(data[:8], "little")
        return json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (ValueError, AttributeError):
        raise CaeError(f"{path}: not a readable weights file") from None


def read_config(path: Path) -> Config:
    """Configuration of a weights file; CaeError where it is none."""
    return parse_config(path, read(path))


def parse_config(path: Path, data: bytes) -> Config:
    """`read_config` of a file's bytes."""
    try:
        return Config(**json.loads(parse_metadata(path, data)["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CaeError(f"{path}: not a weights file of this codec ({error!r})") from None


def read_tensors(data: bytes) -> dict[str, dict[str, Tensor]]:
    """Tensors of a weights file's bytes by group (what stands before the slash) and name."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in safetensors.torch.load(data).items():
        group, _, rest = name.partition("/")
        parts.setdefault(group, {})[rest] = tensor
    return parts


def read_tables(tensors: Mapping[str, Tensor], name: str) -> list[entropy_coding.Table]:
    """The coder's tables "scale" or "hyper" from a weights file's group of tables; ValueError where they are none."""
    frequencies, lengths = (np.asarray(tensors[f"{name}.{part}"]) for part in ("frequencies", "lengths"))
    if lengths.sum() != len(frequencies) or lengths.min() < 4 or frequencies.min() < 1:
        raise ValueError(f"bad {name} tables")
    return entropy_coding.tables_from_arrays(frequencies, lengths)
