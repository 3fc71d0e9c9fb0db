"""Rate control: meeting a file size, a rate, a PSNR or a score by real files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from torch import Tensor

from ..distortion.ssimulacra2 import as_colours, score_in_pieces
from ..format import container
from ..format.sources import MemorySource
from ..images.streams.bands import regroup
from ..networks.config import RDO_WEIGHT
from ..options import DEFAULT_EFFORT, FIDELITY_TARGETS, QUALITIES, TARGETS, EncodeOptions
from ..runtime.tile_cache import TileCache
from .decoder import decode_bands
from .encoder import encode
from .jobs import DecodeJob, EncodeJob
from .secant_search import best, secant_search

LEVEL_STEP = 0.036
"""Factor on the distortion weight that saves about as many bits as a gain level less. So it stands for parts of a quality.

Measured on validation photographs at qualities 20, 50 and 80 of the model for PSNR. There it also costs as much fidelity.
"""
SCORED_SIDE = 2048
"""Most rows and columns of a piece of a picture that is scored at once, for the sake of memory."""
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


@dataclasses.dataclass(frozen=True)
class _Fidelity:
    """A measure of how near a file's picture is to the original; it rises with the quality.

    Within `tolerance` of a target it is met. A picture may fall short of it by `far` before a better one is taken, though that
    takes more bytes. The search takes larger values, such as infinity for pictures without errors, for `most`.
    """

    measure: Callable[[np.ndarray, bytes, EncodeJob], float]
    tolerance: float
    far: float
    most: float
    ends: tuple[float, float]
    text: str

    def goal(self, target: float) -> _Goal:
        return _Goal(target, target + self.tolerance, target - self.tolerance, self.ends)

    def describe(self, value: float) -> str:
        return "no errors" if value == math.inf else self.text.format(value)


def encode_to_target(pixels: np.ndarray, job: EncodeJob, metadata: Mapping[str, bytes]) -> TargetResult:
    """Codes a picture (H, W, 1 to 4) at the quality that meets the target of the job's options.

    Between two qualities it saves bits by RDO quantisation, also where the effort is to round alone. A file is never larger
    than was asked for, unless quality 1 is. A target is missed by a file that is more than 2 % smaller, by a PSNR that is more
    than 0.05 dB off, or by a score more than 0.25 points off. Where the highest quality falls short of it, tiles that this
    cannot show are coded without loss.

    Screen content may turn exact from one quality to the next. So a PSNR or score above the target is taken where it takes
    fewer bytes, or where the next below is much worse.
    """
    options = job.options
    # fractions of a quality are reached by RDO quantisation
    weighing = dataclasses.replace(options, effort=max(options.effort, DEFAULT_EFFORT))
    job = dataclasses.replace(job, cache=TileCache(_LOSSLESS_CACHE), options=weighing)
    area = job.header.width * job.header.height
    (name, target), *_ = options.targets.items()
    fidelity = _FIDELITIES[name] if name in FIDELITY_TARGETS else None
    goal = _rate_goal(target if name == "target_bpp" else 8 * target / area) if fidelity is None else fidelity.goal(target)
    files: dict[float, bytes] = {}
    fidelities: dict[float, float] = {}

    def measure(quality: float) -> float:
        files[quality] = data = encode(pixels, _job_at(quality, job), metadata)
        if fidelity is None:
            return math.log(8 * len(data) / area)
        fidelities[quality] = fidelity.measure(pixels, data, job)
        return min(fidelities[quality], max(fidelity.most, goal.high + 1))

    values = dict(secant_search(measure, goal.low, goal.high, within=_QUALITY_RANGE, start=goal.start, slope=goal.slope))
    if max(values.values()) < goal.enough:
        values[_FAITHFUL] = measure(_FAITHFUL)
    chosen = best(values, goal.high)
    met = goal.enough <= values[chosen] <= goal.high
    better = [quality for quality in values if values[quality] > goal.high]
    if fidelity is not None and better:
        smallest = min(better, key=lambda quality: len(files[quality]))
        saved = len(files[chosen]) - len(files[smallest])
        if saved > 0 or (not met and (saved == 0 or values[chosen] < goal.enough - fidelity.far)):
            chosen, met = smallest, False
    if met:
        return TargetResult(files[chosen], None)

    def describe(quality: float) -> str:
        size = f"{len(files[quality])} bytes"
        return size if fidelity is None else f"{fidelity.describe(fidelities[quality])} in {size}"

    return TargetResult(files[chosen], _miss(values, chosen, describe, goal, options))


def _rate_goal(bpp: float) -> _Goal:
    """The goal of a rate in bits per pixel, by its logarithm."""
    rate = math.log(bpp)
    return _Goal(rate - 0.015, rate, math.log(0.98) + rate, (math.log(0.05), math.log(2.2)))


def _job_at(quality: float, job: EncodeJob) -> EncodeJob:
    """The job at a quality, which may lie between two, or be _FAITHFUL."""
    if quality == _FAITHFUL:
        header = dataclasses.replace(job.header, quality=QUALITIES[-1])
        return dataclasses.replace(job, header=header, options=dataclasses.replace(job.options, **dict.fromkeys(TARGETS)))
    whole, level = max(QUALITIES[0], math.ceil(quality)), job.model.config.level
    weight = RDO_WEIGHT * LEVEL_STEP ** (level(whole) - level(quality))
    return dataclasses.replace(job, header=dataclasses.replace(job.header, quality=whole), rdo_weight=weight)


def _decode(pixels: np.ndarray, data: bytes, job: EncodeJob) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields a file's colours (`SCORED_SIDE` rows, W, 1 or 3) with the original ones; transparent pixels have no errors."""
    source = MemorySource(data)
    file = container.read(source)
    # what may be encoded may be decoded as well
    settings = dataclasses.replace(job.settings, pixels_max=max(job.settings.pixels_max, 2**62))
    top, colours = 0, file.header.colours
    for rows in regroup(decode_bands(source, file, DecodeJob(job.model, settings, file.header)), SCORED_SIDE):
        original = pixels[top : top + len(rows)]
        visible = original[..., -1:] > 0 if file.header.has_alpha else np.True_
        yield np.where(visible, rows[..., :colours], original[..., :colours]), original[..., :colours]
        top += len(rows)


def _psnr(pixels: np.ndarray, data: bytes, job: EncodeJob) -> float:
    """PSNR in dB of a file's colours, transparent pixels left out."""
    colours = job.header.colours
    count = colours * (np.count_nonzero(pixels[..., -1]) if job.header.has_alpha else pixels[..., 0].size)
    errors = (np.square(shown.astype(np.float32) - original) for shown, original in _decode(pixels, data, job))
    error = sum(float(squares.sum(2, dtype=np.float64).sum()) for squares in errors) / max(int(count), 1)
    return 20 * math.log10(job.header.largest) - 10 * math.log10(error) if error else math.inf


def _score(pixels: np.ndarray, data: bytes, job: EncodeJob) -> float:
    """SSIMULACRA 2 of a file's colours, of large pictures in pieces; transparent pixels have no errors, inf without any."""
    differs = False

    def pieces() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal differs
        for shown, original in _decode(pixels, data, job):
            differs = differs or not np.array_equal(shown, original)
            for left in range(0, shown.shape[1], SCORED_SIDE):
                part = np.s_[:, left : left + SCORED_SIDE]
                yield as_colours(original[part], job.header.largest), as_colours(shown[part], job.header.largest)

    score = score_in_pieces(pieces())
    return score if differs else math.inf


_FIDELITIES = {
    "target_psnr": _Fidelity(_psnr, 0.05, 1.0, 60.0, (26.0, 42.0), "a PSNR of {:.2f} dB"),
    "target_score": _Fidelity(_score, 0.25, 3.0, 100.0, (1.0, 94.0), "a score of {:.2f}"),
}
"""By target."""


def _miss(
    values: Mapping[float, float],
    chosen: float,
    describe: Callable[[float], str],
    goal: _Goal,
    options: EncodeOptions,
) -> str:
    """Describes a file that misses the target, and the next one on the other side of it."""
    (name, target), *_ = options.targets.items()
    above = [quality for quality in values if values[quality] > goal.high]
    below = [quality for quality in values if values[quality] <= goal.high]
    if values[chosen] > goal.high:
        nearest = max(below, key=lambda quality: values[quality], default=None)
        why = "quality 1 is the minimum" if nearest is None else f"the next below would have {describe(nearest)}"
    else:
        nearest = min(above, key=lambda quality: values[quality], default=None)
        why = "quality 100 is the maximum" if nearest is None else f"the next above would have {describe(nearest)}"
    return f"the target of {target} {TARGETS[name]} is not met: the file has {describe(chosen)}, {why}"
