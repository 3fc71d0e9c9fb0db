"""Rate control: meeting a file size, a rate or a PSNR by real files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from ..format import container
from ..format.sources import MemorySource
from ..networks.quantisation import DISTORTION_WEIGHT
from ..options import DEFAULT_EFFORT, QUALITIES, TARGETS, EncodeOptions
from ..runtime.tile_cache import TileCache
from .decoder import decode_bands
from .encoder import encode
from .jobs import DecodeJob, EncodeJob
from .secant_search import best, secant_search

QUALITY_STEP = 0.58
"""Factor on the distortion weight that saves about as many bits as a step of quality.

Measured on validation photographs at qualities 20, 50 and 80, where it also costs as much fidelity: so a change of the weight
stands for fractions of a step.
"""
FAR = 1.0
"""Decibels by which a picture may fall short of a PSNR before a better one is taken, though it takes more bytes."""
_PSNR_MAX = 60.0
"""More than photographs reach: it stands for all above it, such as pictures without errors, so that secants exist."""
_LOSSLESS_CACHE = 2**27
"""Bytes of lossless codes that are kept from one quality to the next, which often takes the same."""
_QUALITY_RANGE = (QUALITIES[0] - 1.0, float(QUALITIES[-1]))
_FAITHFUL = _QUALITY_RANGE[1] + 1
"""Stands for the highest quality with the tiles that do not show it coded without loss, as without a target."""


@dataclasses.dataclass(frozen=True)
class TargetResult:
    """A file that was chosen for a target, and a message where it misses the target."""

    data: bytes
    missed: str | None


@dataclasses.dataclass(frozen=True)
class _Goal:
    """Acceptable values of a measure that rises with the quality.

    Values from `low` to `high` end the search, those from `enough` on count as met. `ends` are the values that photographs
    have at the lowest and at the highest quality.
    """

    low: float
    high: float
    enough: float
    ends: tuple[float, float]

    @property
    def slope(self) -> float:
        return (self.ends[1] - self.ends[0]) / (_QUALITY_RANGE[1] - _QUALITY_RANGE[0])

    @property
    def start(self) -> float:
        return _QUALITY_RANGE[0] + (self.high - self.ends[0]) / self.slope


def encode_to_target(pixels: np.ndarray, job: EncodeJob, metadata: Mapping[str, bytes]) -> TargetResult:
    """Codes a picture (H, W, 1 to 4) at the quality that meets the target of the job's options.

    Between two qualities it saves bits by RDO quantisation, also where the effort is to round alone. A file is never larger
    than was asked for, unless quality 1 is. A target is missed by a file that is more than 2 % smaller, or by a PSNR that is
    more than 0.05 dB off. Where the highest quality falls short of it, tiles that this cannot show are coded without loss.

    Screen content may turn exact from one quality to the next. So a PSNR more than 0.05 dB above the target is taken where it
    takes fewer bytes, or where the next below is more than `FAR` worse.
    """
    options = job.options
    # fractions of a quality are reached by RDO quantisation
    weighing = dataclasses.replace(options, effort=max(options.effort, DEFAULT_EFFORT))
    job = dataclasses.replace(job, cache=TileCache(_LOSSLESS_CACHE), options=weighing)
    area = job.header.width * job.header.height
    if options.target_psnr is not None:
        psnr = options.target_psnr
        goal = _Goal(psnr, psnr + 0.05, psnr - 0.05, (26.0, 42.0))
    else:
        size = options.target_size if options.target_size is not None else options.target_bpp * area / 8
        rate = math.log(8 * size / area)
        goal = _Goal(rate - 0.015, rate, math.log(0.98) + rate, (math.log(0.05), math.log(2.2)))
    files: dict[float, bytes] = {}
    psnrs: dict[float, float] = {}

    def measure(quality: float) -> float:
        files[quality] = data = encode(pixels, _job_at(quality, job), metadata)
        if options.target_psnr is None:
            return math.log(8 * len(data) / area)
        psnrs[quality] = _psnr(pixels, data, job)
        return min(psnrs[quality], max(_PSNR_MAX, goal.high + 1))

    values = dict(secant_search(measure, goal.low, goal.high, within=_QUALITY_RANGE, start=goal.start, slope=goal.slope))
    if max(values.values()) < goal.enough:
        values[_FAITHFUL] = measure(_FAITHFUL)
    chosen = best(values, goal.high)
    met = goal.enough <= values[chosen] <= goal.high
    better = [quality for quality in values if values[quality] > goal.high]
    if options.target_psnr is not None and better:
        smallest = min(better, key=lambda quality: len(files[quality]))
        saved = len(files[chosen]) - len(files[smallest])
        if saved > 0 or (not met and (saved == 0 or values[chosen] < goal.enough - FAR)):
            chosen, met = smallest, False
    return TargetResult(files[chosen], None if met else _miss(values, chosen, files, psnrs, goal, options))


def _job_at(quality: float, job: EncodeJob) -> EncodeJob:
    """The job at a quality, which may lie between two, or be _FAITHFUL."""
    if quality == _FAITHFUL:
        header = dataclasses.replace(job.header, quality=QUALITIES[-1])
        return dataclasses.replace(job, header=header, options=dataclasses.replace(job.options, **dict.fromkeys(TARGETS)))
    whole = max(QUALITIES[0], math.ceil(quality))
    weight = DISTORTION_WEIGHT * QUALITY_STEP ** (whole - quality)
    return dataclasses.replace(job, header=dataclasses.replace(job.header, quality=whole), distortion_weight=weight)


def _psnr(pixels: np.ndarray, data: bytes, job: EncodeJob) -> float:
    """PSNR in dB of a file's colours, transparent pixels left out."""
    source = MemorySource(data)
    file = container.read(source)
    # what may be encoded may be decoded as well
    settings = dataclasses.replace(job.settings, pixels_max=max(job.settings.pixels_max, 2**62))
    total, count, top, colours = 0.0, 0, 0, file.header.colours
    for rows in decode_bands(source, file, DecodeJob(job.model, settings, file.header)):
        original = pixels[top : top + len(rows)]
        errors = np.square(rows[..., :colours].astype(np.float32) - original[..., :colours])
        visible = original[..., -1] > 0 if file.header.has_alpha else np.ones(original.shape[:2], bool)
        total += float(errors.sum(2, dtype=np.float64)[visible].sum())
        count += int(np.count_nonzero(visible)) * colours
        top += len(rows)
    error = total / max(count, 1)
    return 20 * math.log10(file.header.largest) - 10 * math.log10(error) if error else math.inf


def _miss(
    values: Mapping[float, float],
    chosen: float,
    files: Mapping[float, bytes],
    psnrs: Mapping[float, float],
    goal: _Goal,
    options: EncodeOptions,
) -> str:
    """Describes a file that misses the target, and the next one on the other side of it."""

    def describe(quality: float) -> str:
        size = f"{len(files[quality])} bytes"
        if quality not in psnrs:
            return size
        return f"no errors in {size}" if psnrs[quality] == math.inf else f"a PSNR of {psnrs[quality]:.2f} dB in {size}"

    (name, target), *_ = options.targets.items()
    unit = {"target_size": "bytes", "target_bpp": "bits per pixel", "target_psnr": "dB"}[name]
    above = [quality for quality in values if values[quality] > goal.high]
    below = [quality for quality in values if values[quality] <= goal.high]
    if values[chosen] > goal.high:
        nearest = max(below, key=lambda quality: values[quality], default=None)
        why = "quality 1 is the minimum" if nearest is None else f"the next below would have {describe(nearest)}"
    else:
        nearest = min(above, key=lambda quality: values[quality], default=None)
        why = "quality 100 is the maximum" if nearest is None else f"the next above would have {describe(nearest)}"
    return f"the target of {target} {unit} is not met: the file has {describe(chosen)}, {why}"
