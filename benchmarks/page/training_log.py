"""The curves of a training run's log, for the page."""

from __future__ import annotations

import csv
import io
import math
from html import escape
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from codec import CaeError

_PANELS = {
    "loss": "loss",
    "validation_loss": "validation loss",
    "bpp": "bits per pixel",
    "psnr": "PSNR, dB",
    "distortion": "distortion",
    "learning_rate": "learning rate",
}
"""Titles by column, of those that a log may have."""
_POINTS = 40


def read(run: Path) -> dict[str, np.ndarray]:
    """The columns of a run's `log.csv`, one value a line, NaN where it has none; CaeError where there is no such log."""
    path = run / "log.csv"
    try:
        with open(path, newline="") as file:
            names, *lines = csv.reader(file)
        columns = {name: np.array([float(line[place] or "nan") for line in lines]) for place, name in enumerate(names)}
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}; name the folder of a run of cae-train") from None
    except (ValueError, IndexError):
        raise CaeError(f"{path}: is no log of cae-train") from None
    if not {"step", "hours", "loss"} <= columns.keys() or not lines:
        raise CaeError(f"{path}: is no log of cae-train, or one without lines")
    return columns


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running means, so smooth that about _POINTS points remain distinct."""
    width = max(1, len(values) // _POINTS)
    return np.convolve(values, np.ones(width) / width, "valid")


def figure(columns: dict[str, np.ndarray]) -> Figure:
    """A panel for each column over steps: single values faint, running means over them."""
    panels = {name: title for name, title in _PANELS.items() if np.isfinite(columns.get(name, math.nan)).any()}
    drawing = Figure(figsize=(10, 2.6 * -(-len(panels) // 3)), layout="constrained")
    for number, (name, title) in enumerate(panels.items()):
        axes = drawing.add_subplot(-(-len(panels) // 3), 3, number + 1)
        there = np.isfinite(columns[name])
        steps, values = columns["step"][there], columns[name][there]
        if name in ("validation_loss", "learning_rate"):
            axes.plot(steps, values, color="#D55E00", marker="o" if len(values) < 40 else None, ms=3, lw=1.5)
        else:
            axes.plot(steps, values, color="#0072B2", alpha=0.25, lw=0.8)
            mean = smoothed(values)
            axes.plot(steps[len(steps) - len(mean) :], mean, color="#0072B2", lw=1.5)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", fontsize=9)
        axes.grid(color="#dddddd", lw=0.5)
        axes.tick_params(labelsize=8)
    return drawing


def section(run: Path | None) -> str:
    """The page's part on a run, or nothing."""
    if run is None:
        return ""
    columns = read(run)
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "cae", "svg.fonttype": "none"}):
        figure(columns).savefig(text, format="svg", metadata={"Date": None})
    drawing = text.getvalue()
    steps, hours = int(columns["step"][-1]), columns["hours"][-1]
    return (
        '<section aria-labelledby="training-title"><h2 id="training-title">Training</h2>'
        f"<p>{escape(run.resolve().name)}: {steps:,} steps in {hours:.2f} hours.</p>"
        f'<div class="scroll" tabindex="0" role="img" aria-label="Curves of the run">{drawing[drawing.index("<svg") :]}</div>'
        "</section>"
    )
