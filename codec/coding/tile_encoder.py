"""Coding one tile: its latent to a payload."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..entropy.coder import encode
from ..format.geometry import HYPER_STRIDE, LATENT_STRIDE, Rect
from ..format.header import Kind
from ..format.payload import Payload, length_min
from ..networks.latent_coder import Quantised
from ..options import EFFORTS
from .jobs import EncodeJob
from .latent_search import SCHEDULES, SearchTarget, refine


def encode_tile(y: Tensor, place: Rect, job: EncodeJob, target: SearchTarget | None = None) -> Payload:
    """Codes a tile that covers the pixels `place`, from its latent y (h, w, N) in quantisation steps.

    With a target, symbols are searched as well, by the schedules of the job's effort, and taken where they are better.
    """
    shortest = length_min(Kind.TRANSFORM, place)
    y = y.to(job.model.device)
    z = hyper_latent(y, job)
    quantised = quantise(y, z, job, rounding=job.options.effort == EFFORTS[0])
    data = _encode(quantised, job, shortest)
    if target is not None and quantised.flat:
        job.count(place.height * place.width)
    elif target is not None:
        least_cost = 8 * len(data) + target.cost(quantised.latent[None], job)
        for schedule in SCHEDULES[job.options.effort]:
            searched = quantise(*(part[0] for part in refine(target, z[None], job, schedule)), job, rounding=True)
            searched_data = _encode(searched, job, shortest)
            if (cost := 8 * len(searched_data) + target.cost(searched.latent[None], job)) < least_cost:
                least_cost, data = cost, searched_data
    return Payload(Kind.TRANSFORM, data)


def _encode(quantised: Quantised, job: EncodeJob, shortest: int) -> bytes:
    return encode(list(quantised.symbols.groups(job.model.coder.exact, job.header.quality)), shortest)


def hyper_latent(y: Tensor, job: EncodeJob) -> Tensor:
    """The hyper-latent (⌈h/4⌉, ⌈w/4⌉, Z), not rounded, of a tile's latent y (h, w, N) in quantisation steps."""
    with torch.inference_mode(), job.precision():
        return job.model.hyper_analysis(_pad_to_hyper(y[None]))[0]


def quantise(y: Tensor, z: Tensor, job: EncodeJob, *, rounding: bool) -> Quantised:
    """Quantises a tile's latent and hyper-latent, by rounding alone or by RDO quantisation: see `LatentCoder.quantise`."""
    model, quality = job.model, job.header.quality
    return model.coder.quantise(y, z, quality, model.level(quality), rounding=rounding, rdo_weight=job.rdo_weight)


def _pad_to_hyper(y: Tensor) -> Tensor:
    """Repeats the last rows and columns of (1, h, w, N) until the hyper analysis can halve them twice."""
    unit = HYPER_STRIDE // LATENT_STRIDE
    rows, columns = -y.shape[1] % unit, -y.shape[2] % unit
    if not (rows or columns):
        return y
    return nn.functional.pad(y.permute(0, 3, 1, 2), (0, columns, 0, rows), mode="replicate").permute(0, 2, 3, 1)
