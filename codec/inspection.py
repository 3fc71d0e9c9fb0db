"""How far a picture departs from pictures without fault, place by place, by what the codec knows of it. NumPy alone.

Three things are looked at: the error of the reconstruction, the surprise (bits of the latent under the codec's own entropy
networks), and the distance of the analysis transform's features from those of good samples. Error and surprise count in both
directions: a part that is missing costs fewer bits than the texture around it.

The distance is Mahalanobis's, as Defard et al. have it in PaDiM (2020, arXiv:2011.08785), but with one Gaussian for all
positions, since textures shift, and of few numbers: the features are whitened, and what counts is the logarithm of the energy
in each of `GROUPS` groups of components and the values of the `VALUES` strongest. An energy is as unusual where it is low, as
where texture is missing, as where it is high, and is the same for a texture wherever its edges fall.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save

from .errors import CaeError
from .format.geometry import LATENT_STRIDE
from .networks.config import FEATURE_STRIDE
from .options import QUALITIES
from .runtime.atomic_write import atomic_write
from .tensor_files import parse_header, read_regular

LAYERS = (("error", 2.0), ("error", 4.0), ("error", 8.0), ("surprise", 0.0), ("surprise", 8.0), ("distance", 0.0))
"""Maps, and the deviation in pixels of the Gaussian by which each is smoothed."""
GROUPS = 16
VALUES = 2
HIGHEST = 5
"""Places of a layer whose mean is its score: one alone may be chance."""
MAPS = ("error", "surprise", "distance")
UPWARDS = "distance"
"""The map of which low values are nothing unusual."""
DEFAULT_MAPS = ("distance",)
SAMPLES_MIN = 4
"""Good samples, for two halves with a spread each."""
_STRIDES = {"error": 1, "surprise": LATENT_STRIDE, "distance": FEATURE_STRIDE}
"""Pixels to a position of each map."""
_FLOOR = {"error": 1e-7, "surprise": 1.0, "energy": 0.05}
"""What is added before logarithms are taken: a fraction of an 8-bit level, squared; a bit; a share of the usual energy."""
_VARIANCE_MIN = 1e-3
"""Share of the components' mean variance that is added to each of them, lest directions in which nothing varies count."""
_NOISE = 1e-6
"""Variance that rounding may bring, where all samples are one colour."""
_SPREAD_MIN = 0.05
_SHOWN_ALONE = (2.0, 5.0)
"""Deviations from which on places show, and at which they hide the picture, where nothing is known of good samples."""
_UNKNOWN = (np.empty(0),) * 3
_STOPS = ((0, 0, 0, 4), (0.25, 87, 16, 110), (0.5, 188, 55, 84), (0.75, 249, 142, 9), (1, 252, 255, 164))
"""matplotlib's inferno."""


@dataclasses.dataclass(frozen=True)
class CodingMaps:
    """What the codec knows of a picture of a size (H, W) at a quality, and with which model; None for what was not asked for.

    `error` (H, W) float32 are squared errors as shares of white, the mean over the colours; `bits` (H/16, W/16) float32 what
    the latent's symbols take at each position; `features` (H/8, W/8, C) float32 are the analysis transform's.
    """

    size: tuple[int, int]
    quality: int
    model_id: bytes
    error: np.ndarray | None = None
    bits: np.ndarray | None = None
    features: np.ndarray | None = None

    @property
    def maps(self) -> tuple[str, ...]:
        """Those of `MAPS` that can be made of them."""
        known = (self.error, self.bits, self.features)
        return tuple(name for name, values in zip(MAPS, known, strict=True) if values is not None)


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What good samples look like.

    Args:
        quality, model_id: those of the samples' traces.
        mean: the features', (C,).
        whitening: (C, C); makes deviations from it uncorrelated, of variance 1 or less, the strongest last.
        usual: mean (D,) of what is made of the whitened features.
        spread: (D, D), its whitening.
        levels: (layers, 2), mean and deviation of each of `LAYERS`.
        peaks: (layers, 2, 2), of the highest value of a sample in each layer and direction, in those deviations: mean and
            deviation.
        highest: (layers,), of each the highest departure of a good sample, mean and whitening those of the others.
    """

    quality: int
    model_id: bytes
    mean: np.ndarray
    whitening: np.ndarray
    usual: np.ndarray
    spread: np.ndarray
    levels: np.ndarray
    peaks: np.ndarray
    highest: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[CodingMaps]) -> Statistics:
        """From whole traces of good samples, all of one model and quality, in the order in which they were taken.

        What is usual of good samples is learnt from each half by the statistics of the other.

        Raises:
            CaeError: where there are fewer than `SAMPLES_MIN`, or traces lack something or do not belong together.
        """
        if len(samples) < SAMPLES_MIN:
            raise CaeError(f"{len(samples)} good samples; at least {SAMPLES_MIN} are needed, and dozens are better")
        if any(sample.maps != MAPS for sample in samples):
            raise CaeError("traces of good samples lack some maps; inspect them without their maps named")
        if len({(sample.quality, sample.model_id) for sample in samples}) > 1:
            raise CaeError("traces of good samples are of several qualities or models; inspect them all with one")
        first, second = samples[: len(samples) // 2], samples[len(samples) // 2 :]
        # few samples are closer to their own mean than others are, and so are those taken next to them
        halves = (cls._fitted(first), second), (cls._fitted(second), first)
        # one layer at a time, since all of them would take three times the memory
        values = ([half._layer(each, *layer) for half, others in halves for each in others] for layer in LAYERS)
        return cls._fitted(samples)._calibrated(values)

    @classmethod
    def _fitted(cls, samples: Sequence[CodingMaps]) -> Statistics:
        """With means and whitenings alone."""
        mean, whitening = _whitening([sample.features for sample in samples])
        usual, spread = _whitening([_described(sample.features, mean, whitening) for sample in samples])
        return cls(samples[0].quality, samples[0].model_id, mean, whitening, usual, spread, *_UNKNOWN)

    @classmethod
    def of_itself(cls, traces: CodingMaps) -> Statistics:
        """Those of a single picture, by which its places are compared with each other."""
        fitted = cls._fitted([traces])
        found = fitted._calibrated([[fitted._layer(traces, *layer)] for layer in LAYERS])
        return dataclasses.replace(found, peaks=np.broadcast_to([0.0, 1.0], found.peaks.shape))

    def _calibrated(self, values: Iterable[Sequence[np.ndarray]]) -> Statistics:
        """With what is usual of these values, a list of the samples' for each of `LAYERS`."""
        levels, peaks, highest = [], [], []
        for layer, (name, _) in zip(values, LAYERS, strict=True):
            every = np.concatenate([value.ravel() for value in layer])
            mean, spread = every.mean(dtype=np.float64), every.std(dtype=np.float64) + 1e-6
            own = np.array([[(_top(value) - mean) / spread, (mean + _top(-value)) / spread] for value in layer])
            usual, varying = own.mean(0), own.std(0) + _SPREAD_MIN
            levels.append((mean, spread))
            peaks.append(np.stack([usual, varying], -1))
            departures = (own - usual) / varying
            highest.append((departures[:, 0] if name == UPWARDS else departures).max())
        return dataclasses.replace(self, levels=np.array(levels), peaks=np.array(peaks), highest=np.array(highest))

    def heat(self, traces: CodingMaps, maps: Sequence[str] = DEFAULT_MAPS) -> np.ndarray:
        """How far each pixel is above the highest values usual of good samples, in deviations of these: (H, W) float32.

        Raises:
            CaeError: for traces of another model or quality, or without what the maps are made of.
        """
        height, width = traces.size
        heat = np.full((height, width), -np.inf, np.float32)
        for name, value in self._departures(traces, maps):
            np.maximum(heat, _enlarged(value, _STRIDES[name])[:height, :width], out=heat)
        return heat

    def score(self, traces: CodingMaps, maps: Sequence[str] = DEFAULT_MAPS) -> float:
        """The highest departure of any layer, the mean of its `HIGHEST` highest places, in the units of `heat`."""
        return max(_top(value) for _, value in self._departures(traces, maps))

    def threshold(self, maps: Sequence[str] = DEFAULT_MAPS) -> float:
        """The highest score of a good sample."""
        return float(max(value for value, (name, _) in zip(self.highest, LAYERS, strict=True) if name in maps))

    def _departures(self, traces: CodingMaps, maps: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        if (traces.quality, traces.model_id) != (self.quality, self.model_id):
            raise CaeError(
                f"the statistics are of quality {self.quality} and weights {self.model_id.hex()}, the picture's traces of "
                f"{traces.quality} and {traces.model_id.hex()}; make them again with the same"
            )
        if lacking := set(maps) - set(traces.maps):
            raise CaeError(f"the picture's traces lack {', '.join(sorted(lacking))}; inspect it for these maps")
        if "distance" in maps and (found := traces.features.shape[-1]) != self.mean.size:
            raise CaeError(f"the statistics are of {self.mean.size} features, not {found}; make them again")
        for (name, smoothing), (mean, spread), peaks in zip(LAYERS, self.levels, self.peaks, strict=True):
            if name in maps:
                value = (self._layer(traces, name, smoothing) - np.float32(mean)) / np.float32(spread)
                up, down = peaks.astype(np.float32)
                above = (value - up[0]) / up[1]
                yield name, above if name == UPWARDS else np.maximum(above, (-value - down[0]) / down[1])

    def _layer(self, traces: CodingMaps, name: str, smoothing: float) -> np.ndarray:
        """A layer on the pixels (H, W), or on the positions of the latent or the features."""
        if name == "error":
            return np.log(smoothed(traces.error, smoothing) + np.float32(_FLOOR[name]))
        if name == "surprise":
            return smoothed(np.log(traces.bits + np.float32(_FLOOR[name])), smoothing / _STRIDES[name])
        described = _described(traces.features, self.mean, self.whitening)
        return np.log(np.square((described - self.usual) @ self.spread).sum(-1) + 1).astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes a .safetensors file; CaeError where that fails."""
        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float64) for name in _ARRAYS}
        facts = {"quality": self.quality, "model_id": self.model_id.hex()}
        with atomic_write(path) as file:
            file.write(save(tensors, {_KIND: json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Reads what `save` wrote; CaeError for any other file."""
        data = read_regular(path, _SIZE_MAX, "statistics")
        try:
            facts = json.loads(parse_header(data)["__metadata__"][_KIND])
            tensors = safetensors_load(data)
            arrays = {name: tensors[name] for name in _ARRAYS}
            quality, model = facts["quality"], bytes.fromhex(facts["model_id"])
            channels, described, layers = arrays["mean"].size, arrays["usual"].size, len(LAYERS)
            shapes = [(channels,), (channels,) * 2, (described,), (described,) * 2, (layers, 2), (layers, 2, 2), (layers,)]
            if shapes != [array.shape for array in arrays.values()] or described != _size(channels) or not channels:
                raise ValueError("other shapes")
            if any(array.dtype != np.float64 or not np.isfinite(array).all() for array in arrays.values()):
                raise ValueError("other numbers")
            if type(quality) is not int or quality not in QUALITIES:
                raise ValueError("no quality")
        except (SafetensorError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise CaeError(f"{path}: holds no statistics of good samples ({error}); make them with --good and --save") from None
        return cls(quality, model, **arrays)


_ARRAYS = ("mean", "whitening", "usual", "spread", "levels", "peaks", "highest")
_KIND = "good_samples"
"""Key of the file's metadata."""
_SIZE_MAX = 2**28
"""Bytes of a file of statistics; those of 4,000 channels have half as many."""


def _whitening(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The mean (K,) of values (h, w, K), and directions (K, K) that whiten deviations from it, the strongest last."""
    rows = [sample.reshape(-1, sample.shape[-1]) for sample in samples]
    count = sum(map(len, rows))
    mean = sum(row.sum(0, dtype=np.float64) for row in rows) / count
    covariance = sum(deviation.T @ deviation for deviation in (row - mean for row in rows)) / count
    variances, directions = np.linalg.eigh(covariance)
    variances = variances.clip(0) + _VARIANCE_MIN * variances.mean() + _NOISE
    return mean, directions / np.sqrt(variances)


def _size(channels: int) -> int:
    """Numbers that `_described` makes of so many features."""
    return min(GROUPS, channels) + min(VALUES, channels)


def _described(features: np.ndarray, mean: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Log energies of groups of whitened features, and the strongest as they are: (h, w, D) float32."""
    white = (features - mean.astype(np.float32)) @ whitening.astype(np.float32)
    ends = np.linspace(0, white.shape[-1], min(GROUPS, white.shape[-1]) + 1).astype(int)
    energy = np.add.reduceat(np.square(white), ends[:-1], axis=-1) / np.diff(ends).astype(np.float32)
    return np.concatenate([np.log(energy + np.float32(_FLOOR["energy"])), white[..., -VALUES:]], -1)


def _top(values: np.ndarray) -> float:
    """The mean of the highest `HIGHEST` values."""
    return float(np.partition(values, -min(HIGHEST, values.size), axis=None)[-HIGHEST:].mean())


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


def _enlarged(values: np.ndarray, stride: int) -> np.ndarray:
    """Values of positions as those of pixels, up to the end of the last position."""
    if stride == 1:
        return values
    h, w = values.shape
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((w * stride, h * stride), Image.Resampling.BILINEAR))


def shown(heat: np.ndarray, pixels: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """A heat map over its picture in gray: (H, W, 3) uint8; it shows from half the threshold on, and soon hides the picture.

    `heat` is (H, W), `pixels` (H, W, 1 or 3) of uint8 or uint16. Without threshold, `heat` is in deviations within the picture.
    """
    low, high = _SHOWN_ALONE if threshold is None else (threshold / 2, max(2 * threshold, threshold + 3))
    gray = pixels.mean(-1, dtype=np.float32) * np.float32(160 / np.iinfo(pixels.dtype).max)
    share = np.clip((heat - low) / max(high - low, 1e-6), 0, 1)
    places, *colours = np.array(_STOPS).T
    ramp = np.stack([np.interp(share, places, colour) for colour in colours], -1)
    return (gray[..., None] * (1 - share[..., None]) + ramp * share[..., None]).round().astype(np.uint8)
