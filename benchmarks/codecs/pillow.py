"""Codecs behind Pillow."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import io
from collections.abc import Mapping

import numpy as np
import PIL
from PIL import Image, features


@dataclasses.dataclass(frozen=True)
class PillowCodec:
    """A format that Pillow writes, with fixed options.

    `feature` is the library's name in PIL.features. Where Pillow lacks the format, `plugin` is the module that adds it, and
    `package` the name to install it by.
    """

    name: str
    label: str
    format: str
    settings: tuple[float, ...]
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    feature: str | None = None
    plugin: str | None = None
    package: str = ""
    in_main_process = False

    @property
    def version(self) -> str:
        """Pillow's version, the library's and the options."""
        parts = [f"pillow {PIL.__version__}"]
        if self.feature:
            parts.append(f"{self.feature} {features.version(self.feature)}")
        if self.plugin:
            parts.append(f"{self.package} {importlib.metadata.version(self.package)}")
        return ", ".join(parts + [f"{key}={value}" for key, value in self.options.items()])

    def available(self) -> str | None:
        """The library or package that is missing, or None."""
        if self.feature and not features.check(self.feature):
            return f"this build of Pillow has no {self.feature}"
        if self.plugin and not importlib.util.find_spec(self.plugin):
            return f"needs the package {self.package}: pip install {self.package}"
        return None

    def register(self) -> None:
        """Makes Pillow know the format; a plugin's codec does it here, in each process that runs it."""

    def arguments(self, setting: float) -> dict[str, object]:
        """Pillow's keyword arguments that stand for the setting."""
        return {"quality": setting}

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Codes (height, width, 3) uint8 RGB to a whole file without metadata."""
        self.register()
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, self.format, **self.arguments(setting), **self.options)
        return buffer.getvalue()

    def decode(self, data: bytes) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        self.register()
        with Image.open(io.BytesIO(data), formats=[self.format]) as image:
            return np.asarray(image.convert("RGB"))
