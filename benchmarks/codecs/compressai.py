"""CompressAI's models: from checkpoints on disk, or untrained, for speed alone.

The setting is a checkpoint's place in the list, from 1. A file is the model's strings behind a header of our own, with the size
of the image and the lengths of the strings. CompressAI defines only headers for its enumerated models.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np

from codec import CaeError
from codec.errors import extra_advice

ARCHITECTURES = ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018", "cheng2020-anchor")
"""That run untrained."""
_UNTRAINED_QUALITY = 3
"""CompressAI's quality whose networks, of its smaller size, run untrained."""
_STRIDE = 64


def parse(text: str, device: str) -> CompressAi:
    """`ARCHITECTURE=FILE,FILE…`, the files from the lowest rate to the highest."""
    architecture, _, files = text.partition("=")
    paths = tuple(Path(name) for name in files.split(",") if name)
    if not architecture or not paths:
        raise CaeError(f"checkpoints {text!r} are not of the form mbt2018-mean=FILE,FILE…")
    return CompressAi(architecture, paths, device)


def untrained(device: str) -> dict[str, CompressAi]:
    """CompressAI's architectures with random weights, by name."""
    return {name: CompressAi(name, (), device) for name in ARCHITECTURES}


def pack(strings: list[bytes], height: int, width: int) -> bytes:
    """Strings and the size of the image as one byte string."""
    header = struct.pack(f"<IIB{len(strings)}I", height, width, len(strings), *map(len, strings))
    return header + b"".join(strings)


def unpack(data: bytes) -> tuple[list[bytes], int, int]:
    """Inverse of `pack`."""
    height, width, count = struct.unpack_from("<IIB", data)
    lengths = struct.unpack_from(f"<{count}I", data, 9)
    strings, start = [], 9 + 4 * count
    for length in lengths:
        strings.append(data[start : start + length])
        start += length
    return strings, height, width


@functools.lru_cache(maxsize=2)
def _model(architecture: str, path: Path | None, device: str) -> Any:
    import torch
    from compressai.zoo import image_models, load_state_dict
    from compressai.zoo.image import model_architectures

    if architecture not in model_architectures:
        raise CaeError(f"CompressAI has no architecture {architecture!r}; it has {', '.join(model_architectures)}")
    if path is None:
        torch.manual_seed(0)
        model = image_models[architecture](_UNTRAINED_QUALITY, pretrained=False)
    else:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        model = model_architectures[architecture].from_state_dict(load_state_dict(checkpoint.get("state_dict", checkpoint)))
    model.update()
    return model.to(device).eval().requires_grad_(False)


@dataclasses.dataclass(frozen=True)
class CompressAi:
    """One architecture with a checkpoint for each rate, or without any."""

    architecture: str
    paths: tuple[Path, ...]
    device: str
    in_main_process = True

    @property
    def name(self) -> str:
        """The architecture."""
        return self.architecture

    @property
    def label(self) -> str:
        """Name for tables and plots."""
        return f"{self.architecture} (CompressAI)"

    @property
    def settings(self) -> tuple[float, ...]:
        """1 to the number of checkpoints; 1 where it is untrained."""
        return tuple(range(1, max(1, len(self.paths)) + 1))

    @property
    def version(self) -> str:
        """CompressAI's version and a digest of the checkpoints."""
        state = hashlib.sha256()
        for path in self.paths:
            with open(path, "rb") as file:
                state.update(hashlib.file_digest(file, "sha256").digest())
        return f"compressai {importlib.metadata.version('compressai')}, checkpoints {state.hexdigest()[:16]}"

    def available(self) -> str | None:
        """The reason why it cannot run, or None."""
        if importlib.util.find_spec("compressai") is None:
            return f"needs the package compressai; {extra_advice('compressai')}"
        missing = [str(path) for path in self.paths if not path.is_file()]
        return f"no such checkpoint: {', '.join(missing)}" if missing else None

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Codes (height, width, 3) uint8 RGB, padded at the right and below to a multiple of 64."""
        import torch

        height, width = pixels.shape[:2]
        model = self._model(int(setting))
        image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(self._device()).float() / 255
        image = torch.nn.functional.pad(image, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
        with torch.inference_mode():
            coded = model.compress(image)
        strings = [string for group in coded["strings"] for string in group]
        return bytes([int(setting)]) + pack(strings, height, width)

    def decode(self, data: bytes) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        import torch

        strings, height, width = unpack(data[1:])
        model = self._model(data[0])
        # the last string is the one of the deepest latent, at 1/64 in models with a hyperprior and at 1/16 without
        stride = _STRIDE if len(strings) > 1 else 16
        shape = tuple(-(-side // _STRIDE) * _STRIDE // stride for side in (height, width))
        with torch.inference_mode():
            image = model.decompress([[string] for string in strings], shape)["x_hat"]
        pixels = (image[0, :, :height, :width].clamp(0, 1) * 255).round().byte()
        return pixels.permute(1, 2, 0).cpu().numpy()

    def _model(self, setting: int) -> Any:
        return _model(self.architecture, self.paths[setting - 1] if self.paths else None, self._device())

    def _device(self) -> str:
        from codec.runtime import devices

        return str(devices.choose(self.device))
