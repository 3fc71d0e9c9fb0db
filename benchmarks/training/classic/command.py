"""`python -m benchmarks classic`: trains the four variants, shows where they over-fit, and puts them beside real codecs."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks import codecs
from benchmarks.core import metrics, plots, report
from benchmarks.core.results import CodecFacts, Results, derive
from benchmarks.core.runner import PointTask
from benchmarks.core.runner import run as run_tasks
from benchmarks.core.store import Store
from codec import CaeError
from codec.runtime import devices

from .coding import ClassicCodec
from .network import VARIANTS
from .photographs import Photographs, from_folder, from_stl10
from .training import LOSS_COLUMNS, ClassicSettings, Trained, train

BESIDE = ("cae", "jpeg")
CLASSIC_METRICS = ("psnr_rgb", "ms_ssim_rgb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = (
        "Into the output folder go losses.csv and losses.png, a file of weights for each variant, and the files of the command "
        "run for whole pictures that no crop comes from: scikit-image's photographs beside STL-10, else those of the test. A "
        "repeated command trains only the variants that it has not finished."
    )
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="photographs to crop (default: scikit-image's)")
    parser.add_argument("--stl10", type=Path, metavar="FOLDER", help="a copy of STL-10's binary files, in place of crops")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="output folder (default: results)")
    parser.add_argument("--variants", metavar="A,B,…", help=f"some of {', '.join(VARIANTS)} (default: all)")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training pictures (default: 20)")
    parser.add_argument("--crops", type=int, default=2500, help="most training pictures (default: 2500)")
    parser.add_argument("--pictures", type=int, default=8, help="most photographs of a folder's test to code (default: 8)")
    parser.add_argument("--batch", type=int, default=64, help="pictures per step (default: 64)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="Adam's (default: 1e-3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", metavar="auto|cpu|cuda[:N]", help="where to train (default: cpu)")


def gather(arguments: argparse.Namespace) -> Photographs:
    """The pictures that the arguments name."""
    if arguments.stl10 is None:
        return from_folder(arguments.folder, arguments.crops, arguments.pictures, arguments.seed)
    if arguments.folder is not None:
        raise CaeError("give a folder or --stl10, not both")
    return from_stl10(arguments.stl10, arguments.crops, arguments.seed)


def table(trained: Sequence[Trained]) -> str:
    """Markdown: the losses of the best epoch and of the last, and where over-fitting begins."""
    lines = ["| variant | best epoch | training | validation | test | last: training, validation | over-fitting |"]
    lines.append("|---|---:|---:|---:|---:|---:|---|")
    for item in trained:
        best = " | ".join(f"{loss:.5f}" for loss in item.losses[item.best - 1])
        last = ", ".join(f"{loss:.5f}" for loss in item.losses[-1][:2])
        over = f"after epoch {item.best}" if item.over_fits else f"none in {len(item.losses)} epochs"
        lines.append(f"| {item.name} | {item.best} | {best} | {last} | {over} |")
    return "\n".join(lines)


def figure(trained: Sequence[Trained], source: str) -> Figure:
    """Losses over epochs of all variants; dots where over-fitting begins."""
    drawing = Figure(figsize=(10, 6.2), layout="constrained")
    axes = drawing.add_subplot()
    for number, item in enumerate(trained):
        epochs = range(1, 1 + len(item.losses))
        for column, (label, style) in enumerate(zip(LOSS_COLUMNS, (":", "-", "--"), strict=True)):
            losses = [row[column] for row in item.losses]
            axes.plot(epochs, losses, style, color=f"C{number}", lw=1.4, label=f"{item.name}, {label}")
        if item.over_fits:
            axes.plot(item.best, item.losses[item.best - 1][1], "o", color=f"C{number}", ms=6)
    axes.set_yscale("log")
    axes.grid(color="#dddddd", lw=0.6, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error in [0, 1] (log scale)")
    axes.set_title(f"Classic autoencoder on {source}; a dot where over-fitting begins", loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return drawing


def compare(trained: Sequence[Trained], photographs: Photographs, out: Path) -> Results:
    """Rate and distortion on the whole photographs, beside this codec and JPEG."""
    codecs_by_name = codecs.registry()
    chosen = [*(codecs_by_name[name] for name in BESIDE), *(ClassicCodec(item.name, item.path) for item in trained)]
    facts = [CodecFacts(codec.name, codec.label, codec.version, codec.settings) for codec in chosen]
    samples = photographs.held_out
    tasks = [
        PointTask(item, codec, fact.version, setting)
        for item in samples
        for codec, fact in zip(chosen, facts, strict=True)
        for setting in fact.settings
    ]
    with Store(out / "points.jsonl") as store:
        points, failures = run_tasks(tasks, CLASSIC_METRICS, store, 1)
    name = ", ".join(item.name for item in samples) if len(samples) < 3 else f"{samples[0].path.parent.name}"
    return derive(name, samples, facts, metrics.choose(list(CLASSIC_METRICS)), points, "jpeg", [], {}, failures)


def run(arguments: argparse.Namespace) -> None:
    """Trains, measures, writes the files, prints the tables."""
    names = list(VARIANTS) if arguments.variants is None else arguments.variants.split(",")
    for name in names:
        if name not in VARIANTS:
            raise CaeError(f"there is no variant {name!r}; there are {', '.join(VARIANTS)}")
    numbers = (arguments.epochs, arguments.crops, arguments.pictures, arguments.batch, arguments.learning_rate)
    if min(numbers) <= 0 or arguments.seed < 0:
        raise CaeError("epochs, crops, pictures, batch and learning rate must be positive, the seed 0 or more")
    device = str(devices.choose(arguments.device))
    photographs = gather(arguments)
    settings = ClassicSettings(arguments.epochs, arguments.batch, arguments.learning_rate, arguments.seed, device)
    trained = [train(name, arguments.out / f"{name}.safetensors", photographs, settings) for name in names]
    with open(arguments.out / "losses.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("variant", "epoch", *LOSS_COLUMNS))
        writer.writerows((item.name, epoch, *row) for item in trained for epoch, row in enumerate(item.losses, 1))
    figure(trained, photographs.source).savefig(arguments.out / "losses.png", dpi=150)
    print(table(trained) + "\n")
    results = compare(trained, photographs, arguments.out)
    paths = [*report.write(results, arguments.out), *plots.write(results, arguments.out)]
    print(report.markdown(results))
    print(f"wrote losses.csv, losses.png, {', '.join(path.name for path in paths)} in {arguments.out}", file=sys.stderr)
    if results.failures:
        raise CaeError("; ".join(results.failures))
