"""The log of a training run: means of its steps, as lines of a CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..runtime.atomic_write import atomic_write
from .gradients import StepMeans

LOG_COLUMNS = (
    "step", "hours", "learning_rate", "loss", "bpp", "psnr", "gradient_norm", "validation_loss", "megapixels_per_second",
)  # fmt: skip
DISTORTION_COLUMN = "distortion"
"""A further column, for losses of which the PSNR says little."""


class Meter:
    """Collects what the steps measured since the last line of the log, and the speed."""

    def __init__(self, seconds: float) -> None:
        self._steps: list[Tensor] = []
        self._pixels, self._seconds = 0, seconds

    def add(self, means: Tensor, pixels: int) -> None:
        """Adds a step: the fields of `StepMeans` (5,) on any device, and the pixels that it took."""
        self._steps.append(means)
        self._pixels += pixels

    def read(self, seconds: float) -> tuple[StepMeans, float]:
        """Means over the steps and megapixels per second, given the run's seconds so far; begins anew."""
        means = StepMeans(*torch.stack(self._steps).mean(0).tolist())
        speed = self._pixels / 1e6 / max(1e-9, seconds - self._seconds)
        self._steps, self._pixels, self._seconds = [], 0, seconds
        return means, speed


class TrainingLog:
    """A CSV file to which lines are added; a context manager. Without a path it does nothing.

    Lines beyond `step`, that of the state which the run resumes, are dropped: the steps are taken again.
    """

    def __init__(self, path: Path | None, step: int, *, with_distortion: bool) -> None:
        self._path, self._step, self._with_distortion = path, step, with_distortion
        self._columns = (*LOG_COLUMNS, DISTORTION_COLUMN) if with_distortion else LOG_COLUMNS

    def __enter__(self) -> TrainingLog:
        if self._path is not None:
            text = io.StringIO(newline="")
            csv.writer(text).writerows((self._columns, *self._lines_to_keep()))
            with atomic_write(self._path) as file:
                file.write(text.getvalue().encode())
            self._file = open(self._path, "a", newline="")
        return self

    def _lines_to_keep(self) -> list[list[str]]:
        """The file's lines up to the step of the state."""
        if not self._path.exists():
            return []
        with open(self._path, newline="") as file:
            lines = list(csv.reader(file))[1:]
        return [line for line in lines if len(line) == len(self._columns) and line[0].isdigit() and int(line[0]) <= self._step]

    def write(
        self, step: int, seconds: float, learning_rate: float, means: StepMeans, validation_loss: float | None, speed: float
    ) -> None:
        """Adds a line; the speed is in megapixels per second."""
        values: Sequence[object] = (
            step,
            f"{seconds / 3600:.4f}",
            f"{learning_rate:.2e}",
            f"{means.loss:.5f}",
            f"{means.bpp:.4f}",
            f"{-10 * math.log10(means.mse):.3f}",
            f"{means.norm:.3f}",
            "" if validation_loss is None else f"{validation_loss:.5f}",
            f"{speed:.2f}",
        )
        if self._with_distortion:
            values = (*values, f"{means.distance:.6f}")
        csv.writer(self._file).writerow(values)
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._file.close()
