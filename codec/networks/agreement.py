"""Whether a device computes the integer networks as the CPU does, on which every file's symbols depend."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from ..format.geometry import HYPER_STRIDE, LATENT_STRIDE
from ..options import QUALITIES
from ..runtime.devices import out_of_memory
from .model import Model, on_cpu
from .products import LIMIT

SIZE = 33, 35
"""Latent positions (height, width) of the input: no multiple of anything, more than one slice of a layer."""

_verdicts: dict[tuple[bytes, torch.device], bool] = {}


def agrees(model: Model, device: torch.device) -> bool:
    """Whether a model on a device gives the CPU's integers on one small input; found out once per weights and process.

    Raises RuntimeError where the device's memory is used up.
    """
    key = model.id, device
    if key not in _verdicts:
        try:
            _verdicts[key] = fingerprint(model) == fingerprint(on_cpu(model))
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            _verdicts[key] = False
    return _verdicts[key]


@torch.inference_mode()
def fingerprint(model: Model) -> bytes:
    """SHA-256 of all that the integer networks give for a fixed input, at the lowest and the highest quality."""
    height, width = SIZE
    unit = HYPER_STRIDE // LATENT_STRIDE
    shape = 1, -(-height // unit), -(-width // unit), model.config.hyper_channels
    digest = hashlib.sha256()
    for quality, magnitude in ((QUALITIES[0], 3), (QUALITIES[-1], 100)):
        z = _scattered(shape, magnitude, model.device)
        features, mean, index = model.entropy.first(z, quality, height, width)
        symbols = _scattered(mean.shape, magnitude, model.device)
        for values in (features, mean, index, *model.entropy.second(features, mean, symbols, quality)):
            digest.update(values.cpu().contiguous().numpy().tobytes())
    return digest.digest()


def _scattered(shape: tuple[int, ...], magnitude: int, device: torch.device) -> Tensor:
    """Integers (int32) up to a magnitude, most of them small as symbols are, and a few at the limits."""
    places = torch.arange(torch.Size(shape).numel(), dtype=torch.int64, device="cpu")
    # products of two such numbers crowd around zero
    first, second = (places * factor % 1009 % (2 * magnitude + 1) - magnitude for factor in (7919, 104729))
    values = torch.div(first * second, magnitude, rounding_mode="trunc")
    values[::997], values[500::997] = LIMIT, -LIMIT
    return values.to(torch.int32).reshape(shape).to(device)
