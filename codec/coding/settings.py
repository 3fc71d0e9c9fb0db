"""How a codec runs, and what it does where a GPU's memory is used up."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

from ..format.limits import PIXELS_MAX
from ..networks.model import Model, on_cpu
from ..runtime import devices

WINDOW = 1024
"""Side in pixels of the square pieces in which the transforms run."""
WINDOW_MIN = 128
BAND_CELLS = 4
"""Windows for each thread in a band, the part of a picture that is worked on at a time."""
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a codec runs.

    `bf16` None means that the encoder uses it where it is fast, and the decoder does not, so that its pixels agree
    everywhere. `pixels_max` bounds the pixels that one call decodes.
    """

    threads: int
    bf16: bool | None = None
    window: int = WINDOW
    pixels_max: int = PIXELS_MAX

    @property
    def band_cells(self) -> int:
        """Windows in a band, as many as make a whole row of them at least."""
        return BAND_CELLS * self.threads

    def encoding_precision(self, device: torch.device) -> AbstractContextManager[None]:
        """Runs networks of the encoder."""
        return devices.precision(device, devices.fast_bf16(device) if self.bf16 is None else self.bf16)

    def decoding_precision(self, device: torch.device) -> AbstractContextManager[None]:
        """Runs networks of the decoder."""
        return devices.precision(device, bool(self.bf16))

    def windows_at_once(self, device: torch.device) -> int:
        """How many windows are worked on at the same time."""
        # a GPU is filled by one window, and two would need twice its memory
        return self.threads if device.type == "cpu" else 1


def with_fallback(
    work: Callable[[Model, Settings], Result], model: Model, settings: Settings, *, windows: bool = True
) -> Result:
    """Runs `work`; out of memory on a GPU, tries again with smaller windows (if it uses any), and at last on the CPU."""
    attempt, smaller = model, settings
    while True:
        try:
            return work(attempt, smaller)
        except RuntimeError as error:
            if attempt.device.type == "cpu" or not devices.out_of_memory(error):
                raise
        # outside the handler, which would keep the tensors alive
        if smaller is settings:
            warnings.warn("out of GPU memory: going on with smaller pieces, then on the CPU", RuntimeWarning, stacklevel=1)
        torch.cuda.empty_cache()
        if windows and smaller.window > WINDOW_MIN:
            smaller = dataclasses.replace(smaller, window=smaller.window // 2)
        else:
            attempt, smaller = on_cpu(model), settings
