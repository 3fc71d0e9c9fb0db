"""Settings of a codec: threads, types and sizes that its networks run with."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager

import torch

from ..format.limits import PIXELS_MAX
from ..runtime import devices

WINDOW = 1024
"""Side in pixels of the square windows in which the transforms run."""
WINDOW_MIN = 128
BAND_WINDOWS = 4
"""Windows for each thread in a band."""
WIDE = 2**13
"""Pixels to a row from which on memory that a band's work has freed is given back to the system at once."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a codec, for all its calls.

    `bf16` None means that the encoder uses it where it is fast, and the decoder does not, so that its pixels agree
    everywhere. `pixels_max` bounds the pixels that one call decodes.
    """

    threads: int
    bf16: bool | None = None
    window: int = WINDOW
    pixels_max: int = PIXELS_MAX

    @property
    def band_windows(self) -> int:
        """Windows in a band, which holds a whole row of them at least."""
        return BAND_WINDOWS * self.threads

    def encodes_in_bf16(self, device: torch.device) -> bool:
        """True if the encoder's products are in bfloat16."""
        return devices.fast_bf16(device) if self.bf16 is None else self.bf16

    def encoding_precision(self, device: torch.device) -> AbstractContextManager[None]:
        """Sets the compute dtype for networks of the encoder."""
        return devices.precision(device, self.encodes_in_bf16(device))

    def windows_at_once(self, device: torch.device) -> int:
        """Number of windows that are worked on at the same time."""
        # one window fills a GPU, and two would need twice its memory
        return self.threads if device.type == "cpu" else 1
