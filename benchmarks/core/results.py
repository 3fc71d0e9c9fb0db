"""Everything that a run found, derived from its points: what the reports show."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from . import bd
from .curves import Curve, image_curve, mean_curve
from .images import Sample
from .metrics import Metric
from .store import Point


@dataclasses.dataclass(frozen=True)
class CodecFacts:
    """A codec that was measured."""

    name: str
    label: str
    version: str
    settings: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Results:
    """A run's points and what follows from them.

    `missing` maps a codec or metric that could not run to the reason; `failures` has a line for each failed point.
    """

    dataset: str
    samples: Sequence[Sample]
    codecs: Sequence[CodecFacts]
    metrics: Sequence[Metric]
    points: Sequence[Point]
    curves: Sequence[Curve]
    anchor: str
    comparisons: Sequence[bd.Comparison]
    missing: dict[str, str]
    failures: Sequence[str]


def derive(
    dataset: str,
    samples: Sequence[Sample],
    codecs: Sequence[CodecFacts],
    metrics: Sequence[Metric],
    points: Sequence[Point],
    anchor: str,
    published: Sequence[Curve],
    missing: dict[str, str],
    failures: Sequence[str],
) -> Results:
    """Makes mean curves and compares each codec, and each published curve, with the anchor.

    `anchor` names one of `codecs`; published curves come after the measured ones.
    """
    of_codec, of_image = defaultdict(list), defaultdict(list)
    for point in points:
        of_codec[point.codec].append(point)
        of_image[point.codec, point.digest].append(point)
    labels = {facts.name: facts.label for facts in codecs}
    singles = {key: image_curve(group, labels[key[0]]) for key, group in of_image.items()}
    means = [mean_curve(of_codec[name], label, len(samples)) for name, label in labels.items() if of_codec[name]]
    curves = [*means, *published]
    comparisons = []
    base = next((curve for curve in means if curve.name == anchor), None)
    for curve in curves:
        if base is None or curve is base:
            continue
        pairs = [
            (sample.name, singles[anchor, sample.digest], singles[curve.name, sample.digest])
            for sample in samples
            if not curve.published and (anchor, sample.digest) in singles and (curve.name, sample.digest) in singles
        ]
        comparisons += [
            bd.compare(base, curve, pairs, metric, len(samples)) for metric in metrics if metric.name in curve.values
        ]
    return Results(dataset, samples, codecs, metrics, points, curves, anchor, comparisons, missing, failures)
