"""From a trained model to a weights file: the scale model and tables in integers, all else in floating point."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..entropy.scale_model import MAGNITUDE_UNIT, OPERAND_MAX, SCALE_MIN, SCALE_STEP, SCALES, ScaleModel
from ..entropy.symbols import EntropyTables, Priors
from ..errors import CaeError
from ..networks.config import Config
from ..networks.dequantised import TRAINED, UNIT, trainable
from ..networks.entropy_model import EntropyModel
from ..networks.latent_coder import LatentCoder
from ..networks.layers import interpolate_levels
from ..networks.model import NETWORKS_BY_ROLE
from ..networks.quantisation import Quantiser
from ..networks.tensors import as_tensors
from ..networks.weights import MODEL, Weights, read_tables
from ..options import QUALITIES
from ..runtime.atomic_write import atomic_write
from .autoencoder import Autoencoder
from .calibration import collect, fitted_tables, gaussian_tables, integer_cost
from .quality_scale import with_quality_scale

SHIFT_MAX = 20
"""Most fractional bits of a weight of the scale model."""
SCALE_IMAGES = 20
"""Most images on which the scale of qualities is measured."""
FITTINGS = 2
"""Fittings of the tables, which decide the symbols that an encoder chooses, and so what they are fitted to."""
NAME_TOTAL = 2**16
"""Sum of the frequencies of the priors' names."""


def integer_scales(model: EntropyModel) -> dict[str, Tensor]:
    """Tensors of `ScaleModel`, of which each output's weights have as many fractional bits as 8 bits leave room for."""
    scales = model.scales
    mapped, map_shift = _rows(scales.map.double() * UNIT)
    context, context_shift = _rows(torch.cat([scales.own, scales.edge, scales.diagonal], 1).double() * (UNIT / MAGNITUDE_UNIT))
    own, edge, diagonal = context.chunk(3, 1)
    bias = (_of_qualities(model, scales.bias) + _of_qualities(model, model.log_gain) - math.log(SCALE_MIN)) * UNIT
    return {
        "map.weight": mapped,
        "map.shift": map_shift,
        "bias": bias.round().to(torch.int32),
        "own.weight": own,
        "edge.weight": edge,
        "diagonal.weight": diagonal,
        "context.shift": context_shift,
        "expected": (scales.expected * MAGNITUDE_UNIT).round().clamp(-OPERAND_MAX, OPERAND_MAX).to(torch.int8),
    }


def _rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (out, in) as int8, and the number of fractional bits (out,) uint8 of each row."""
    largest = weight.abs().amax(1).clamp_min(1e-9)
    shift = torch.floor(torch.log2(OPERAND_MAX / largest)).clamp(0, SHIFT_MAX)
    integers = (weight * 2 ** shift[:, None]).round().clamp(-OPERAND_MAX, OPERAND_MAX)
    return integers.to(torch.int8), shift.to(torch.uint8)


def _of_qualities(model: EntropyModel, table: Tensor) -> Tensor:
    """Rows (100, C) of a table (levels, C) at the qualities."""
    levels = torch.tensor([model.config.level(quality) for quality in QUALITIES])
    return interpolate_levels(table, levels)[:, 0, 0].double()


def integer_priors(model: EntropyModel) -> dict[str, Tensor]:
    """Tensors of `Priors`."""
    prior = model.prior
    index = ((prior.log_scale.double() - math.log(SCALE_MIN)) / SCALE_STEP).round().clamp(0, SCALES - 1)
    share = _of_qualities(model, prior.logits).softmax(-1)
    return {
        "mean": prior.mean.round().to(torch.int16),
        "index": index.to(torch.uint8),
        "frequencies": (share * NAME_TOTAL).round().clamp_min(1).to(torch.int32),
    }


def latent_coder(model: EntropyModel, tables: Mapping[str, Tensor]) -> LatentCoder:
    """Makes the coder of latents that a file of this model and these tables has."""
    config = model.config
    arrays = [{name: value.numpy() for name, value in part(model).items()} for part in (integer_scales, integer_priors)]
    scales = ScaleModel(arrays[0], config.latent_channels, config.hyper_channels)
    read = read_tables({name: value.numpy() for name, value in tables.items()})
    return LatentCoder(model.means, EntropyTables(scales, Priors(arrays[1], config.hyper_channels), read), Quantiser(read))


@torch.inference_mode()
def export(
    model: Autoencoder,
    images: list[np.ndarray],
    path: Path,
    record: Mapping[str, str],
    held_out: list[np.ndarray] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> None:
    """Writes a weights file; tables are fitted to the symbols of `images` (uint8 RGB), `record` goes into the metadata.

    On images `held_out` it sets the scale of qualities, measures what the integers cost in rate, and puts that into the
    metadata as well. `progress` is called with the part of the work that is done, 0 to 1, after each image.
    """
    held_out = held_out or []
    scored = held_out[:: max(1, -(-len(held_out) // SCALE_IMAGES))]
    done, total = 0, FITTINGS * len(images) + len(scored) + len(held_out)

    def counted(each: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        nonlocal done
        for image in each:
            yield image
            done += 1
            progress(done / total)

    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    if held_out:
        model.config = model.entropy.config = with_quality_scale(model, counted(scored))
    tables = gaussian_tables()
    for _ in range(FITTINGS):
        tables = fitted_tables(collect(model, latent_coder(model.entropy, tables), counted(images)))
    metadata = {"config": json.dumps(dataclasses.asdict(model.config)), **record}
    if held_out:
        cost = integer_cost(model, latent_coder(model.entropy, tables), counted(held_out))
        metadata["integer_cost"] = f"{100 * cost:+.3f} % rate against the float model's estimate, on {len(held_out)} images"
    groups = {
        "scales": integer_scales(model.entropy),
        "priors": integer_priors(model.entropy),
        "tables": tables,
        "means": compact(model.entropy.means),
        "levels": {"log_gain": model.entropy.log_gain},
        "training": {name: model.entropy.get_parameter(name) for name in TRAINED},
        **_transforms(model),
    }
    write(path, groups, metadata | {"role": MODEL})


def export_part(model: Autoencoder, role: str, belongs_to: bytes, path: Path, record: Mapping[str, str]) -> None:
    """Writes an encoder or a decoder (`role`) for the latents of the model whose id is `belongs_to`."""
    config = json.dumps(dataclasses.asdict(model.config))
    groups = {name: part for name, part in _transforms(model).items() if name in NETWORKS_BY_ROLE[role]}
    write(path, groups, {"config": config, "id": belongs_to.hex(), "role": role, **record})


def write(path: Path, groups: Mapping[str, Mapping[str, Tensor]], metadata: dict[str, str]) -> None:
    """Writes a weights file of tensors by group and name; a model's id goes into its metadata."""
    tensors = {f"{group}/{name}": value.contiguous() for group, part in groups.items() for name, value in part.items()}
    if metadata["role"] == MODEL:
        metadata = metadata | {"id": Weights(path, save(tensors, metadata)).id.hex()}
    with atomic_write(path) as file:
        file.write(in_order(save(tensors, metadata)))


def in_order(data: bytes) -> bytes:
    """A safetensors file's bytes with the header's entries sorted, which the library shuffles: equal models, equal files."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _transforms(model: Autoencoder) -> dict[str, dict[str, Tensor]]:
    """The tensors of the float networks that a weights file holds, by group."""
    networks = {"analysis": model.analysis, "hyper_analysis": model.entropy.hyper_analysis, "synthesis": model.synthesis}
    return {name: compact(network) for name, network in networks.items()}


def compact(module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors, the matrices of its residual blocks in float16."""
    return {
        name: value.half() if "block" in name and value.ndim > 1 else value.float()
        for name, value in module.state_dict().items()
    }


def restore(path: Path) -> Autoencoder:
    """A float model from a weights file, to train on from: equal to the exported one up to the files' rounding.

    CaeError where the file is none.
    """
    weights = Weights.read(path)
    config, groups = weights.config, as_tensors(weights.arrays())
    try:
        return _restored(config, groups)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CaeError(f"{path}: not a whole weights file of this codec ({error})") from None


def _restored(config: Config, groups: dict[str, dict[str, Tensor]]) -> Autoencoder:
    model = Autoencoder(config)
    model.analysis.load_state_dict(groups["analysis"])
    model.synthesis.load_state_dict(groups["synthesis"])
    model.entropy = trainable(config, groups)
    return model
