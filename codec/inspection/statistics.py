"""Statistics of good samples, and how far a picture departs from them. NumPy alone.

Three things are compared: the error of the reconstruction, the surprise, and the distance of the analysis transform's
features from those of good samples. The surprise is the bits of the latent under the codec's own entropy model. Error and
surprise count in both directions: a place where a part is missing costs fewer bits than the texture around it.

The distance is Mahalanobis's, as in PaDiM (Defard et al., 2020, arXiv:2011.08785), but with one Gaussian for all positions,
since textures shift, and of few numbers. The features are whitened. What counts is the logarithm of the energy in each of
`GROUPS` groups of components, and the values of the `VALUES` strongest. A low energy, as where texture is missing, is as
unusual as a high one. The energy of a texture is the same wherever its edges fall.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save

from ..coding.coding_maps import CodingMaps
from ..errors import CaeError, NoStatisticsError
from ..format.geometry import LATENT_STRIDE
from ..networks.config import FEATURE_STRIDE
from ..options import DEFAULT_MAPS, MAPS, QUALITIES
from ..runtime.atomic_write import atomic_write
from ..tensor_files import parse_header, read_regular
from .heat_maps import enlarge_positions, smooth

LAYERS = (("error", 2.0), ("error", 4.0), ("error", 8.0), ("surprise", 0.0), ("surprise", 8.0), ("distance", 0.0))
"""Maps, and the deviation in pixels of the Gaussian that smooths each."""
GROUPS = 16
VALUES = 2
HIGHEST = 5
"""Places of a layer whose mean is its score. A single place may be high by chance."""
UPWARDS = "distance"
"""The map whose low values are not unusual."""
SAMPLES_MIN = 4
"""Fewest good samples: two halves with a spread each."""
_STRIDES = {"error": 1, "surprise": LATENT_STRIDE, "distance": FEATURE_STRIDE}
"""Pixels to a position of each map."""
_FLOOR = {"error": 1e-7, "surprise": 1.0, "energy": 0.05}
"""Added before logarithms are taken: a fraction of an 8-bit level, squared; a bit; a share of the usual energy."""
_VARIANCE_MIN = 1e-3
"""Share of the components' mean variance that is added to each, so that directions in which nothing varies do not count."""
_NOISE = 1e-6
"""Variance added for rounding, where all samples are of one colour."""
_SPREAD_MIN = 0.05
_NOT_CALIBRATED = (np.empty(0),) * 3
_ARRAYS = ("mean", "whitening", "usual", "spread", "levels", "peaks", "highest")
"""Names of the arrays in a file."""
_METADATA_KEY = "good_samples"
_FILE_SIZE_MAX = 2**28
"""Largest file of statistics in bytes. Statistics of 4,000 channels take half of it."""


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Statistics of good samples.

    Args:
        quality, model_id: those of the samples' coding maps.
        mean: the features' mean, (C,).
        whitening: (C, C); makes deviations from the mean uncorrelated, of variance 1 or less, the strongest last.
        usual: mean (D,) of the descriptions that are made of whitened features.
        spread: (D, D), the descriptions' whitening.
        levels: (layers, 2), mean and deviation of each of `LAYERS`.
        peaks: (layers, 2, 2), mean and deviation of a sample's highest value in each layer and direction, in units of
            `levels`.
        highest: (layers,), the highest departure of a good sample from the statistics of the others.
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
    def from_samples(cls, samples: Sequence[CodingMaps]) -> Statistics:
        """Computes the statistics of good samples, given in the order in which they were taken.

        The usual departures of each half are measured against the statistics of the other half.

        Args:
            samples: complete coding maps, all of one model and quality.

        Raises:
            CaeError: if there are fewer than `SAMPLES_MIN`, or coding maps are incomplete or do not belong together.
        """
        if len(samples) < SAMPLES_MIN:
            raise CaeError(f"{len(samples)} good samples; at least {SAMPLES_MIN} are needed, and dozens are better")
        if any(sample.maps != MAPS for sample in samples):
            raise CaeError("inspections of good samples lack some maps; inspect them without their maps named")
        if len({(sample.quality, sample.model_id) for sample in samples}) > 1:
            raise CaeError("inspections of good samples are of several qualities or models; inspect them all with one")
        first, second = samples[: len(samples) // 2], samples[len(samples) // 2 :]
        # few samples are closer to their own mean than others are, and so are those taken next to them
        halves = (cls._fit(first), second), (cls._fit(second), first)
        # one layer at a time, since all of them would take three times the memory
        values = ([half._layer(each, *layer) for half, others in halves for each in others] for layer in LAYERS)
        return cls._fit(samples)._calibrate(values)

    @classmethod
    def from_single(cls, coding_maps: CodingMaps) -> Statistics:
        """Computes the statistics of a single picture, with which its places are compared with each other."""
        fitted = cls._fit([coding_maps])
        calibrated = fitted._calibrate([[fitted._layer(coding_maps, *layer)] for layer in LAYERS])
        return dataclasses.replace(calibrated, peaks=np.broadcast_to([0.0, 1.0], calibrated.peaks.shape))

    @classmethod
    def _fit(cls, samples: Sequence[CodingMaps]) -> Statistics:
        """Computes means and whitenings alone."""
        mean, whitening = _whiten([sample.features for sample in samples])
        usual, spread = _whiten([_describe(sample.features, mean, whitening) for sample in samples])
        return cls(samples[0].quality, samples[0].model_id, mean, whitening, usual, spread, *_NOT_CALIBRATED)

    def _calibrate(self, values: Iterable[Sequence[np.ndarray]]) -> Statistics:
        """Adds the usual values of each layer, from a list of the samples' values for each of `LAYERS`."""
        levels, peaks, highest = [], [], []
        for layer, (name, _) in zip(values, LAYERS, strict=True):
            every = np.concatenate([value.ravel() for value in layer])
            mean, spread = every.mean(dtype=np.float64), every.std(dtype=np.float64) + 1e-6
            own = np.array([[(_top(value) - mean) / spread, (mean + _top(-value)) / spread] for value in layer])
            usual, varying = own.mean(0), own.std(0) + _SPREAD_MIN
            levels.append((mean, spread))
            peaks.append(np.stack([usual, varying], -1))
            highest.append(max(_top(_departure(name, value, levels[-1], peaks[-1])) for value in layer))
        return dataclasses.replace(self, levels=np.array(levels), peaks=np.array(peaks), highest=np.array(highest))

    def heat(self, coding_maps: CodingMaps, maps: Sequence[str] = DEFAULT_MAPS) -> np.ndarray:
        """Returns how far each pixel is above the highest values usual in good samples, in their deviations: (H, W) float32.

        Raises:
            CaeError: for coding maps of another model or quality, or without what the maps need.
        """
        height, width = coding_maps.size
        heat = np.full((height, width), -np.inf, np.float32)
        for name, departure in self._departures(coding_maps, maps):
            np.maximum(heat, enlarge_positions(departure, _STRIDES[name])[:height, :width], out=heat)
        return heat

    def score(self, coding_maps: CodingMaps, maps: Sequence[str] = DEFAULT_MAPS) -> float:
        """Returns the highest departure of any layer, the mean of its `HIGHEST` highest places, in the units of `heat`."""
        return max(_top(departure) for _, departure in self._departures(coding_maps, maps))

    def threshold(self, maps: Sequence[str] = DEFAULT_MAPS) -> float:
        """Returns the highest score of a good sample."""
        return float(max(value for value, (name, _) in zip(self.highest, LAYERS, strict=True) if name in maps))

    def _departures(self, coding_maps: CodingMaps, maps: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        if (coding_maps.quality, coding_maps.model_id) != (self.quality, self.model_id):
            raise CaeError(
                f"the statistics are of quality {self.quality} and weights {self.model_id.hex()}, the picture's maps of "
                f"{coding_maps.quality} and {coding_maps.model_id.hex()}; make them again with the same"
            )
        if lacking := set(maps) - set(coding_maps.maps):
            raise CaeError(f"the picture's maps lack {', '.join(sorted(lacking))}; inspect it for these maps")
        if "distance" in maps and (count := coding_maps.features.shape[-1]) != self.mean.size:
            raise CaeError(f"the statistics are of {self.mean.size} features, not {count}; make them again")
        for (name, smoothing), level, peaks in zip(LAYERS, self.levels, self.peaks, strict=True):
            if name in maps:
                yield name, _departure(name, self._layer(coding_maps, name, smoothing), level, peaks)

    def _layer(self, coding_maps: CodingMaps, name: str, smoothing: float) -> np.ndarray:
        """Returns a layer on the pixels (H, W), or on the positions of the latent or the features."""
        if name == "error":
            return np.log(smooth(coding_maps.error, smoothing) + np.float32(_FLOOR[name]))
        if name == "surprise":
            return smooth(np.log(coding_maps.bits + np.float32(_FLOOR[name])), smoothing / _STRIDES[name])
        description = _describe(coding_maps.features, self.mean, self.whitening)
        return np.log(np.square((description - self.usual) @ self.spread).sum(-1) + 1).astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes a .safetensors file; raises CaeError where that fails."""
        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float64) for name in _ARRAYS}
        facts = {"quality": self.quality, "model_id": self.model_id.hex()}
        with atomic_write(path) as file:
            file.write(save(tensors, {_METADATA_KEY: json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Reads a file that `save` wrote; raises CaeError for any other file."""
        data = read_regular(path, _FILE_SIZE_MAX, "statistics")
        try:
            facts = json.loads(parse_header(data)["__metadata__"][_METADATA_KEY])
            tensors = safetensors_load(data)
            arrays = {name: tensors[name] for name in _ARRAYS}
            quality, model_id = facts["quality"], bytes.fromhex(facts["model_id"])
            channels, described, layers = arrays["mean"].size, arrays["usual"].size, len(LAYERS)
            shapes = [(channels,), (channels,) * 2, (described,), (described,) * 2, (layers, 2), (layers, 2, 2), (layers,)]
            if shapes != [array.shape for array in arrays.values()] or described != _description_size(channels) or not channels:
                raise ValueError("other shapes")
            if any(array.dtype != np.float64 or not np.isfinite(array).all() for array in arrays.values()):
                raise ValueError("other numbers")
            if type(quality) is not int or quality not in QUALITIES:
                raise ValueError("no quality")
        except (SafetensorError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise NoStatisticsError(f"{path}: holds no statistics of good samples ({error})") from None
        return cls(quality, model_id, **arrays)


def _departure(name: str, values: np.ndarray, level: tuple[float, float], peaks: np.ndarray) -> np.ndarray:
    """Returns how far a layer's values lie above or below the usual highest ones, in their deviations: see `Statistics`."""
    (mean, spread), (up, down) = np.float32(level), peaks.astype(np.float32)
    value = (values - mean) / spread
    above = (value - up[0]) / up[1]
    return above if name == UPWARDS else np.maximum(above, (-value - down[0]) / down[1])


def _whiten(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean (K,) of values (h, w, K), and directions (K, K) that whiten deviations from it, the strongest last."""
    rows = [sample.reshape(-1, sample.shape[-1]) for sample in samples]
    count = sum(map(len, rows))
    mean = sum(row.sum(0, dtype=np.float64) for row in rows) / count
    covariance = sum(deviation.T @ deviation for deviation in (row - mean for row in rows)) / count
    variances, directions = np.linalg.eigh(covariance)
    variances = variances.clip(0) + _VARIANCE_MIN * variances.mean() + _NOISE
    return mean, directions / np.sqrt(variances)


def _description_size(channels: int) -> int:
    """Returns D of `_describe` for features of so many channels."""
    return min(GROUPS, channels) + min(VALUES, channels)


def _describe(features: np.ndarray, mean: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Returns log energies of groups of whitened features, and the strongest features as they are: (h, w, D) float32."""
    white = (features - mean.astype(np.float32)) @ whitening.astype(np.float32)
    ends = np.linspace(0, white.shape[-1], min(GROUPS, white.shape[-1]) + 1).astype(int)
    energy = np.add.reduceat(np.square(white), ends[:-1], axis=-1) / np.diff(ends).astype(np.float32)
    return np.concatenate([np.log(energy + np.float32(_FLOOR["energy"])), white[..., -VALUES:]], -1)


def _top(values: np.ndarray) -> float:
    """Returns the mean of the highest `HIGHEST` values."""
    return float(np.partition(values, -min(HIGHEST, values.size), axis=None)[-HIGHEST:].mean())
