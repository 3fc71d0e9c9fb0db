"""Rate-distortion curves: of one image, of the mean over images, or published ones."""

from __future__ import annotations

import dataclasses
import functools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from codec import CaeError

from .metrics import Metric
from .store import Point

_PUBLISHED = Path(__file__).with_name("published.json")


@dataclasses.dataclass(frozen=True)
class Curve:
    """Points of one codec by ascending rate: `bpp` in bits per pixel, and for each metric as many values.

    `settings` is empty for published curves, whose `source` says where they stand.
    """

    name: str
    label: str
    settings: tuple[float, ...]
    bpp: tuple[float, ...]
    values: dict[str, tuple[float | None, ...]]
    source: str | None = None

    @property
    def published(self) -> bool:
        """True if others measured it."""
        return self.source is not None

    def front(self, metric: Metric) -> tuple[list[float], list[float]]:
        """Rates and scaled values, both strictly ascending: points that cost more than a better or equal one are left out."""
        rates: list[float] = []
        heights: list[float] = []
        # of several points at one rate, the best comes first
        for rate, height in sorted(self._scaled(metric), key=lambda point: (point[0], -point[1])):
            if not heights or height > heights[-1]:
                rates.append(rate)
                heights.append(height)
        return rates, heights

    def scaled(self, metric: Metric) -> tuple[list[float], list[float]]:
        """Rates, and values on the metric's scale, where they are defined."""
        points = self._scaled(metric)
        return [rate for rate, _ in points], [height for _, height in points]

    def _scaled(self, metric: Metric) -> list[tuple[float, float]]:
        values = self.values.get(metric.name, ())
        return [(rate, metric.scale(value)) for rate, value in zip(self.bpp, values, strict=False) if value is not None]


def image_curve(points: Iterable[Point], label: str) -> Curve:
    """The curve of one codec on one image."""
    ordered = sorted(points, key=lambda point: (point.bytes, point.setting))
    names = ordered[0].metrics.keys()
    return Curve(
        name=ordered[0].codec,
        label=label,
        settings=tuple(point.setting for point in ordered),
        bpp=tuple(point.bpp for point in ordered),
        values={name: tuple(point.metrics[name] for point in ordered) for name in names},
    )


def mean_curve(points: Sequence[Point], label: str, images: int) -> Curve:
    """The curve of one codec through the means over all images at each setting, of rates and of unscaled values.

    A setting that failed on an image is left out; a value that is undefined on one image is undefined in the mean.
    """
    settings = defaultdict(list)
    for point in points:
        settings[point.setting].append(point)
    whole = {setting: group for setting, group in settings.items() if len(group) == images}
    rates = {setting: statistics.fmean(point.bpp for point in group) for setting, group in whole.items()}
    order = sorted(rates, key=lambda setting: (rates[setting], setting))
    return Curve(
        name=points[0].codec,
        label=label,
        settings=tuple(order),
        bpp=tuple(rates[setting] for setting in order),
        values={
            name: tuple(_mean(point.metrics[name] for point in whole[setting]) for setting in order)
            for name in points[0].metrics
        },
    )


def _mean(values: Iterable[float | None]) -> float | None:
    defined = []
    for value in values:
        if value is None:
            return None
        defined.append(value)
    return statistics.fmean(defined)


@functools.cache
def published() -> dict[str, Curve]:
    """Curves that others published of the 24 Kodak images, by name."""
    records = json.loads(_PUBLISHED.read_text(encoding="utf-8"))
    return {
        name: Curve(
            name=name,
            label=name,
            settings=(),
            bpp=tuple(record.pop("bpp")),
            source=f"{record.pop('source')} ({record.pop('description')})",
            values={metric: tuple(values) for metric, values in record.items()},
        )
        for name, record in records.items()
    }


def choose_published(names: Sequence[str]) -> list[Curve]:
    """The published curves of these names; CaeError where one is unknown."""
    for name in names:
        if name not in published():
            raise CaeError(f"published curve {name!r} is unknown; there are {', '.join(published())}")
    return [published()[name] for name in names]
