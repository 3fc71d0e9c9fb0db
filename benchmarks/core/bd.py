"""Bjøntegaard-delta rates: how many per cent more or fewer bits a codec takes than an anchor for the same quality."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from .curves import Curve
from .metrics import Metric

METHOD = "pchip"
"""Interpolation of curves, by its name in the `bjontegaard` package: monotone cubic pieces, which do not overshoot."""
OVERLAP_MIN = 0.5
_POINTS_MIN = 4


@dataclasses.dataclass(frozen=True)
class BdRate:
    """A BD-rate in per cent (negative: fewer bits than the anchor), or None with the reason in `note`.

    `overlap` is the share, 0 to 1, of the curves' common range of quality in the range that they span together.
    """

    percent: float | None
    overlap: float
    note: str | None = None


def bd_rate(anchor: Curve, test: Curve, metric: Metric) -> BdRate:
    """The BD-rate of a curve against an anchor, over the qualities that both reach."""
    from bjontegaard import bd_rate as compute

    (rates, heights), (anchor_rates, anchor_heights) = test.front(metric), anchor.front(metric)
    if min(len(rates), len(anchor_rates)) < _POINTS_MIN:
        return BdRate(None, 0.0, f"fewer than {_POINTS_MIN} points, each better than those of lower rate")
    common = min(heights[-1], anchor_heights[-1]) - max(heights[0], anchor_heights[0])
    overlap = max(0.0, common / (max(heights[-1], anchor_heights[-1]) - min(heights[0], anchor_heights[0])))
    if overlap == 0:
        return BdRate(None, 0.0, "the curves have no quality in common")
    percent = compute(anchor_rates, anchor_heights, rates, heights, METHOD, require_matching_points=False, min_overlap=0)
    note = f"the curves overlap by only {overlap:.0%}" if overlap < OVERLAP_MIN else None
    return BdRate(float(percent), overlap, note)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A codec against the anchor on one metric, both ways of averaging, in per cent.

    `mean_of_image_bd_rates` averages the BD-rates of `images` images; the other is the BD-rate of the curve through the
    means over all images. `overlap` is the least that went into either.
    """

    codec: str
    label: str
    metric: str
    published: bool
    mean_of_image_bd_rates: float | None
    images: int
    bd_rate_of_mean_curve: float | None
    overlap: float
    notes: tuple[str, ...]


def compare(
    anchor: Curve, test: Curve, image_pairs: Sequence[tuple[str, Curve, Curve]], metric: Metric, samples: int
) -> Comparison:
    """Compares mean curves, and the curves of each image.

    Args:
        anchor, test: the mean curves.
        image_pairs: name of an image, the anchor's curve on it and the codec's.
        samples: how many images there are; a note tells where not all of them count.
    """
    mean = bd_rate(anchor, test, metric)
    singles = [(name, bd_rate(first, second, metric)) for name, first, second in image_pairs]
    percents = [single.percent for _, single in singles if single.percent is not None]
    notes = [] if mean.note is None else [f"mean curve: {mean.note}"]
    if singles and len(percents) < samples:
        notes.append(f"images: only {len(percents)} of {samples} have a BD-rate")
    weak = [name for name, single in singles if single.percent is not None and single.note]
    if weak:
        notes.append(f"images: on {len(weak)} of {samples} the curves overlap by less than {OVERLAP_MIN:.0%}")
    overlaps = [result.overlap for result in (mean, *(single for _, single in singles)) if result.percent is not None]
    return Comparison(
        codec=test.name,
        label=test.label,
        metric=metric.name,
        published=test.published,
        mean_of_image_bd_rates=statistics.fmean(percents) if percents else None,
        images=len(percents),
        bd_rate_of_mean_curve=mean.percent,
        overlap=min(overlaps, default=0.0),
        notes=tuple(notes),
    )
