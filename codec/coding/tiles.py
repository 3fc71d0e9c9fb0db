"""One tile's latent as symbols, grouped for the entropy coder, and back. Exact on every machine."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from ..format.container import Kind, Payload, length_min
from ..format.entropy_coding import Decoder, Groups, encode, group_values
from ..format.source import Data
from ..format.tiling import HYPER_STRIDE, LATENT_STRIDE, Rect
from ..networks.entropy_networks import MEAN_BITS, deviation, unpack
from ..networks.products import LIMIT
from .settings import Job

PARTS = ("hyper-latent", "first pass", "second pass")
"""What a transform-coded payload consists of."""


def encode_tile(y: Tensor, place: Rect, job: Job) -> Payload:
    """The payload of a tile that covers the pixels `place`, from its latent y (h, w, N) in quantisation steps."""
    groups = tile_groups(y[None], job)
    return Payload(Kind.TRANSFORM, encode(groups, length_min(Kind.TRANSFORM, place)))


def tile_groups(y: Tensor, job: Job) -> Groups:
    """Symbols of a tile's scaled latent (1, h, w, N), grouped by table, in decoding order."""
    model, quality, weight = job.model, job.header.quality, job.distortion_weight
    _, h, w, _ = y.shape
    y = y.to(model.device)
    with job.settings.encoding_precision(model.device):
        z = model.hyper_analysis(_pad_to_hyper(y)).round_().clamp_(-LIMIT, LIMIT).to(torch.int32)
    with torch.inference_mode():
        features, mean, index = model.entropy.first(z, quality, h, w)
        wanted, flat = deviation(y, mean, 0), model.quantiser.is_flat(index)
        symbols = model.quantiser.choose(wanted, index, flat, weight)
        mean_second, index_second = model.entropy.second(features, mean, symbols, quality)
        wanted_second = model.quantiser.make_up(deviation(y, mean_second, 1), wanted, symbols, flat)
        symbols_second = model.quantiser.choose(wanted_second, index_second, flat, weight)
    hyper = z[0].reshape(-1, z.shape[-1]).T.cpu().numpy()
    groups = list(zip(model.hyper_tables, hyper, strict=True))
    for values, tables in ((symbols, index), (symbols_second, index_second)):
        groups += group_values(values.cpu().numpy().ravel(), tables.cpu().numpy().ravel(), model.scale_tables)
    return groups


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
