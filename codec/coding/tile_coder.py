"""Coding one tile: its latent to symbols and payload, and back. Exact on every machine."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from ..format.entropy_coder import Decoder, Groups, encode, group_values
from ..format.geometry import HYPER_STRIDE, LATENT_STRIDE, Rect
from ..format.header import Kind
from ..format.payload import Payload, length_min
from ..format.sources import Data
from ..networks.entropy_networks import MEAN_BITS, deviation, unpack
from ..networks.model import Model
from ..networks.products import LIMIT
from ..options import EFFORTS
from .jobs import DecodeJob, EncodeJob
from .latent_search import SCHEDULES, SearchTarget, refine

TRANSFORM_PARTS = ("hyper-latent", "first pass", "second pass")
"""Parts of a transform-coded payload, in decoding order."""


def encode_tile(y: Tensor, place: Rect, job: EncodeJob, target: SearchTarget | None = None) -> Payload:
    """Codes a tile that covers the pixels `place`, from its latent y (h, w, N) in quantisation steps.

    With a target, symbols are searched as well, by the schedules of the job's effort, and taken where they are better.
    """
    shortest = length_min(Kind.TRANSFORM, place)
    chosen = tile_symbols(y[None], job)
    data = encode(chosen.groups(job.model), shortest)
    if target is not None and chosen.flat:
        job.count(place.height * place.width)
    elif target is not None:
        least_cost = 8 * len(data) + target.cost(chosen.latent(), job)
        for schedule in SCHEDULES[job.options.effort]:
            searched = quantise(*refine(target, chosen.unrounded, job, schedule), job, rounding=True)
            searched_data = encode(searched.groups(job.model), shortest)
            if (cost := 8 * len(searched_data) + target.cost(searched.latent(), job)) < least_cost:
                least_cost, data = cost, searched_data
    return Payload(Kind.TRANSFORM, data)


@dataclasses.dataclass(frozen=True)
class TileSymbols:
    """A tile's symbols: the hyper-latent z (1, h/4, w/4, Z), and of both passes (packed) symbols, means and scale indices.

    `unrounded` is what z was before it was rounded; `flat` whether the tile is, see `Quantiser.is_flat`.
    """

    z: Tensor
    values: tuple[Tensor, Tensor]
    means: tuple[Tensor, Tensor]
    indices: tuple[Tensor, Tensor]
    unrounded: Tensor
    flat: bool

    def groups(self, model: Model) -> Groups:
        """Groups the symbols by table, in decoding order."""
        hyper = self.z[0].reshape(-1, self.z.shape[-1]).T.cpu().numpy()
        groups = list(zip(model.hyper_tables, hyper, strict=True))
        for values, tables in zip(self.values, self.indices, strict=True):
            groups += group_values(values.cpu().numpy().ravel(), tables.cpu().numpy().ravel(), model.scale_tables)
        return groups

    def latent(self) -> Tensor:
        """Reconstructs the latent (1, h, w, N) int32, in units of 2**-MEAN_BITS quantisation steps."""
        return unpack(*(mean.add(values, alpha=2**MEAN_BITS) for mean, values in zip(self.means, self.values, strict=True)))


def tile_symbols(y: Tensor, job: EncodeJob) -> TileSymbols:
    """Chooses symbols for a tile's scaled latent (1, h, w, N)."""
    y = y.to(job.model.device)
    with job.settings.encoding_precision(job.model.device):
        z = job.model.hyper_analysis(_pad_to_hyper(y))
    return quantise(y, z, job, rounding=job.options.effort == EFFORTS[0])


@torch.inference_mode()
def quantise(y: Tensor, z: Tensor, job: EncodeJob, *, rounding: bool) -> TileSymbols:
    """Quantises a tile's scaled latent y (1, h, w, N) and hyper-latent, by rounding alone or by RDO quantisation."""
    model, quality, weight = job.model, job.header.quality, job.distortion_weight
    _, h, w, _ = y.shape
    rounded = z.round().clamp_(-LIMIT, LIMIT).to(torch.int32)
    features, mean, index = model.entropy.first(rounded, quality, h, w)
    differences, flat = deviation(y, mean, 0), model.quantiser.is_flat(index)
    symbols = model.quantiser.rdo_quantise(differences, index, flat or rounding, weight)
    mean_second, index_second = model.entropy.second(features, mean, symbols, quality)
    differences_second = deviation(y, mean_second, 1)
    if not rounding:
        differences_second = model.quantiser.diffuse_error(differences_second, differences, symbols, flat)
    symbols_second = model.quantiser.rdo_quantise(differences_second, index_second, flat or rounding, weight)
    return TileSymbols(rounded, (symbols, symbols_second), (mean, mean_second), (index, index_second), z, flat)


def decode_tile(data: Data, place: Rect, job: DecodeJob, bits: Counter[str] | None = None) -> Tensor:
    """Decodes the latent (h, w, N) int32, on the CPU, of a tile that covers the pixels `place`.

    It is in units of 2**-MEAN_BITS quantisation steps. The bits of each of `TRANSFORM_PARTS` are added to `bits`. CaeError
    where no encoder writes such data.
    """
    model, quality = job.model, job.header.quality
    positions, hyper = place.outward(LATENT_STRIDE), place.outward(HYPER_STRIDE)
    decoder = Decoder(data, length_min(Kind.TRANSFORM, place))
    left = decoder.bits

    def count(part: str) -> None:
        nonlocal left
        if bits is not None:
            bits[part] += left - decoder.bits
            left = decoder.bits

    z = np.stack([decoder.decode(table, hyper.height * hyper.width) for table in model.hyper_tables], -1)
    z = z.reshape(1, hyper.height, hyper.width, -1)
    count(TRANSFORM_PARTS[0])

    def read(index: Tensor) -> Tensor:
        values = decoder.decode_groups(index.cpu().numpy().ravel(), model.scale_tables)
        return torch.from_numpy(values).to(model.device).reshape(index.shape)

    with torch.inference_mode():
        z = torch.from_numpy(z).to(model.device)
        features, mean, index = model.entropy.first(z, quality, positions.height, positions.width)
        symbols = read(index)
        count(TRANSFORM_PARTS[1])
        mean_second, index_second = model.entropy.second(features, mean, symbols, quality)
        symbols_second = read(index_second)
        count(TRANSFORM_PARTS[2])
        decoder.finish()
        first = mean.add_(symbols, alpha=2**MEAN_BITS)
        return unpack(first, mean_second.add_(symbols_second, alpha=2**MEAN_BITS))[0].cpu()


def _pad_to_hyper(y: Tensor) -> Tensor:
    """Repeats the last rows and columns of (1, h, w, N) until the hyper analysis can halve them twice."""
    unit = HYPER_STRIDE // LATENT_STRIDE
    rows, columns = -y.shape[1] % unit, -y.shape[2] % unit
    if not (rows or columns):
        return y
    return nn.functional.pad(y.permute(0, 3, 1, 2), (0, columns, 0, rows), mode="replicate").permute(0, 2, 3, 1)
