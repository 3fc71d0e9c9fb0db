"""One tile's latent as a payload, and back."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from ..entropy.coder import Decoder, encode
from ..entropy.symbols import decode_symbols
from ..format.container import Payload, length_min
from ..format.geometry import HYPER_STRIDE, LATENT_STRIDE, Rect
from ..format.header import Kind
from ..format.sources import Data
from ..networks.latent_coder import Quantised
from ..options import EFFORTS
from .latent_search import SCHEDULES, Target, refine
from .settings import Job


def encode_tile(y: Tensor, place: Rect, job: Job, target: Target | None = None) -> Payload:
    """The payload of a tile that covers the pixels `place`, from its latent y (h, w, N) in quantisation steps.

    With a target, symbols are searched as well, in the ways of the job's effort, and taken where they are better.
    """
    shortest = length_min(Kind.TRANSFORM, place)
    y = y.to(job.model.device)
    z = hyper_latent(y, job)
    quantised = quantise(y, z, job, rounding=job.options.effort == EFFORTS[0])
    data = _coded(quantised, job, shortest)
    if target is not None and quantised.flat and job.count_searched:
        job.count_searched(place.height * place.width)
    elif target is not None and not quantised.flat:
        least = 8 * len(data) + target.cost(quantised.latent[None], job)
        for schedule in SCHEDULES[job.options.effort]:
            searched = quantise(*(part[0] for part in refine(target, z[None], job, schedule)), job, rounding=True)
            other = _coded(searched, job, shortest)
            if (cost := 8 * len(other) + target.cost(searched.latent[None], job)) < least:
                least, data = cost, other
    return Payload(Kind.TRANSFORM, data)


def _coded(quantised: Quantised, job: Job, shortest: int) -> bytes:
    return encode(list(quantised.symbols.groups(job.model.coder.exact, job.header.quality)), shortest)


def hyper_latent(y: Tensor, job: Job) -> Tensor:
    """The hyper-latent (⌈h/4⌉, ⌈w/4⌉, Z), not rounded, of a tile's latent y (h, w, N) in quantisation steps."""
    with torch.inference_mode(), job.settings.encoding_precision(job.model.device):
        return job.model.hyper_analysis(_pad_to_hyper(y[None]))[0]


def quantise(y: Tensor, z: Tensor, job: Job, *, rounding: bool) -> Quantised:
    """Chooses a tile's symbols: see `LatentCoder.quantise`."""
    model, quality = job.model, job.header.quality
    return model.coder.quantise(y, z, quality, model.level(quality), rounding=rounding, distortion_weight=job.distortion_weight)


def decode_tile(data: Data, place: Rect, job: Job, bits: Counter[str] | None = None) -> Tensor:
    """The reconstructed latent (h, w, N) int32, on the CPU, of a tile that covers the pixels `place`.

    It counts in units of 2**-LATENT_BITS quantisation steps. The bits of each stage are added to `bits`. CaeError where the
    data are none that an encoder writes.
    """
    model, quality, positions = job.model, job.header.quality, place.outward(LATENT_STRIDE)
    decoder = Decoder(data, length_min(Kind.TRANSFORM, place))
    symbols = decode_symbols(decoder, model.coder.exact, quality, positions.height, positions.width, bits)
    return model.coder.reconstruct(symbols, model.level(quality), model.device)


def _pad_to_hyper(y: Tensor) -> Tensor:
    """Repeats the last rows and columns of (1, h, w, N) until the hyper analysis can halve them twice."""
    unit = HYPER_STRIDE // LATENT_STRIDE
    rows, columns = -y.shape[1] % unit, -y.shape[2] % unit
    if not (rows or columns):
        return y
    return nn.functional.pad(y.permute(0, 3, 1, 2), (0, columns, 0, rows), mode="replicate").permute(0, 2, 3, 1)
