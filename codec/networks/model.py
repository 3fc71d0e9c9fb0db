"""A weights file's networks and tables by torch, ready to run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..entropy.symbols import EntropyTables, Symbols
from ..errors import CaeError, DeviceError
from ..options import QUALITIES
from ..runtime import torch_threads as torch_threads  # `run_parallel` shares its threads from here on
from ..runtime.devices import out_of_memory
from .config import Config
from .dequantised import trainable
from .enlarging import EnlargedSynthesis
from .entropy_model import EntropyModel
from .halos import Halo
from .hyper_analysis import HyperAnalysis
from .latent_coder import LATENT_BITS, LatentCoder
from .layers import interpolate_levels
from .means import Means
from .parts import config_for, explaining, read_exact, resized_parts, with_installed_sizes
from .quantisation import Quantiser
from .reduced import ReducedSynthesis
from .tensors import as_tensors, multiply
from .transforms import Analysis, Synthesis, receptive_field, with_bf16_products, with_first_blocks
from .weights import DECODER, DENOISING, ENCODER, SIZES, Files, Weights

Network = TypeVar("Network", bound=nn.Module)


@dataclasses.dataclass(frozen=True)
class Model:
    """Networks and tables of one weights file, on one device, ready to run; its analysis or synthesis may be another's.

    `gain` (100, N) float32 holds the factor from pixel units to quantisation steps of each quality; `sizes` the decoders to
    other sizes that its own file has, by scale. Where `denoises`, the analysis leaves noise out. `objective` names the
    distortion that the analysis was trained for.
    """

    files: Files
    id: bytes
    config: Config
    analysis: Analysis
    hyper_analysis: HyperAnalysis
    synthesis: Synthesis
    coder: LatentCoder
    gain: Tensor
    device: torch.device
    sizes: Mapping[Fraction, ReducedSynthesis | EnlargedSynthesis] = dataclasses.field(default_factory=dict)
    denoises: bool = False
    objective: str = "mse"

    def synthesis_for(self, scale: Fraction, *, bf16: bool = False) -> nn.Module:
        """The synthesis to pictures at a scale, with products in bfloat16 if asked for; KeyError where there is no such one.

        Decoders to other sizes have but one.
        """
        if scale == 1:
            return self._synthesis_in_bf16 if bf16 else self.synthesis
        return self.resized[scale]

    @functools.cached_property
    def _synthesis_in_bf16(self) -> Synthesis:
        return with_bf16_products(self.synthesis)

    @functools.cached_property
    def resized(self) -> Mapping[Fraction, ReducedSynthesis | EnlargedSynthesis]:
        """See `with_installed_sizes`."""
        return with_installed_sizes(self, self.sizes, self._read_sizes)

    def _read_sizes(self, weights: Weights) -> Mapping[Fraction, ReducedSynthesis | EnlargedSynthesis]:
        with _explaining(weights, self.device):
            return _resized(config_for(weights, SIZES, self), as_tensors(weights.arrays()), self.device)

    @functools.cached_property
    def entropy(self) -> EntropyModel:
        """The entropy model as training has it, for what needs gradients; CaeError where the file is another by now."""
        weights = Weights.read(self.files.model)
        if weights.id != self.id:
            raise CaeError(f"{self.files.model}: has been replaced by other weights since it was loaded")
        # for gradients, whatever mode the program is in
        with _explaining(weights, self.device), torch.inference_mode(False):
            model = trainable(self.config, as_tensors(weights.arrays()))
            model.means = self.coder.means
            return model.to(self.device).eval().requires_grad_(False)

    def level(self, quality: int) -> Tensor:
        """The quality's position on the gain levels, (1,)."""
        return torch.tensor([self.config.level(quality)], dtype=torch.float32, device=self.device)

    @property
    def exact(self) -> EntropyTables:
        """See `DecoderNetworks`."""
        return self.coder.exact

    @property
    def on_gpu(self) -> bool:
        """See `DecoderNetworks`."""
        return self.device.type != "cpu"

    def on_cpu(self) -> Model:
        """See `DecoderNetworks`; it is kept for the next time."""
        return _load_on_cpu(self.files, self.id)

    def reconstruct(self, symbols: Symbols, quality: int) -> np.ndarray:
        """See `DecoderNetworks`."""
        return self.coder.reconstruct(symbols, self.level(quality), self.device).numpy()

    def receptive_field(self, scale: Fraction) -> int:
        """See `DecoderNetworks`."""
        return receptive_field(self.synthesis_for(scale))

    @torch.inference_mode()
    def synthesise(self, latent: np.ndarray, quality: int, scale: Fraction, halo: Halo, *, bf16: bool = False) -> np.ndarray:
        """See `DecoderNetworks`."""
        y = torch.from_numpy(latent)[None].to(self.device).float() / (self.gain[quality - 1] * 2**LATENT_BITS)
        return self.synthesis_for(scale, bf16=bf16)(y, self.level(quality), halo=halo)[0].cpu().numpy()

    def shortened(self, scale: Fraction, *, bf16: bool = False) -> Callable[[np.ndarray, Halo], np.ndarray]:
        """See `DecoderNetworks`."""
        network, level = with_first_blocks(self.synthesis_for(scale, bf16=bf16)), self.level(QUALITIES[-1])

        @torch.inference_mode()
        def run(latent: np.ndarray, halo: Halo) -> np.ndarray:
            return network(torch.from_numpy(latent)[None], level, halo=halo)[0].numpy()

        return run


@torch.inference_mode(False)
def load(files: Files, device: torch.device | str = "cpu") -> Model:
    """Loads a model onto a device, with the encoder and the decoder of other files where they are named.

    CaeError where a file is none, or belongs to another model; RuntimeError where a GPU's memory is used up.
    """
    device = torch.device(device)
    weights = Weights.read(files.model)
    with _explaining(weights, device):
        model = _build(weights, device)
    for part, role in ((files.encoder, ENCODER), (files.decoder, DECODER)):
        if part is not None:
            weights = Weights.read(part)
            with _explaining(weights, device):
                model = dataclasses.replace(model, **_networks(weights, role, model, device))
            if role == ENCODER:
                denoises = weights.metadata.get(DENOISING) == "true"
                model = dataclasses.replace(model, denoises=denoises, objective=weights.config.objective)
    return dataclasses.replace(model, files=files)


@contextlib.contextmanager
def _explaining(weights: Weights, device: torch.device) -> Iterator[None]:
    """Turns errors of forged or foreign weights into CaeError, those of the device into DeviceError."""
    with explaining(weights):
        try:
            yield
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            if "CUDA" in str(error):
                raise DeviceError(f"device {device}: {str(error).splitlines()[0]}") from None
            raise ValueError(str(error)) from None


@functools.lru_cache(maxsize=2)
def _load_on_cpu(files: Files, model_id: bytes) -> Model:
    model = load(files, "cpu")
    if model.id != model_id:
        raise CaeError(f"{files.model}: has been replaced by other weights since it was loaded")
    return model


def _build(weights: Weights, device: torch.device) -> Model:
    config, arrays = weights.config, weights.arrays()
    parts = as_tensors(arrays)
    levels = torch.tensor([config.level(quality) for quality in QUALITIES], dtype=torch.float32, device="cpu")
    gain = interpolate_levels(parts["levels"]["log_gain"], levels)[:, 0, 0].exp().to(device)
    if gain.shape != (len(QUALITIES), config.latent_channels) or not gain.isfinite().all():
        raise ValueError("the gains are not finite, or not one for each channel")
    # on torch's threads, whose number is ours to choose: those of NumPy's library would wait for each other
    exact = read_exact(config, arrays, multiply)
    means = _network(Means, config, parts["means"], device)
    return Model(
        files=Files(weights.path),
        id=weights.id,
        config=config,
        coder=LatentCoder(means, exact, Quantiser(exact.tables, device)),
        gain=gain,
        device=device,
        objective=config.objective,
        sizes=_resized(config, parts, device),
        **{
            name: _network(kind, config, parts[name], device)
            for kinds in NETWORKS_BY_ROLE.values()
            for name, kind in kinds.items()
        },
    )


NETWORKS_BY_ROLE: dict[str, dict[str, Callable[[Config], nn.Module]]] = {
    ENCODER: {"analysis": Analysis, "hyper_analysis": HyperAnalysis},
    DECODER: {"synthesis": Synthesis},
}
"""The networks of an encoder and of a decoder."""


def _networks(weights: Weights, role: str, model: Model, device: torch.device) -> dict[str, nn.Module]:
    """The networks of an encoder's or decoder's file; CaeError where it is none for this model."""
    config, parts = config_for(weights, role, model), as_tensors(weights.arrays())
    return {name: _network(kind, config, parts[name], device) for name, kind in NETWORKS_BY_ROLE[role].items()}


def _resized(
    config: Config, parts: Mapping[str, Mapping[str, Tensor]], device: torch.device
) -> dict[Fraction, ReducedSynthesis | EnlargedSynthesis]:
    """The decoders to other sizes by scale."""
    decoders = {}
    for scale, tensors in resized_parts(parts):
        kind = ReducedSynthesis if scale < 1 else EnlargedSynthesis
        network = functools.partial(kind, factor=max(scale.numerator, scale.denominator))
        decoders[scale] = _network(network, config, tensors, device)
    return decoders


def _network(kind: Callable[[Config], Network], config: Config, tensors: Mapping[str, Tensor], device: torch.device) -> Network:
    """A network with its tensors, in float32, without making up values first."""
    with torch.device("meta"):
        module = kind(config)
    module.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    return module.to(device).eval().requires_grad_(False)
