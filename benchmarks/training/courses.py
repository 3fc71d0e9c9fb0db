"""Trainings of several models on equal data, each in a folder of its own, and their losses over time."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from codec import CaeError
from codec.networks.config import MODELS, Config
from codec.training.autoencoder import Autoencoder
from codec.training.options import Options
from codec.training.run import Run
from codec.training.train import Interrupted, train

# without the orange that the first course has
_CURVE_COLOURS = ("C0", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9")


@dataclasses.dataclass(frozen=True)
class Course:
    """The course of a variant's training: at each validation the step, the minutes since the start, and the losses."""

    name: str
    points: tuple[tuple[int, float, float, float], ...]

    def minutes_to(self, loss: float) -> float | None:
        """Minutes until the validation loss was first as low as this, along straight lines; None where it never was."""
        before = None
        for _, minutes, _, reached in self.points:
            if reached <= loss:
                if before is None:
                    return minutes
                return before[0] + (minutes - before[0]) * (before[1] - loss) / (before[1] - reached)
            before = minutes, reached
        return None


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of commands that train several models on equal data."""
    parser.add_argument("images", type=Path, metavar="IMAGES", help="folder of photographs to train on")
    parser.add_argument("--validation", type=Path, required=True, metavar="FOLDER", help="photographs that are measured, a few")
    parser.add_argument("--steps", type=int, required=True, help="steps of each model")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="output folder (default: results)")
    parser.add_argument("--model", default="default", choices=MODELS, help="sizes of the models (default: default)")
    parser.add_argument("--batch", type=int, default=8, help="patches per step (default: 8)")
    parser.add_argument("--patch", type=int, default=256, help="side of a patch (default: 256)")
    parser.add_argument("--points", type=int, default=10, help="how often each model is validated (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", metavar="auto|cpu|cuda[:N]", help="where to train (default: cpu)")
    parser.add_argument("--memory-gib", type=float, default=6, help="images to hold in memory (default: 6)")


_SHARED = ("images", "validation", "steps", "batch", "patch", "seed", "device", "memory_gib")


def options_for(arguments: argparse.Namespace, name: str, changes: dict[str, Any], config: Config) -> Options:
    """Options of a training in a folder of its own, written there; CaeError where the folder has one with other settings."""
    if arguments.steps < 3 or not 1 <= arguments.points <= arguments.steps:
        raise CaeError("use at least 3 steps, and no more points than steps")
    every = arguments.steps // arguments.points
    shared = {option: getattr(arguments, option) for option in _SHARED} | {"log_every": every, "validate_every": every}
    options = Options(run=folder_of(arguments, name), **shared | changes)
    settings = json.dumps({"config": dataclasses.asdict(config), **dataclasses.asdict(options)}, default=str)
    kept = options.run / "settings.json"
    if kept.exists() and kept.read_text(encoding="utf-8") != settings:
        raise CaeError(f"{options.run}: is of a training with other settings; remove it, or use another folder (--out)")
    options.check()
    options.run.mkdir(parents=True, exist_ok=True)
    kept.write_text(settings, encoding="utf-8")
    return options


def train_or_continue(name: str, options: Options, config: Config, initial: Autoencoder | None = None) -> Run:
    """Trains a model, from `initial` where it is given, or goes on with its training."""
    print(name, flush=True)
    try:
        return train(options, config, initial)
    except Interrupted:
        raise KeyboardInterrupt from None


def folder_of(arguments: argparse.Namespace, name: str) -> Path:
    """The folder of a model's training."""
    return arguments.out / "runs" / name


def read_course(name: str, log: Path) -> Course:
    """From a run's log."""
    with open(log, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["validation_loss"]]
    points = [
        (int(row["step"]), round(60 * float(row["hours"]), 3), float(row["loss"]), float(row["validation_loss"]))
        for row in rows
    ]
    return Course(name, tuple(points))


def figure(courses: Sequence[Course], title: str) -> Figure:
    """Validation loss over minutes; the first course is the one that the others are compared with."""
    drawing = Figure(figsize=(10, 6.2), layout="constrained")
    axes = drawing.add_subplot()
    for number, course in enumerate(courses):
        _, minutes, _, losses = zip(*course.points, strict=True)
        look: dict[str, Any] = {"color": _CURVE_COLOURS[number % 9], "linestyle": ("-", "--")[number // 9 % 2], "lw": 1.2}
        if number == 0:
            look = {"color": "#D55E00", "lw": 2.4, "zorder": 3}
        axes.plot(minutes, losses, label=course.name, marker="osD^vPX"[number % 7], ms=3.5, **look)
    axes.grid(color="#dddddd", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("minutes")
    axes.set_ylabel("validation loss")
    axes.set_title(title, loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return drawing
