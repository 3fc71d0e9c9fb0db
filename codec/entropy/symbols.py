"""A tile's symbols: from integers to the entropy coder's groups, and back from a payload. Exact everywhere; knows no torch."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..errors import CaeError
from ..options import QUALITIES
from .coder import Decoder, FrequencyTable, group_values
from .scale_model import HYPER_UPSCALE, SCALES, STAGES, ScaleModel, places

SYMBOL_PARTS = ("priors", "hyper-latent", "anchors", "non-anchors")
"""Parts of a transform-coded payload, in decoding order."""
MEAN_MAX = 2**15
"""Largest magnitude of a prior's mean."""


class Priors:
    """Bank of priors of the hyper-latent, one of which each position names.

    `mean` (K, Z) int32 and `index` (K, Z) uint8 hold each prior's means and scale indices; `tables` one table of names for each
    quality. ValueError for tensors that are none.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], hyper_channels: int) -> None:
        mean, index, frequencies = (tensors[name] for name in ("mean", "index", "frequencies"))
        count = len(mean)
        shapes = mean.shape == index.shape == (count, hyper_channels) and frequencies.shape == (len(QUALITIES), count)
        if not shapes or count % 2 or any(values.dtype.kind not in "iu" for values in (mean, index, frequencies)):
            raise ValueError("bad bank of priors")
        if np.abs(mean.astype(np.int64)).max() > MEAN_MAX or index.max() >= SCALES or index.min() < 0 or frequencies.min() < 1:
            raise ValueError("a prior's values are out of range")
        self.mean, self.index = mean.astype(np.int32), index.astype(np.uint8)
        self._half = count // 2
        # a table holds -K/2 to K/2 and an escape, of which the last two are never coded
        self._tables = [FrequencyTable(np.append(row, (1, 1))) for row in frequencies]
        self._bits = np.log2(frequencies.sum(1, keepdims=True) / frequencies).astype(np.float32)

    def bits(self, quality: int) -> np.ndarray:
        """Bits (K,) of each name."""
        return self._bits[quality - 1]

    def residual(self, names: np.ndarray, hyper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The symbols of a hyper-latent (h, w, Z) under the named priors (h, w), and their scale indices."""
        return hyper - self.mean[names], self.index[names]

    def encode(self, names: np.ndarray, quality: int) -> tuple[FrequencyTable, np.ndarray]:
        """The coder's group of the names (h, w) of priors."""
        return self._tables[quality - 1], (names.ravel() - self._half).astype(np.int32)

    def decode(self, decoder: Decoder, quality: int, shape: tuple[int, int]) -> np.ndarray:
        """The names (h, w) of priors; CaeError where there are no such priors."""
        names = decoder.decode(self._tables[quality - 1], shape[0] * shape[1]) + self._half
        if names.size and not 0 <= names.min() <= names.max() < 2 * self._half:
            raise CaeError("a tile's payload names a prior that the model does not have")
        return names.reshape(shape)


@dataclasses.dataclass(frozen=True)
class EntropyTables:
    """A model's integers that decide how symbols are coded: scale model, bank of priors, a table for each scale index."""

    scales: ScaleModel
    priors: Priors
    tables: Sequence[FrequencyTable]


@dataclasses.dataclass(frozen=True)
class Symbols:
    """The symbols of a tile of h x w latent positions and N channels.

    Args:
        priors: names of the hyper-latent's priors, (⌈h/4⌉, ⌈w/4⌉).
        hyper: the hyper-latent, (⌈h/4⌉, ⌈w/4⌉, Z) int32.
        latent: the latent's symbols, (h, w, N) int32.
        index: their scale indices, (h, w, N) uint8.
    """

    priors: np.ndarray
    hyper: np.ndarray
    latent: np.ndarray
    index: np.ndarray

    def groups(self, model: EntropyTables, quality: int) -> Iterator[tuple[FrequencyTable, np.ndarray]]:
        """All symbols, grouped by table, in decoding order."""
        yield model.priors.encode(self.priors, quality)
        yield from group_values(*map(np.ravel, model.priors.residual(self.priors, self.hyper)), model.tables)
        for stage in range(STAGES):
            values, index = (
                np.concatenate([part[place].ravel() for place in places(stage)]) for part in (self.latent, self.index)
            )
            yield from group_values(values, index, model.tables)


def decode_symbols(
    decoder: Decoder, model: EntropyTables, quality: int, height: int, width: int, bits: Counter[str] | None = None
) -> Symbols:
    """Decodes the symbols of a tile of height x width latent positions, all that its payload holds.

    The bits of each of `SYMBOL_PARTS` are added to `bits`. CaeError where the payload is none that an encoder writes.
    """
    remaining = decoder.bits

    def count(part: str) -> None:
        nonlocal remaining
        if bits is not None:
            bits[part] += remaining - decoder.bits
            remaining = decoder.bits

    priors = model.priors.decode(decoder, quality, (-(-height // HYPER_UPSCALE), -(-width // HYPER_UPSCALE)))
    count(SYMBOL_PARTS[0])
    residual = decoder.decode_groups(model.priors.index[priors].ravel(), model.tables)
    hyper = residual.reshape(*priors.shape, -1) + model.priors.mean[priors]
    count(SYMBOL_PARTS[1])
    scales = model.scales.coding(hyper, quality, height, width)
    latent = np.empty((height, width, model.scales.channels), np.int32)
    index = np.empty(latent.shape, np.uint8)
    for stage in range(STAGES):
        parts = list(scales.stage(stage))
        values = decoder.decode_groups(np.concatenate([part.ravel() for _, part in parts]), model.tables)
        for place, part in parts:
            symbols, values = values[: part.size].reshape(part.shape), values[part.size :]
            scales.add(place, symbols, part)
            latent[place], index[place] = symbols, part
        count(SYMBOL_PARTS[2 + stage // 2])
    decoder.finish()
    return Symbols(priors, hyper, latent, index)
