"""Rate control: a file of a given size, or a picture of a given fidelity, by real files."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping

import numpy as np

from ..format import container
from ..format.sources import MemorySource
from ..networks.quantisation import DISTORTION_WEIGHT
from ..options import DEFAULT_EFFORT, QUALITIES, DecodeOptions, EncodeOptions
from ..runtime.tile_cache import TileCache
from .decoder import decode_bands
from .encoder import encode
from .secant_search import best, secant_search
from .settings import Job

STEP = 0.58
"""The distortion weight, as a share of the usual one, that saves about as much as a step of quality.

Measured on validation photographs at qualities 20, 50 and 80, where it also costs as much fidelity: so it does between the
qualities what they do themselves.
"""
FAR = 1.0
"""By how many dB a picture may fall short of a PSNR before a better one will rather do, though it takes more bytes."""
_PSNR_MOST = 60.0
"""More than photographs reach: what stands for all above it, such as pictures without errors, so that secants go on."""
_LOSSLESS_HELD = 2**27
"""Bytes of lossless parts that are kept from one quality to the next, which often takes the same."""
_PLACES = (QUALITIES[0] - 1.0, float(QUALITIES[-1]))


@dataclasses.dataclass(frozen=True)
class _Scale:
    """What is measured of a file, rising with the quality, and which values of it will do.

    Values from `low` to `high` end the search, those from `enough` on are no cause for a warning. `first` are the values
    that photographs have at the lowest and at the highest quality.
    """

    low: float
    high: float
    enough: float
    first: tuple[float, float]

    @property
    def slope(self) -> float:
        return (self.first[1] - self.first[0]) / (_PLACES[1] - _PLACES[0])

    @property
    def start(self) -> float:
        return _PLACES[0] + (self.high - self.first[0]) / self.slope


def encode_to_target(pixels: np.ndarray, job: Job, metadata: Mapping[str, bytes]) -> bytes:
    """Codes a picture (H, W, 1 to 4) at the quality that meets the target of the job's options.

    Between two qualities it saves bits by its choice of symbols, also where the effort is to round alone. A file is never
    larger than was asked for, unless quality 1 is. A picture's PSNR is more than 0.05 dB better only where that takes fewer
    bytes or where the next below is more than `FAR` worse, as drawn pictures may turn exact from one quality to the next. A
    RuntimeWarning says where a file is more than 2 % smaller, or a PSNR is missed by more than 0.05 dB.
    """
    options = job.options
    assert isinstance(options, EncodeOptions)
    # what lies between two qualities is reached by weighing bits
    weighing = dataclasses.replace(options, effort=max(options.effort, DEFAULT_EFFORT))
    job = dataclasses.replace(job, tiles=TileCache(_LOSSLESS_HELD), options=weighing)
    area = job.header.width * job.header.height
    if options.target_psnr is not None:
        goal = options.target_psnr
        scale = _Scale(goal, goal + 0.05, goal - 0.05, (26.0, 42.0))
    else:
        size = options.target_size if options.target_size is not None else options.target_bpp * area / 8
        goal = math.log(8 * size / area)
        scale = _Scale(goal - 0.015, goal, math.log(0.98) + goal, (math.log(0.05), math.log(2.2)))
    files: dict[float, bytes] = {}
    psnrs: dict[float, float] = {}

    def measure(place: float) -> float:
        files[place] = data = encode(pixels, _job_at(place, job), metadata)
        if options.target_psnr is None:
            return math.log(8 * len(data) / area)
        psnrs[place] = _psnr(pixels, data, job)
        return min(psnrs[place], max(_PSNR_MOST, scale.high + 1))

    tried = secant_search(measure, scale.low, scale.high, within=_PLACES, start=scale.start, slope=scale.slope)
    chosen = best(tried, scale.high)
    hit = scale.enough <= tried[chosen] <= scale.high
    better = [place for place in tried if tried[place] > scale.high]
    if options.target_psnr is not None and better:
        smallest = min(better, key=lambda place: len(files[place]))
        spared = len(files[chosen]) - len(files[smallest])
        if spared > 0 or (not hit and (spared == 0 or tried[chosen] < scale.enough - FAR)):
            chosen, hit = smallest, False
    if not hit:
        _warn(tried, chosen, files, psnrs, scale, options)
    return files[chosen]


def _job_at(place: float, job: Job) -> Job:
    """The job at a place among the qualities, which may lie between two."""
    quality = max(QUALITIES[0], math.ceil(place))
    weight = DISTORTION_WEIGHT * STEP ** (quality - place)
    return dataclasses.replace(job, header=dataclasses.replace(job.header, quality=quality), distortion_weight=weight)


def _psnr(pixels: np.ndarray, data: bytes, job: Job) -> float:
    """PSNR in dB of a file's colours, but for those of transparent pixels."""
    source = MemorySource(data)
    file = container.read(source)
    # what may be encoded may be decoded as well
    settings = dataclasses.replace(job.settings, pixels_max=max(job.settings.pixels_max, 2**62))
    total, count, top, colours = 0.0, 0, 0, file.header.colours
    for rows in decode_bands(source, file, Job(job.model, settings, file.header, DecodeOptions())):
        wanted = pixels[top : top + len(rows)]
        errors = np.square(rows[..., :colours].astype(np.float32) - wanted[..., :colours])
        seen = wanted[..., -1] > 0 if file.header.has_alpha else np.ones(wanted.shape[:2], bool)
        total += float(errors.sum(2, dtype=np.float64)[seen].sum())
        count += int(np.count_nonzero(seen)) * colours
        top += len(rows)
    error = total / max(count, 1)
    return 20 * math.log10(file.header.largest) - 10 * math.log10(error) if error else math.inf


def _warn(
    tried: Mapping[float, float],
    chosen: float,
    files: Mapping[float, bytes],
    psnrs: Mapping[float, float],
    scale: _Scale,
    options: EncodeOptions,
) -> None:
    """Says what a file has that misses the target, and what the next on the other side of it would have."""

    def told(place: float) -> str:
        size = f"{len(files[place])} bytes"
        if place not in psnrs:
            return size
        return f"no errors in {size}" if psnrs[place] == math.inf else f"a PSNR of {psnrs[place]:.2f} dB in {size}"

    (name, wanted), *_ = options.targets.items()
    unit = {"target_size": "bytes", "target_bpp": "bits per pixel", "target_psnr": "dB"}[name]
    above = [place for place in tried if tried[place] > scale.high]
    below = [place for place in tried if tried[place] <= scale.high]
    if tried[chosen] > scale.high:
        nearest = max(below, key=lambda place: tried[place], default=None)
        why = "quality 1 gives no less" if nearest is None else f"the next below would have {told(nearest)}"
    else:
        nearest = min(above, key=lambda place: tried[place], default=None)
        why = "quality 100 gives no more" if nearest is None else f"the next above would have {told(nearest)}"
    message = f"the target of {wanted} {unit} is not met: the file has {told(chosen)}, {why}"
    warnings.warn(message, RuntimeWarning, stacklevel=5)
