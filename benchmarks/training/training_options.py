"""Options of training compared: models from scratch on equal data, loss against time, and time to a given loss."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from typing import Any

from codec import CaeError
from codec.format.geometry import HYPER_STRIDE
from codec.networks.config import MODELS
from codec.training.options import Options
from codec.training.schedule import StepSchedule

from .courses import Course, add_training_arguments, figure, options_for, read_course, train_or_continue

DEFAULT_VARIANT = "default"
_USUAL = Options.augment


def variants(steps: int, patch: int) -> dict[str, dict[str, Any]]:
    """Options by the name of each variant, where they differ from the usual ones. Schedules change at thirds of the steps."""
    ends = steps // 3, 2 * steps // 3
    sides = [max(HYPER_STRIDE, patch // part // HYPER_STRIDE * HYPER_STRIDE) for part in (4, 2)]
    small = {"patch_schedule": StepSchedule(tuple(zip(sides, ends, strict=True)))}
    low = {"resolution_schedule": StepSchedule(tuple(zip((4, 2), ends, strict=True)))}
    return {
        DEFAULT_VARIANT: {},
        **{f"no-{name}": {"augment": tuple(other for other in _USUAL if other != name)} for name in _USUAL},
        "jitter": {"augment": (*_USUAL, "jitter")},
        "no-augmentation": {"augment": ()},
        "grid": {"overlap": 0.0},
        "grid-overlap-50": {"overlap": 0.5},
        "small-first": small,
        "low-first": low,
        "small-and-low-first": small | low,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Into the output folder go a run for each variant, training_options.csv, .md and .png. An interrupted screening goes "
        "on when it is repeated. Minutes are of this machine, validation counted; leave it alone meanwhile."
    )
    add_training_arguments(parser)
    parser.add_argument("--options", metavar="A,B,…", help=f"some of {', '.join(variants(3, 256))} (default: all)")
    parser.add_argument("--target", type=float, metavar="LOSS", help="loss to be reached (default: the highest of the ends)")


def screen(arguments: argparse.Namespace) -> list[Course]:
    """Trains all variants that are not finished yet, each in a folder of its own."""
    all_variants = variants(arguments.steps, arguments.patch)
    chosen = list(all_variants) if arguments.options is None else arguments.options.split(",")
    for name in chosen:
        if name not in all_variants:
            raise CaeError(f"there is no option {name!r}; there are {', '.join(all_variants)}")
    courses = []
    for name in chosen:
        options = options_for(arguments, name, all_variants[name], MODELS[arguments.model])
        log = options.run / "log.csv"
        course = read_course(name, log) if log.exists() else None
        if course is None or not course.points or course.points[-1][0] < arguments.steps:
            train_or_continue(name, options, MODELS[arguments.model])
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
        minutes_to_target = "never" if taken is None else f"{taken:.2f}"
        lines.append(f"| {course.name} | {step} | {minutes:.2f} | {loss:.4f} | {minutes_to_target} | {against} |")
    return "\n".join(lines)


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
