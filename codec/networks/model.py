"""A weights file's networks and tables, ready to run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..entropy.scale_model import SCALES, ScaleModel
from ..entropy.symbols import EntropyTables, Priors
from ..errors import CaeError, DeviceError
from ..options import DECODE_SCALES, QUALITIES
from ..runtime.devices import out_of_memory
from . import registry
from .config import Config
from .dequantised import trainable
from .enlarging import EnlargedSynthesis
from .entropy_model import EntropyModel
from .hyper_analysis import HyperAnalysis
from .latent_coder import LatentCoder
from .layers import interpolate_levels
from .means import Means
from .quantisation import Quantiser
from .reduced import ReducedSynthesis
from .transforms import Analysis, Synthesis, with_bf16_products
from .weights import DECODER, DENOISING, ENCODER, MODEL, SIZES, Files, Weights, read_tables, within

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
        """All decoders to other sizes, those installed for this model as well; CaeError where their file is damaged.

        None beside a decoder of another file, whose pictures they do not know.
        """
        if self.files.decoder is not None:
            return {}
        path = registry.find_sizes(self.id)
        if path is None:
            return self.sizes
        weights = Weights.read(path)
        with _explaining(weights, self.device):
            return {**_resized(_config_for(weights, SIZES, self), weights.tensors(), self.device), **self.sizes}

    @functools.cached_property
    def entropy(self) -> EntropyModel:
        """The entropy model as training has it, for what needs gradients; CaeError where the file is another by now."""
        weights = Weights.read(self.files.model)
        if weights.id != self.id:
            raise CaeError(f"{self.files.model}: has been replaced by other weights since it was loaded")
        # for gradients, whatever mode the program is in
        with _explaining(weights, self.device), torch.inference_mode(False):
            model = trainable(self.config, weights.tensors())
            model.means = self.coder.means
            return model.to(self.device).eval().requires_grad_(False)

    def level(self, quality: int) -> Tensor:
        """The quality's position on the gain levels, (1,)."""
        return torch.tensor([self.config.level(quality)], dtype=torch.float32, device=self.device)


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
    try:
        yield
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        if out_of_memory(error):
            raise
        if "CUDA" in str(error):
            raise DeviceError(f"device {device}: {str(error).splitlines()[0]}") from None
        raise CaeError(f"{weights.path}: not a whole weights file of this codec ({error})") from None


@functools.lru_cache(maxsize=2)
def _load_on_cpu(files: Files, model_id: bytes) -> Model:
    model = load(files, "cpu")
    if model.id != model_id:
        raise CaeError(f"{files.model}: has been replaced by other weights since it was loaded")
    return model


def on_cpu(model: Model) -> Model:
    """The same model on the CPU, kept for the next time; CaeError where its file is no longer the one it came from."""
    return _load_on_cpu(model.files, model.id)


def _build(weights: Weights, device: torch.device) -> Model:
    config, parts = weights.config, weights.tensors()
    levels = torch.tensor([config.level(quality) for quality in QUALITIES], dtype=torch.float32, device="cpu")
    gain = interpolate_levels(parts["levels"]["log_gain"], levels)[:, 0, 0].exp().to(device)
    if gain.shape != (len(QUALITIES), config.latent_channels) or not gain.isfinite().all():
        raise ValueError("the gains are not finite, or not one for each channel")
    arrays = {group: {name: value.numpy() for name, value in parts[group].items()} for group in ("scales", "priors")}
    tables = read_tables(parts["tables"], "scale")
    if len(tables) != SCALES:
        raise ValueError(f"{len(tables)} tables, not {SCALES}")
    exact = EntropyTables(
        ScaleModel(arrays["scales"], config.latent_channels, config.hyper_channels),
        Priors(arrays["priors"], config.hyper_channels),
        tables,
    )
    means = _network(Means, config, parts["means"], device)
    return Model(
        files=Files(weights.path),
        id=weights.id,
        config=config,
        coder=LatentCoder(means, exact, Quantiser(tables, device)),
        gain=gain,
        device=device,
        objective=config.objective,
        sizes=_resized(config, parts, device),
        **{name: _network(kind, config, parts[name], device) for kinds in PARTS.values() for name, kind in kinds.items()},
    )


PARTS: dict[str, dict[str, Callable[[Config], nn.Module]]] = {
    ENCODER: {"analysis": Analysis, "hyper_analysis": HyperAnalysis},
    DECODER: {"synthesis": Synthesis},
}
"""The networks of an encoder and of a decoder."""
REDUCED, ENLARGED = "reduced", "enlarged"
"""Groups of the tensors of decoders to smaller and to larger sizes."""
SHARED = ("latent_channels", "hyper_channels", "levels", "quality_levels")
"""Fields of a configuration in which encoders and decoders must agree with their model."""


def _config_for(weights: Weights, role: str, model: Model) -> Config:
    """The configuration of a file of another role for a model; CaeError where it is none for this model."""
    own_role, own_id = weights.metadata.get("role"), weights.metadata.get("id")
    if (own_role, own_id) != (role, model.id.hex()):
        if own_id is None:
            holds = "holds something else"
        else:
            holds = f"holds model {own_id}" if own_role == MODEL else f"holds {own_role} weights for model {own_id}"
        article = "an" if role == ENCODER else "a"
        raise CaeError(f"{weights.path}: {holds}, not {article} {role} for model {model.id.hex()}")
    config = weights.config
    if any(getattr(config, name) != getattr(model.config, name) for name in SHARED):
        raise CaeError(f"{weights.path}: has other sizes than the model that it names")
    return config


def _networks(weights: Weights, role: str, model: Model, device: torch.device) -> dict[str, nn.Module]:
    """The networks of an encoder's or decoder's file; CaeError where it is none for this model."""
    config, parts = _config_for(weights, role, model), weights.tensors()
    return {name: _network(kind, config, parts[name], device) for name, kind in PARTS[role].items()}


def _resized(
    config: Config, parts: Mapping[str, Mapping[str, Tensor]], device: torch.device
) -> dict[Fraction, ReducedSynthesis | EnlargedSynthesis]:
    """The decoders to other sizes by scale, whose tensors' names begin with "reduced/8/", "enlarged/2/" and so on."""
    decoders = {}
    for scale in DECODE_SCALES:
        smaller, factor = scale < 1, max(scale.numerator, scale.denominator)
        if tensors := within(parts.get(REDUCED if smaller else ENLARGED, {}), str(factor)):
            kind = ReducedSynthesis if smaller else EnlargedSynthesis
            decoders[scale] = _network(functools.partial(kind, factor=factor), config, tensors, device)
    return decoders


def _network(kind: Callable[[Config], Network], config: Config, tensors: Mapping[str, Tensor], device: torch.device) -> Network:
    """A network with its tensors, in float32, without making up values first."""
    with torch.device("meta"):
        module = kind(config)
    module.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    return module.to(device).eval().requires_grad_(False)
