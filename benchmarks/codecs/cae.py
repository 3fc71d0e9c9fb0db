"""Our codec. The setting is its quality, 1 to 100."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

import codec
from codec import CaeError
from codec.networks import registry
from codec.options import DEFAULT_EFFORT, EFFORTS, TUNES

OTHER_EFFORTS = tuple(effort for effort in EFFORTS if effort != DEFAULT_EFFORT)
"""Those that are codecs of their own beside the usual one; some take long, so they are measured where they are named."""


@functools.lru_cache(maxsize=4)
def _loaded(weights: Path, device: str, threads: int) -> codec.Codec:
    return codec.Codec(weights=weights, device=device, threads=threads)


@dataclasses.dataclass(frozen=True)
class TestedCae:
    """Our codec with one weights file, None for one that comes with the package, at one effort."""

    device: str
    threads: int
    weights: Path | None = None
    tune: str = TUNES[0]
    effort: int = DEFAULT_EFFORT
    settings: tuple[float, ...] = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    in_main_process = True

    @property
    def name(self) -> str:
        """`cae`, `cae-psnr`, or `cae-STEM` for a weights file of one's own; at efforts of its own `cae-e5` and so on."""
        own = self.tune if self.weights is None else self.weights.stem
        stem = "cae" if own == TUNES[0] else f"cae-{own}"
        return stem if self.effort == DEFAULT_EFFORT else f"{stem}-e{self.effort}"

    @property
    def label(self) -> str:
        """Name for tables and plots."""
        label = "cae (this codec)" if self.name == "cae" else f"cae {self._path().stem}"
        return label if self.effort == DEFAULT_EFFORT else f"{label}, effort {self.effort}"

    @property
    def version(self) -> str:
        """The package's version, a digest of the weights file, encoder included, and the effort where it is not the usual."""
        with open(self._path(), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        effort = "" if self.effort == DEFAULT_EFFORT else f", effort {self.effort}"
        return f"{codec.__version__}, weights {digest[:16]}{effort}"

    def available(self) -> str | None:
        """The reason why it cannot run, or None."""
        if importlib.util.find_spec("torch") is None:
            return "needs the package torch: pip install torch"
        path = self._path()
        return None if path.is_file() else f"the weights file {path} does not exist"

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Codes (height, width, 3) uint8 RGB to a `.cae` file."""
        if setting != int(setting):
            raise CaeError(f"quality {setting} is not an integer")
        return self._codec().encode(pixels, int(setting), effort=self.effort)

    def decode(self, data: bytes) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        return self._codec().decode(data)

    def _path(self) -> Path:
        return registry.find_model(self.tune) if self.weights is None else self.weights

    def _codec(self) -> codec.Codec:
        return _loaded(self._path(), self.device, self.threads)
