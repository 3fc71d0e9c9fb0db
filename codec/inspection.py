"""How far a picture departs from pictures without fault, place by place, by what the codec knows of it. NumPy alone.

Three things are looked at: the error of the reconstruction, the surprise (bits of the latent under the codec's own entropy
networks), and the distance of the latent from those of good samples (Mahalanobis, as Defard et al. do with features in PaDiM,
2020, arXiv:2011.08785, but with one Gaussian for all positions, since textures shift). Each counts in both directions: a part
that is missing costs fewer bits than the texture around it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .errors import CaeError
from .format.tiling import LATENT_STRIDE
from .outputs import replacing

LAYERS = (("error", 2.0), ("error", 4.0), ("error", 8.0), ("surprise", 0.0), ("surprise", 8.0), ("distance", 0.0))
"""Maps, and the deviation in pixels of the Gaussian by which each is smoothed."""
MAPS = ("error", "surprise", "distance")
SAMPLES_MIN = 4
"""Good samples, for two halves with a spread each."""
_FLOOR = {"error": 1e-7, "surprise": 1.0}
"""What is added before logarithms are taken: a fraction of an 8-bit level, squared, and a bit."""
_ROUNDING = 1 / 12
"""Variance of rounding to integers: how much a latent in quantisation steps varies at least."""
_SPREAD_MIN = 0.05
_UNKNOWN = (np.empty(0),) * 3
_STOPS = ((0, 0, 0, 4), (0.25, 87, 16, 110), (0.5, 188, 55, 84), (0.75, 249, 142, 9), (1, 252, 255, 164))
"""matplotlib's inferno."""


@dataclasses.dataclass(frozen=True)
class Traces:
    """What the codec knows of a picture at a quality, and with which model.

    `error` (H, W) float32 are squared errors as shares of white, the mean over the colours; `bits` (h, w) float32 what the
    latent's symbols take at each position of 16 x 16 pixels; `latent` (h, w, N) float32 is in quantisation steps.
    """

    error: np.ndarray
    bits: np.ndarray
    latent: np.ndarray
    quality: int
    model_id: bytes


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What good samples look like.

    Args:
        quality, model_id: those of the samples' traces.
        mean: the latent's, (N,).
        whitening: (N, K); makes deviations from it uncorrelated, of variance 1 or less.
        levels: (layers, 2), mean and deviation of each of `LAYERS`.
        peaks: (layers, 2, 2), of the highest value of a sample in each layer and direction, in those deviations: mean and
            deviation.
        highest: (layers,), of each the highest departure of a good sample, the latent's mean and whitening those of the others.
    """

    quality: int
    model_id: bytes
    mean: np.ndarray
    whitening: np.ndarray
    levels: np.ndarray
    peaks: np.ndarray
    highest: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[Traces]) -> Statistics:
        """From traces of good samples, all of one model and quality.

        Raises:
            CaeError: where there are fewer than `SAMPLES_MIN`.
        """
        if len(samples) < SAMPLES_MIN:
            raise CaeError(f"{len(samples)} good samples; at least {SAMPLES_MIN} are needed, and dozens are better")
        values: list[list[np.ndarray]] = [[] for _ in LAYERS]
        for known, others in ((samples[::2], samples[1::2]), (samples[1::2], samples[::2])):
            half = cls._fitted(known)  # few samples are closer to their own mean than others are
            for sample in others:
                for found, layer in zip(values, LAYERS, strict=True):
                    found.append(half._layer(sample, *layer))
        return cls._fitted(samples)._calibrated(values)

    @classmethod
    def _fitted(cls, samples: Sequence[Traces]) -> Statistics:
        """With the latent's mean and whitening alone."""
        latents = np.concatenate([sample.latent.reshape(-1, sample.latent.shape[-1]) for sample in samples]).astype(np.float64)
        mean = latents.mean(0)
        latents -= mean
        variances, directions = np.linalg.eigh(latents.T @ latents / len(latents))
        whitening = directions / np.sqrt(variances.clip(0) + _ROUNDING)
        return cls(samples[0].quality, samples[0].model_id, mean, whitening, *_UNKNOWN)

    @classmethod
    def of_itself(cls, traces: Traces) -> Statistics:
        """Those of a single picture, by which its places are compared with each other; of these, distances mean nothing."""
        channels = traces.latent.shape[-1]
        blank = cls(traces.quality, traces.model_id, np.zeros(channels), np.zeros((channels, 0)), *_UNKNOWN)
        found = blank._calibrated([[blank._layer(traces, *layer)] for layer in LAYERS])
        return dataclasses.replace(found, peaks=np.broadcast_to([0.0, 1.0], found.peaks.shape))

    def _calibrated(self, values: Sequence[Sequence[np.ndarray]]) -> Statistics:
        """With what is usual of these values, a list of the samples' for each layer."""
        levels, peaks, highest = [], [], []
        for layer in values:
            every = np.concatenate([value.ravel() for value in layer])
            mean, spread = every.mean(dtype=np.float64), every.std(dtype=np.float64) + 1e-6
            own = np.array([[(value.max() - mean) / spread, (mean - value.min()) / spread] for value in layer])
            usual, varying = own.mean(0), own.std(0) + _SPREAD_MIN
            levels.append((mean, spread))
            peaks.append(np.stack([usual, varying], -1))
            highest.append(((own - usual) / varying).max())
        return dataclasses.replace(self, levels=np.array(levels), peaks=np.array(peaks), highest=np.array(highest))

    def heat(self, traces: Traces, maps: Sequence[str] = MAPS) -> np.ndarray:
        """How far each pixel is above the highest value that is usual of good samples, in deviations of these: (H, W) float32.

        Raises:
            CaeError: for traces of another model or quality.
        """
        height, width = traces.error.shape
        heat = np.full((height, width), -np.inf, np.float32)
        for value in self._departures(traces, maps):
            np.maximum(heat, value if value.shape == heat.shape else _enlarged(value, height, width), out=heat)
        return heat

    def score(self, traces: Traces, maps: Sequence[str] = MAPS) -> float:
        """The highest departure of any place, in the units of `heat`."""
        return float(max(value.max() for value in self._departures(traces, maps)))

    def threshold(self, maps: Sequence[str] = MAPS) -> float:
        """The highest score of a good sample."""
        return float(max(value for value, (name, _) in zip(self.highest, LAYERS, strict=True) if name in maps))

    def _departures(self, traces: Traces, maps: Sequence[str]) -> Iterator[np.ndarray]:
        if (traces.quality, traces.model_id) != (self.quality, self.model_id):
            raise CaeError(
                f"the statistics are of quality {self.quality} and weights {self.model_id.hex()}, the picture's traces of "
                f"{traces.quality} and {traces.model_id.hex()}; make them again with the same"
            )
        for layer, (mean, spread), peaks in zip(LAYERS, self.levels, self.peaks, strict=True):
            if layer[0] in maps:
                value = (self._layer(traces, *layer) - np.float32(mean)) / np.float32(spread)
                up, down = peaks.astype(np.float32)
                yield np.maximum((value - up[0]) / up[1], (-value - down[0]) / down[1])

    def _layer(self, traces: Traces, name: str, smoothing: float) -> np.ndarray:
        """A layer on the pixels (H, W) or on the positions (h, w)."""
        if name == "error":
            return np.log(smoothed(traces.error, smoothing) + np.float32(_FLOOR[name]))
        if name == "surprise":
            return smoothed(np.log(traces.bits + np.float32(_FLOOR[name])), smoothing / LATENT_STRIDE)
        white = (traces.latent - self.mean.astype(np.float32)) @ self.whitening.astype(np.float32)
        return np.log(np.square(white).sum(-1) + 1)

    def save(self, path: Path) -> None:
        """Writes a .safetensors file; CaeError where that fails."""
        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float64) for name in _ARRAYS}
        facts = {"quality": self.quality, "model_id": self.model_id.hex()}
        with replacing(path) as file:
            file.write(save(tensors, {_KIND: json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Reads what `save` wrote; CaeError for any other file."""
        try:
            with safe_open(path, "numpy") as file:
                facts = json.loads((file.metadata() or {})[_KIND])
                arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            found = cls(int(facts["quality"]), bytes.fromhex(facts["model_id"]), **arrays)
            shapes = (found.mean.ndim, found.whitening.ndim, *(getattr(found, name).shape for name in _ARRAYS[2:]))
            if shapes != (1, 2, (len(LAYERS), 2), (len(LAYERS), 2, 2), (len(LAYERS),)) or len(found.mean) != len(
                found.whitening
            ):
                raise ValueError("other shapes")
        except OSError as error:
            raise CaeError(f"{path}: {error.strerror or error}") from None
        except (SafetensorError, LookupError, TypeError, ValueError) as error:
            raise CaeError(f"{path}: holds no statistics of good samples ({error}); make them with --good and --save") from None
        return found


_ARRAYS = ("mean", "whitening", "levels", "peaks", "highest")
_KIND = "good_samples"
"""Key of the file's metadata."""


def smoothed(values: np.ndarray, deviation: float) -> np.ndarray:
    """Values (H, W) float32 under a Gaussian of a deviation in their own units, 0 for none; edges go on."""
    if not deviation:
        return values
    reach = math.ceil(3 * deviation)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        length = values.shape[axis]
        padded = np.pad(values, [(reach, reach) if axis == each else (0, 0) for each in (0, 1)], mode="edge")
        values = np.zeros_like(values)
        for start, weight in enumerate(weights):
            part = slice(start, start + length)
            values += weight * (padded[part] if axis == 0 else padded[:, part])
    return values


def _enlarged(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Values of positions as those of pixels."""
    h, w = values.shape
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((w * LATENT_STRIDE, h * LATENT_STRIDE), Image.Resampling.BILINEAR))[:height, :width]


def shown(heat: np.ndarray, pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """A heat map over its picture in gray: (H, W, 3) uint8; from `low` on it shows, from `high` on it hides the picture.

    `heat` is (H, W), `pixels` (H, W, 1 or 3) of uint8 or uint16.
    """
    gray = pixels.mean(-1, dtype=np.float32) * np.float32(160 / np.iinfo(pixels.dtype).max)
    share = np.clip((heat - low) / max(high - low, 1e-6), 0, 1)
    places, *colours = np.array(_STOPS).T
    ramp = np.stack([np.interp(share, places, colour) for colour in colours], -1)
    return (gray[..., None] * (1 - share[..., None]) + ramp * share[..., None]).round().astype(np.uint8)
