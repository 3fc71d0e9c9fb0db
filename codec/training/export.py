"""From a trained model to a weights file: integer entropy networks, integer tables, float transforms.

The entropy networks become integers after training: 16-bit activations get as many fractional bits as their range on
calibration images leaves room for, the 8-bit weights of each output as many as their largest value does.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import CaeError
from ..networks.config import Config
from ..networks.entropy_model import EntropyModel
from ..networks.entropy_networks import HYPER_BITS, MEAN_BITS, SCALE_BITS, SCALE_MIN, SCALE_STEP, EntropyNetworks
from ..networks.float_copy import FORMAT, HEADS, KEPT, float_copy, head_units
from ..networks.hyper_analysis import EntropyBlock
from ..networks.layers import interpolate_levels
from ..networks.model import PARTS
from ..networks.products import LIMIT, SUM_LIMIT
from ..networks.quantisation import Quantiser
from ..networks.weights import MODEL, Weights, read_tables
from ..options import QUALITIES
from ..runtime.atomic_write import atomic_write
from .autoencoder import Autoencoder
from .calibration import calibration, collect, integer_cost, make_tables

HEADROOM = 2.0
"""Factor by which ranges of activations are widened beyond what calibration saw."""
MOST_BITS = 15
"""Most fractional bits of an activation."""


def fraction_bits(largest: float, limit: int = LIMIT) -> int:
    """Most fractional bits with which integers up to `limit` hold values up to `largest`."""
    return min(24, math.floor(math.log2(limit / max(largest, 1e-6))))


class Ranges:
    """Largest magnitudes that a model's activations reach, by hooks on its layers."""

    def __init__(self, model: EntropyModel) -> None:
        self.most_bits = MOST_BITS
        self.largest: dict[str, float] = {}
        self.handles = []
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d | EntropyBlock):
                self.handles.append(module.register_forward_hook(self._recorder(name)))

    def _recorder(self, name: str):
        def record(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            self.largest[name] = max(self.largest.get(name, 0.0), output.abs().max().item())

        return record

    def bits(self, *names: str) -> int:
        """Fractional bits, at most `most_bits`, that hold the outputs of all these layers, with headroom."""
        return min(self.most_bits, fraction_bits(HEADROOM * max(self.largest[name] for name in names)))

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


class Integers:
    """Collects the operands of the integer layers."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def add(self, name: str, weight: Tensor, bias: Tensor, into: int, out: int, dtype: torch.dtype = torch.int8) -> None:
        """A layer from `into` to `out` fractional bits; weight (out, in), bias (out,)."""
        limit = torch.iinfo(dtype).max
        made = [self._row(row, start, into, out, limit) for row, start in zip(weight.double(), bias.double(), strict=True)]
        weights, biases, shifts = zip(*made, strict=True)
        self.tensors[f"{name}.weight"] = torch.stack(weights).to(dtype)
        self.tensors[f"{name}.bias"] = torch.tensor(biases, dtype=torch.int32)
        self.tensors[f"{name}.shift"] = torch.tensor(shifts, dtype=torch.int32)
        self.tensors[f"{name}{FORMAT}"] = torch.tensor([into, out], dtype=torch.int32)

    @staticmethod
    def _row(weight: Tensor, bias: Tensor, into: int, out: int, limit: int) -> tuple[Tensor, int, int]:
        """One output's weights, bias and shift: as many fractional bits as weights and 32-bit sums leave room for."""
        bits = min(fraction_bits(weight.abs().max().item(), limit), 24 + out - into)
        while True:
            shift = into + bits - out
            integers = (weight * 2.0**bits).round()
            # half of 2**shift makes the shift round to the nearest
            start = round(bias.item() * 2.0 ** (into + bits)) + 2 ** (shift - 1)
            if integers.abs().sum().item() * (LIMIT + 1) + abs(start) <= SUM_LIMIT:
                return integers, start, shift
            bits -= 1

    def add_linear(self, name: str, layer: nn.Linear, into: int, out: int) -> None:
        self.add(name, layer.weight, layer.bias, into, out)

    def add_block(self, name: str, block: EntropyBlock, ranges: Ranges, stream: int) -> None:
        """A residual block whose input and output have `stream` fractional bits."""
        inner = {layer: ranges.bits(f"{name}.{layer}") for layer in ("mix_in", "depthwise", "up")}
        self.add_linear(f"{name}.mix_in", block.mix_in, stream, inner["mix_in"])
        self.add(
            f"{name}.depthwise",
            block.depthwise.weight.reshape(-1, 9),
            block.depthwise.bias,
            inner["mix_in"],
            inner["depthwise"],
        )
        self.add_linear(f"{name}.mix_out", block.mix_out, inner["depthwise"], stream)
        self.add_linear(f"{name}.up", block.up, stream, inner["up"])
        self.add_linear(f"{name}.down", block.down, inner["up"], stream)


def quantise_networks(model: EntropyModel, ranges: Ranges) -> dict[str, Tensor]:
    """Operands of `EntropyNetworks` for a float entropy model whose ranges were recorded.

    Raises CaeError where a weight is too large for 8 bits.
    """
    while ranges.most_bits > 0:
        tensors = _integers(model, ranges)
        if all(value.min() > 0 for name, value in tensors.items() if name.endswith(".shift")):
            return tensors
        # small activations have more fractional bits than the products that lead to them
        ranges.most_bits -= 1
    raise CaeError("the entropy networks have weights too large for 8-bit integers; train on, or with a lower learning rate")


def _integers(model: EntropyModel, ranges: Ranges) -> dict[str, Tensor]:
    half = ranges.bits("hyper_synthesis.enter", "hyper_synthesis.block_half")
    blocks = ["hyper_synthesis.block", "first_block", *(f"second_blocks.{i}" for i in range(len(model.second_blocks)))]
    stream = ranges.bits("hyper_synthesis.upsample", "embed", *blocks)
    compress = fraction_bits(math.asinh(2.0 ** (15 - MEAN_BITS)))
    known = torch.arange(-LIMIT - 1, LIMIT + 1, dtype=torch.float64) / 2**MEAN_BITS

    made = Integers()
    made.add_linear("hyper_synthesis.enter", model.hyper_synthesis.enter, HYPER_BITS, half)
    made.add_block("hyper_synthesis.block_half", model.hyper_synthesis.block_half, ranges, half)
    made.add_linear("hyper_synthesis.upsample", model.hyper_synthesis.upsample, half, stream)
    for name in blocks:
        made.add_block(name, model.get_submodule(name), ranges, stream)
    made.add_linear("embed", model.embed, compress, stream)
    units = head_units(model.config)
    for name in HEADS:
        head = model.get_submodule(name)
        made.add(name, head.weight.double() * units[:, None], head.bias.double() * units, stream, 0)
    neighbours = model.neighbour_weight.T
    made.add("neighbour", neighbours, torch.zeros(len(neighbours)), 0, MEAN_BITS, torch.int16)

    levels = torch.tensor([model.config.level(quality) for quality in QUALITIES])
    table = lambda values: interpolate_levels(values, levels)[:, 0, 0].double()  # noqa: E731
    log_gain = (table(model.log_gain) - math.log(SCALE_MIN)) * (2.0**SCALE_BITS / SCALE_STEP)
    return made.tensors | {
        "compress": (torch.asinh(known) * 2.0**compress).round().to(torch.int16),
        "quality_bias": (table(model.quality_bias) * 2.0**stream).round().to(torch.int32),
        "log_gain": log_gain.round().to(torch.int32),
    }


def export(
    model: Autoencoder,
    images: list[np.ndarray],
    path: Path,
    record: Mapping[str, str],
    held_out: list[np.ndarray] | None = None,
) -> None:
    """Writes a weights file; `images` (uint8 RGB) calibrate ranges and tables, `record` goes into the metadata.

    On images `held_out` it measures what the integers cost in rate, and puts that into the metadata as well.
    """
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    ranges = Ranges(model.entropy)
    with torch.inference_mode():
        for x, level, _ in calibration(model.config, images[: max(8, len(images) // 8)]):
            model.latent(x, level)
    ranges.remove()
    integers = quantise_networks(model.entropy, ranges)
    formats = {name: integers.pop(name) for name in list(integers) if name.endswith(FORMAT)}
    networks = EntropyNetworks(integers, model.config)
    tables = make_tables(model.entropy, collect(model, networks, images))
    metadata = {"config": json.dumps(dataclasses.asdict(model.config)), **record}
    if held_out:
        cost = integer_cost(model, collect(model, networks, held_out), tables, held_out)
        metadata["integer_cost"] = f"{100 * cost:+.3f} % rate against the float networks' estimate, on {len(held_out)} images"
    # the encoder does not just round, so the tables that it uses are those of what it chooses
    tables = make_tables(model.entropy, collect(model, networks, images, Quantiser(read_tables(tables, "scale"))))
    groups = {
        "entropy": integers,
        "tables": tables,
        "levels": {"log_gain": model.entropy.log_gain},
        "training": {name: getattr(model.entropy, name) for name in KEPT} | formats,
        **_transforms(model),
    }
    write(path, groups, metadata | {"role": MODEL})


def export_part(model: Autoencoder, role: str, belongs_to: bytes, path: Path, record: Mapping[str, str]) -> None:
    """Writes an encoder or a decoder (`role`) for the latents of the model whose id is `belongs_to`."""
    config = json.dumps(dataclasses.asdict(model.config))
    groups = {name: part for name, part in _transforms(model).items() if name in PARTS[role]}
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
    config, groups = weights.config, weights.tensors()
    try:
        return _restored(config, groups)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CaeError(f"{path}: not a whole weights file of this codec ({error})") from None


def _restored(config: Config, groups: dict[str, dict[str, Tensor]]) -> Autoencoder:
    model = Autoencoder(config)
    model.analysis.load_state_dict(groups["analysis"])
    model.synthesis.load_state_dict(groups["synthesis"])
    model.entropy.load_state_dict(float_copy(config, groups).state_dict())
    return model
