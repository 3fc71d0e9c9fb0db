"""Static plots of the mean curves, one for each metric, as PNG and SVG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .curves import Curve
from .metrics import Metric
from .results import Results

# colours that the colour-blind can distinguish (Okabe and Ito), without the yellow, which is too faint on white
_OURS = "#D55E00"
_COLOURS = ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#7F7F7F", "#56B4E9")
_STYLES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)))
_MARKERS = "osD^vPX"
_RATES = [step * 10**power for power in range(-2, 2) for step in (1, 2, 5)]
_RATE_MAX = 4.0


def figure(results: Results, metric: Metric) -> Figure | None:
    """Quality over rate, or None where no curve has the metric."""
    curves = [curve for curve in results.curves if curve.scaled(metric)[0]]
    if not curves:
        return None
    drawing = Figure(figsize=(10, 6.2), layout="constrained")
    axes = drawing.add_subplot()
    members: dict[str, int] = {}
    families: list[str] = []
    look: dict[str, Any]
    for curve in curves:
        family = "published" if curve.published else curve.name.split("-")[0]
        if family not in ("cae", "published", *families):
            families.append(family)
        place = members[family] = members.get(family, -1) + 1
        if family == "published":
            look = {"color": "#444444", "linestyle": ":", "marker": _MARKERS[place % 7], "mfc": "white", "ms": 4, "lw": 1}
        elif family == "cae":
            look = {"color": _OURS, "linestyle": _STYLES[place % 4], "marker": "o", "ms": 5, "lw": 2.4, "zorder": 3}
        else:
            colour = _COLOURS[families.index(family) % 6]
            look = {"color": colour, "linestyle": _STYLES[place % 4], "marker": _MARKERS[place % 7], "ms": 3.5, "lw": 1.2}
        axes.plot(*curve.scaled(metric), label=title(curve), **look)
    _decorate(axes, results, metric, curves)
    return drawing


def title(curve: Curve) -> str:
    """The curve's label, marked where others measured it."""
    return f"{curve.label} (published)" if curve.published else curve.label


def _from_the_top(curves: list[Curve], metric: Metric) -> list[str]:
    """Titles in the order of the curves' heights in the middle of the rates that all of them reach."""
    rates = [curve.scaled(metric)[0] for curve in curves]
    middle = math.sqrt(max(min(own) for own in rates) * min(max(own) for own in rates))
    heights = {title(curve): float(np.interp(middle, *curve.scaled(metric))) for curve in curves}
    return sorted(heights, key=heights.__getitem__, reverse=True)


def _decorate(axes: Axes, results: Results, metric: Metric, curves: list[Curve]) -> None:
    rates = [rate for curve in curves for rate in curve.scaled(metric)[0]]
    axes.set_xscale("log")
    axes.set_xlim(min(rates) * 0.9, min(max(rates) * 1.1, _RATE_MAX))
    axes.xaxis.set_major_locator(FixedLocator(_RATES))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_xlim()
    heights = [height for curve in curves for rate, height in zip(*curve.scaled(metric), strict=True) if low <= rate <= high]
    margin = 0.03 * (max(heights) - min(heights)) or 1
    axes.set_ylim(math.floor(min(heights) - margin), max(heights) + margin)
    axes.grid(color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("bits per pixel, from file sizes (log scale)")
    axes.set_ylabel(metric.axis)
    axes.set_title(f"{metric.label} on {results.dataset}, mean of {len(results.samples)} images", loc="left")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = _from_the_top(curves, metric)
    axes.legend(
        [handles[label] for label in order], order, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9
    )


def write(results: Results, folder: Path) -> list[Path]:
    """Writes `METRIC.png` and `METRIC.svg` for each metric; returns their paths."""
    paths = []
    with rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}):
        for metric in results.metrics:
            drawing = figure(results, metric)
            if drawing is None:
                continue
            for suffix in ("png", "svg"):
                paths.append(folder / f"{metric.name}.{suffix}")
                drawing.savefig(paths[-1], dpi=150, metadata={"Date": None} if suffix == "svg" else None)
    return paths
