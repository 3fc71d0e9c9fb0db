"""The codecs under test, each with the same few members."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from codec import CaeError
from codec.options import TUNES


class TestedCodec(Protocol):
    """A codec and its fixed options. Picklable, so that other processes can run it.

    `settings` are the qualities it is measured at by default, from the smallest file to the largest.
    `in_main_process` holds for codecs that use several threads or hold large networks: they run alone.
    """

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def settings(self) -> tuple[float, ...]: ...

    @property
    def in_main_process(self) -> bool: ...

    @property
    def version(self) -> str:
        """Everything besides the setting that a coded file depends on; a change makes kept results stale."""
        ...

    def available(self) -> str | None:
        """The reason why it cannot run here, or None."""
        ...

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Codes (height, width, 3) uint8 RGB to a whole file."""
        ...

    def decode(self, data: bytes) -> np.ndarray:
        """Inverse of `encode`, with loss."""
        ...


def registry(
    weights: list[Path] | None = None, device: str = "cpu", threads: int = 2, checkpoints: list[str] | None = None
) -> dict[str, TestedCodec]:
    """All codecs by name, whether they can run here or not.

    Args:
        weights: weights files of our codec, each of which makes a codec; None takes the one of the package.
        device: where our codec and CompressAI's models run: "auto", "cpu" or "cuda".
        threads: processors that our codec uses.
        checkpoints: models of CompressAI, `ARCHITECTURE=FILE,FILE…`.
    """
    # here: the modules of codecs belong to this package, and their libraries take time to import
    from . import avif, cae, compressai, heic, jpeg, jpeg2000, jpegxl, webp

    ours = [cae.TestedCae(device, threads, path) for path in weights] if weights else [cae.TestedCae(device, threads)]
    if not weights:
        ours += [cae.TestedCae(device, threads, tune=tune) for tune in TUNES[1:]]
        ours += [cae.TestedCae(device, threads, tune=tune, effort=effort) for tune in TUNES for effort in cae.OTHER_EFFORTS]
    models = [compressai.parse(text, device) for text in checkpoints or []]
    pillow = [codec for module in (jpeg, webp, avif, jpegxl, heic, jpeg2000) for codec in module.CODECS]
    codecs: dict[str, TestedCodec] = {}
    for codec in (*ours, *pillow, *models):
        if codec.name in codecs:
            raise CaeError(f"two codecs are named {codec.name}; give the files different names")
        codecs[codec.name] = codec
    return codecs
