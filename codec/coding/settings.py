"""Settings of a codec: threads, types and sizes that its networks run with."""

from __future__ import annotations

import dataclasses

from ..format.limits import PIXELS_MAX

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

    def windows_at_once(self, on_gpu: bool) -> int:
        """Number of windows that are worked on at the same time."""
        # one window fills a GPU, and two would need twice its memory
        return 1 if on_gpu else self.threads
