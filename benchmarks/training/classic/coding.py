"""The classic autoencoder as a codec under test: pictures in squares of 96x96, latents rounded and entropy-coded."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from codec import CaeError
from codec.entropy import coder
from codec.entropy.coder import FrequencyTable
from codec.training.calibration import frequencies, gaussian_mass, histogram

from .network import LATENT, SIDE, VARIANTS, Classic, planes

STEPS = (0.5, 1, 2, 4, 8, 16)
"""Quantisation steps in a latent's standard deviation: the settings."""
_HEADER = struct.Struct("<HHB")
_BATCH = 64


@dataclasses.dataclass(frozen=True)
class _Loaded:
    network: Classic
    mean: Tensor
    deviation: Tensor
    latents: np.ndarray


@functools.lru_cache(maxsize=len(VARIANTS))
def load_trained(path: Path) -> _Loaded:
    with safe_open(path, "pt") as file:
        variant = file.metadata()["variant"]
    tensors = load_file(path)
    latents = tensors.pop("latents")
    network = Classic(*VARIANTS[variant])
    network.load_state_dict(tensors)
    mean, deviation = latents.mean(0), latents.std(0).clamp_min(1e-6)
    return _Loaded(network.eval().requires_grad_(False), mean, deviation, ((latents - mean) / deviation).numpy())


@functools.lru_cache(maxsize=len(VARIANTS) * len(STEPS))
def _tables(path: Path, steps: float) -> list[FrequencyTable]:
    """One for each number of the latent, from what training pictures have."""
    radius = max(3, math.ceil(5 * steps))
    mass = gaussian_mass(steps, radius)
    symbols = np.round(load_trained(path).latents * steps).astype(np.int32)
    return [FrequencyTable(frequencies(mass, histogram(column, radius))) for column in symbols.T]


@dataclasses.dataclass(frozen=True)
class ClassicCodec:
    """A trained variant. A file is width, height (16 bits each), number of the setting (8 bits) and the coded latents."""

    variant: str
    path: Path
    settings = STEPS
    in_main_process = True

    @property
    def name(self) -> str:
        """`classic-VARIANT`."""
        return f"classic-{self.variant}"

    @property
    def label(self) -> str:
        """Name for tables and plots."""
        return f"classic, {self.variant}"

    @property
    def version(self) -> str:
        """A digest of the weights."""
        with open(self.path, "rb") as file:
            return f"weights {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"

    def available(self) -> str | None:
        """The reason why it cannot run, or None."""
        return None if self.path.is_file() else f"the weights file {self.path} does not exist"

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Codes (height, width, 3) uint8 RGB, its sides filled up to multiples of 96 with their last pixels."""
        if setting not in STEPS:
            raise CaeError(f"the classic autoencoder has no setting {setting}; there are {STEPS}")
        trained = load_trained(self.path)
        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % SIDE), (0, -width % SIDE), (0, 0)), "edge")
        rows, columns = padded.shape[0] // SIDE, padded.shape[1] // SIDE
        squares = padded.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)
        parts = torch.from_numpy(squares).split(_BATCH)
        latents = (torch.cat([trained.network.encode(planes(part)) for part in parts]) - trained.mean) / trained.deviation
        symbols = (latents * setting).round().to(torch.int32).numpy()
        payload = coder.encode(list(zip(_tables(self.path, setting), symbols.T.copy(), strict=True)))
        return _HEADER.pack(width, height, STEPS.index(setting)) + payload

    @torch.inference_mode()
    def decode(self, data: bytes) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        trained = load_trained(self.path)
        width, height, number = _HEADER.unpack_from(data)
        rows, columns = -(-height // SIDE), -(-width // SIDE)
        decoder = coder.Decoder(data[_HEADER.size :])
        symbols = np.empty((rows * columns, LATENT), np.float32)
        for column, table in zip(symbols.T, _tables(self.path, STEPS[number]), strict=True):
            column[:] = decoder.decode(table, len(symbols))
        decoder.finish()
        latents = torch.from_numpy(symbols) / STEPS[number] * trained.deviation + trained.mean
        squares = torch.cat([trained.network.decode(part) for part in latents.split(_BATCH)])
        pixels = (255 * squares).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        whole = pixels.reshape(rows, columns, SIDE, SIDE, 3).swapaxes(1, 2).reshape(rows * SIDE, columns * SIDE, 3)
        return np.ascontiguousarray(whole[:height, :width])
