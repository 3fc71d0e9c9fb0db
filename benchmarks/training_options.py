"""What each option of training brings: models from scratch on equal data, loss against time, and time to a given loss."""

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
from codec.format.geometry import HYPER_STRIDE
from codec.networks.config import MODELS, Config
from codec.training.autoencoder import Autoencoder
from codec.training.options import Options
from codec.training.schedule import Schedule
from codec.training.train import Interrupted, Run, train

DEFAULT = "default"
_USUAL = Options.augment
# without the orange that the first course has
_COLOURS = ("C0", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9")


def variants(steps: int, patch: int) -> dict[str, dict[str, Any]]:
    """By name, what each variant tells the training otherwise. Schedules change at thirds of the steps."""
    ends = steps // 3, 2 * steps // 3
    sides = [max(HYPER_STRIDE, patch // part // HYPER_STRIDE * HYPER_STRIDE) for part in (4, 2)]
    small = {"patch_schedule": Schedule(tuple(zip(sides, ends, strict=True)))}
    low = {"resolution_schedule": Schedule(tuple(zip((4, 2), ends, strict=True)))}
    return {
        DEFAULT: {},
        **{f"no-{name}": {"augment": tuple(other for other in _USUAL if other != name)} for name in _USUAL},
        "jitter": {"augment": (*_USUAL, "jitter")},
        "no-augmentation": {"augment": ()},
        "grid": {"overlap": 0.0},
        "grid-overlap-50": {"overlap": 0.5},
        "small-first": small,
        "low-first": low,
        "small-and-low-first": small | low,
    }


@dataclasses.dataclass(frozen=True)
class Course:
    """How a variant's training went: at each validation the step, the minutes since the start, and the losses."""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Into the output folder go a run for each variant, training_options.csv, .md and .png. An interrupted screening goes "
        "on when it is repeated. Minutes are of this machine, validation counted; leave it alone meanwhile."
    )
    add_training_arguments(parser)
    parser.add_argument("--options", metavar="A,B,…", help=f"some of {', '.join(variants(3, 256))} (default: all)")
    parser.add_argument("--target", type=float, metavar="LOSS", help="loss to be reached (default: the highest of the ends)")


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


def told(arguments: argparse.Namespace, name: str, changes: dict[str, Any], config: Config) -> Options:
    """What a training in a folder of its own is told, which is kept there; CaeError where one with other settings is there."""
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


def trained(name: str, options: Options, config: Config, initial: Autoencoder | None = None) -> Run:
    """Trains a model, from `initial` where it is given, or goes on with its training."""
    print(name, flush=True)
    try:
        return train(options, config, initial)
    except Interrupted:
        raise KeyboardInterrupt from None


def folder_of(arguments: argparse.Namespace, name: str) -> Path:
    """Where a model's training is."""
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


def screen(arguments: argparse.Namespace) -> list[Course]:
    """Trains all variants that are not finished yet, each in a folder of its own."""
    known = variants(arguments.steps, arguments.patch)
    chosen = list(known) if arguments.options is None else arguments.options.split(",")
    for name in chosen:
        if name not in known:
            raise CaeError(f"there is no option {name!r}; there are {', '.join(known)}")
    courses = []
    for name in chosen:
        options = told(arguments, name, known[name], MODELS[arguments.model])
        log = options.run / "log.csv"
        course = read_course(name, log) if log.exists() else None
        if course is None or not course.points or course.points[-1][0] < arguments.steps:
            trained(name, options, MODELS[arguments.model])
        courses.append(read_course(name, log))
    return courses


def table(courses: Sequence[Course], target: float) -> str:
    """Markdown: the loss at the end, the minutes that took, and those to the target, also against the first's."""
    lines = [
        f"| option | steps | minutes | validation loss at the end | minutes to {target:.4f} | against {courses[0].name} |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    base = courses[0].minutes_to(target)
    for course in courses:
        step, minutes, _, loss = course.points[-1]
        taken = course.minutes_to(target)
        against = f"{100 * (taken / base - 1):+.0f} %" if taken and base else "none"
        shown = "never" if taken is None else f"{taken:.2f}"
        lines.append(f"| {course.name} | {step} | {minutes:.2f} | {loss:.4f} | {shown} | {against} |")
    return "\n".join(lines)


def figure(courses: Sequence[Course], title: str) -> Figure:
    """Validation loss over minutes; the first course is the one that the others are compared with."""
    drawing = Figure(figsize=(10, 6.2), layout="constrained")
    axes = drawing.add_subplot()
    for number, course in enumerate(courses):
        _, minutes, _, losses = zip(*course.points, strict=True)
        look: dict[str, Any] = {"color": _COLOURS[number % 9], "linestyle": ("-", "--")[number // 9 % 2], "lw": 1.2}
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


def run(arguments: argparse.Namespace) -> None:
    courses = screen(arguments)
    target = max(course.points[-1][3] for course in courses) if arguments.target is None else arguments.target
    text = table(courses, target)
    stem = arguments.out / "training_options"
    with open(stem.with_suffix(".csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("option", "step", "minutes", "loss", "validation_loss"))
        writer.writerows((course.name, *point) for course in courses for point in course.points)
    stem.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    figure(courses, "Options of training, each from scratch").savefig(stem.with_suffix(".png"), dpi=150)
    print(text)
