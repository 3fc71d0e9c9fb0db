"""One tile's latent as symbols, grouped for the entropy coder, and back. Exact on every machine."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from ..format.container import Payload, length_min
from ..format.entropy_coder import Decoder, Groups, encode, group_values
from ..format.geometry import HYPER_STRIDE, LATENT_STRIDE, Rect
from ..format.header import Kind
from ..format.sources import Data
from ..networks.entropy_networks import MEAN_BITS, deviation, unpack
from ..networks.model import Model
from ..networks.products import LIMIT
from ..options import EFFORTS
from .latent_search import SCHEDULES, Target, refine
from .settings import Job

PARTS = ("hyper-latent", "first pass", "second pass")
"""What a transform-coded payload consists of."""


def encode_tile(y: Tensor, place: Rect, job: Job, target: Target | None = None) -> Payload:
    """The payload of a tile that covers the pixels `place`, from its latent y (h, w, N) in quantisation steps.

    With a target, symbols are searched as well, in the ways of the job's effort, and taken where they are better.
    """
    shortest = length_min(Kind.TRANSFORM, place)
    chosen = tile_symbols(y[None], job)
    data = encode(chosen.groups(job.model), shortest)
    if target is not None and chosen.flat and job.count_searched:
        job.count_searched(place.height * place.width)
    elif target is not None and not chosen.flat:
        least = 8 * len(data) + target.cost(chosen.latent(), job)
        for schedule in SCHEDULES[job.options.effort]:
            searched = quantise(*refine(target, chosen.unrounded, job, schedule), job, rounding=True)
            other = encode(searched.groups(job.model), shortest)
            if (cost := 8 * len(other) + target.cost(searched.latent(), job)) < least:
                least, data = cost, other
    return Payload(Kind.TRANSFORM, data)


@dataclasses.dataclass(frozen=True)
class Symbols:
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
        """The symbols grouped by table, in decoding order."""
        hyper = self.z[0].reshape(-1, self.z.shape[-1]).T.cpu().numpy()
        groups = list(zip(model.hyper_tables, hyper, strict=True))
        for values, tables in zip(self.values, self.indices, strict=True):
            groups += group_values(values.cpu().numpy().ravel(), tables.cpu().numpy().ravel(), model.scale_tables)
        return groups

    def latent(self) -> Tensor:
        """The reconstructed latent (1, h, w, N) int32, in units of 2**-MEAN_BITS quantisation steps."""
        return unpack(*(mean.add(values, alpha=2**MEAN_BITS) for mean, values in zip(self.means, self.values, strict=True)))


def tile_symbols(y: Tensor, job: Job) -> Symbols:
    """What the encoder chooses for a tile's scaled latent (1, h, w, N)."""
    y = y.to(job.model.device)
    with job.settings.encoding_precision(job.model.device):
        z = job.model.hyper_analysis(_pad_to_hyper(y))
    return quantise(y, z, job, rounding=job.options.effort == EFFORTS[0])


@torch.inference_mode()
def quantise(y: Tensor, z: Tensor, job: Job, *, rounding: bool) -> Symbols:
    """Symbols for a tile's scaled latent y (1, h, w, N) and hyper-latent: each the nearest, or by what it costs."""
    model, quality, weight = job.model, job.header.quality, job.distortion_weight
    _, h, w, _ = y.shape
    rounded = z.round().clamp_(-LIMIT, LIMIT).to(torch.int32)
    features, mean, index = model.entropy.first(rounded, quality, h, w)
    wanted, flat = deviation(y, mean, 0), model.quantiser.is_flat(index)
    symbols = model.quantiser.rdo_quantise(wanted, index, flat or rounding, weight)
    mean_second, index_second = model.entropy.second(features, mean, symbols, quality)
    wanted_second = deviation(y, mean_second, 1)
    if not rounding:
        wanted_second = model.quantiser.diffuse_error(wanted_second, wanted, symbols, flat)
    symbols_second = model.quantiser.rdo_quantise(wanted_second, index_second, flat or rounding, weight)
    return Symbols(rounded, (symbols, symbols_second), (mean, mean_second), (index, index_second), z, flat)


def decode_tile(data: Data, place: Rect, job: Job, bits: Counter[str] | None = None) -> Tensor:
    """The reconstructed latent (h, w, N) int32, on the CPU, of a tile that covers the pixels `place`.

    It counts in units of 2**-MEAN_BITS quantisation steps; what each part of the code takes is added to `bits`. CaeError
    where the data are none that an encoder writes.
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
    count(PARTS[0])

    def read(index: Tensor) -> Tensor:
        values = decoder.decode_groups(index.cpu().numpy().ravel(), model.scale_tables)
        return torch.from_numpy(values).to(model.device).reshape(index.shape)

    with torch.inference_mode():
        at = torch.from_numpy(z).to(model.device), quality, positions.height, positions.width
        features, mean, index = model.entropy.first(*at)
        symbols = read(index)
        count(PARTS[1])
        mean_second, index_second = model.entropy.second(features, mean, symbols, quality)
        symbols_second = read(index_second)
        count(PARTS[2])
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
