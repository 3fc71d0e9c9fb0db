"""A weights file's decoder by NumPy, ready to run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from ..entropy.symbols import EntropyTables, Symbols
from ..networks.config import Config
from ..networks.decoding import LATENT_BITS
from ..networks.halos import Halo
from ..networks.parts import ENLARGED, REDUCED, config_for, explaining, read_exact, resized_parts, with_installed_sizes
from ..networks.weights import DECODER, DECODING_GROUPS, SIZES, Files, Groups, Weights
from ..options import QUALITIES
from .layers import Tensors, interpolate_levels
from .means import Means
from .synthesis import EnlargedSynthesis, ReducedSynthesis, Synthesis

AnySynthesis = Synthesis | ReducedSynthesis
_NEEDED = (*DECODING_GROUPS, REDUCED, ENLARGED)


@dataclasses.dataclass(frozen=True)
class NumpyModel:
    """Networks and tables of one weights file that decode, on the CPU: `DecoderNetworks`, whose methods say what these do.

    `gain` (100, N) float32 holds the factor from pixel units to quantisation steps of each quality; `sizes` the decoders to
    other sizes that its own file has, by scale.
    """

    files: Files
    id: bytes
    config: Config
    exact: EntropyTables
    means: Means
    synthesis: Synthesis
    gain: np.ndarray
    sizes: Mapping[Fraction, AnySynthesis]
    on_gpu: bool = False

    @functools.cached_property
    def resized(self) -> Mapping[Fraction, AnySynthesis]:
        """See `with_installed_sizes`."""
        return with_installed_sizes(self, self.sizes, self._read_sizes)

    def _read_sizes(self, weights: Weights) -> Mapping[Fraction, AnySynthesis]:
        with explaining(weights), np.errstate(all="ignore"):
            return _resized(config_for(weights, SIZES, self), weights.arrays(_NEEDED))

    def on_cpu(self) -> NumpyModel:
        """See `DecoderNetworks`."""
        return self

    def reconstruct(self, symbols: Symbols, quality: int) -> np.ndarray:
        """See `DecoderNetworks`."""
        latent = symbols.latent.astype(np.float32)
        with np.errstate(all="ignore"):  # forged weights
            mean = self.means.of_symbols(symbols.hyper.astype(np.float32), latent, self.config.level(quality))
            mean += latent
            mean *= 2**LATENT_BITS
            return np.rint(mean, out=mean).astype(np.int32)

    def receptive_field(self, scale: Fraction) -> int:
        """See `DecoderNetworks`."""
        return self._synthesis_for(scale).receptive_field

    def synthesise(self, latent: np.ndarray, quality: int, scale: Fraction, halo: Halo, *, bf16: bool = False) -> np.ndarray:
        """See `DecoderNetworks`."""
        with np.errstate(all="ignore"):  # forged weights
            y = latent.astype(np.float32)
            y /= self.gain[quality - 1] * 2**LATENT_BITS
            return self._synthesis_for(scale)(y, self.config.level(quality), halo)

    def shortened(self, scale: Fraction, *, bf16: bool = False) -> Callable[[np.ndarray, Halo], np.ndarray]:
        """See `DecoderNetworks`."""
        network, level = self._synthesis_for(scale).shortened(), self.config.level(QUALITIES[-1])

        def run(latent: np.ndarray, halo: Halo) -> np.ndarray:
            with np.errstate(all="ignore"):
                return network(latent.copy(), level, halo)

        return run

    def _synthesis_for(self, scale: Fraction) -> AnySynthesis:
        return self.synthesis if scale == 1 else self.resized[scale]


def load(files: Files) -> NumpyModel:
    """Loads what decodes of a model, with the decoder of another file where it is named; another encoder is left out.

    CaeError where a file is none, or belongs to another model.
    """
    weights = Weights.read(files.model)
    # forged numbers overflow
    with explaining(weights), np.errstate(all="ignore"):
        model = _build(weights)
    if files.decoder is not None:
        weights = Weights.read(files.decoder)
        with explaining(weights), np.errstate(all="ignore"):
            config = config_for(weights, DECODER, model)
            synthesis = Synthesis(Tensors(weights.arrays(_NEEDED)["synthesis"]), config)
        model = dataclasses.replace(model, synthesis=synthesis)
    return dataclasses.replace(model, files=files)


def _build(weights: Weights) -> NumpyModel:
    config, groups = weights.config, weights.arrays(_NEEDED)
    log_gain = Tensors(groups["levels"]).take("log_gain", config.levels, config.latent_channels)
    gain = np.exp([interpolate_levels(log_gain, config.level(quality)) for quality in QUALITIES])
    if not np.isfinite(gain).all():
        raise ValueError("the gains are not finite")
    return NumpyModel(
        files=Files(weights.path),
        id=weights.id,
        config=config,
        exact=read_exact(config, groups),
        means=Means(Tensors(groups["means"]), config),
        synthesis=Synthesis(Tensors(groups["synthesis"]), config),
        gain=gain,
        sizes=_resized(config, groups),
    )


def _resized(config: Config, groups: Groups) -> dict[Fraction, AnySynthesis]:
    """The decoders to other sizes by scale."""
    decoders: dict[Fraction, AnySynthesis] = {}
    for scale, tensors in resized_parts(groups):
        kind = ReducedSynthesis if scale < 1 else EnlargedSynthesis
        decoders[scale] = kind(Tensors(tensors), config, max(scale.numerator, scale.denominator))
    return decoders
