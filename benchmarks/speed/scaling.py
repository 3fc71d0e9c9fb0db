"""Peak memory and speed of the command lines as pictures grow: TIFF to `.cae` to TIFF, each command a process of its own."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from codec.images import streams

from ..core import images
from ..core.arguments import add_image_arguments, add_weights_argument, sides
from ..core.images import patchwork
from ..core.measuring import measure_command, text_table

SCALING_SIZES = ("2048x2048", "4096x4096", "8192x8192", "16384x16384", "32768x32768")
DIRECTIONS = ("encode", "decode")


@dataclasses.dataclass(frozen=True)
class ScalingRow:
    """One command on one picture."""

    command: str
    size: str
    megapixels: float
    seconds: float
    mps: float
    peak_mb: float
    tiff_bytes: int
    cae_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The pictures are made of pieces of photographs, turned at random, and never stand whole in memory. The greatest needs "
        "8 GB of disk and some ten minutes on two cores. Run it on an idle machine."
    )
    add_image_arguments(parser)
    parser.add_argument(
        "--sizes", nargs="+", default=SCALING_SIZES, metavar="WxH", help=f"picture sizes (default: {' '.join(SCALING_SIZES)})"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of each command (default: all processors)")
    add_weights_argument(parser)
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="folder for the pictures (default: the system's)")
    parser.add_argument("--out", type=Path, default=Path("scaling"), metavar="NAME", help="NAME.csv and NAME.png are written")


def scale(size: str, photographs: Sequence[np.ndarray], folder: Path, options: Sequence[object]) -> Iterator[ScalingRow]:
    """Makes a picture, encodes and decodes it; its files are gone when this ends."""
    width, height = sides(size)
    source, coded, decoded = folder / "source.tif", folder / "coded.cae", folder / "decoded.tif"
    try:
        streams.write_bands(source, (width, height), 3, {}, patchwork(width, height, photographs))
        for command, (source_path, target_path) in zip(DIRECTIONS, ((source, coded), (coded, decoded)), strict=True):
            seconds, peak = measure_command(command, [source_path, target_path, *options])
            megapixels = width * height / 1e6
            sizes = source.stat().st_size, coded.stat().st_size
            yield ScalingRow(
                command, size, round(megapixels, 1), round(seconds, 2), round(megapixels / seconds, 2), round(peak), *sizes
            )
    finally:
        for path in (source, coded, decoded):
            path.unlink(missing_ok=True)


def plot(rows: Sequence[ScalingRow], path: Path) -> None:
    """Memory and speed over the picture's size."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    drawing = Figure(figsize=(10, 4), layout="constrained")
    values = sorted({row.megapixels for row in rows})
    for axes, name, title in zip(
        drawing.subplots(1, 2), ("peak_mb", "mps"), ("peak memory, MB", "megapixels a second"), strict=True
    ):
        for command, colour in zip(DIRECTIONS, ("#D55E00", "#0072B2"), strict=True):
            mine = [row for row in rows if row.command == command]
            axes.plot([row.megapixels for row in mine], [getattr(row, name) for row in mine], "o-", color=colour, label=command)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(values))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(bottom=0)
        axes.set_xlabel("megapixels (log scale)")
        axes.set_title(title, loc="left")
        axes.grid(color="#dddddd", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    drawing.savefig(path, dpi=150)


def run(arguments: argparse.Namespace) -> None:
    """Measures, prints, and writes what is measured after each size."""
    for size in arguments.sizes:
        sides(size)
    photographs = [sample.load() for sample in images.gather(arguments.dataset, arguments.folder)]
    options: list[object] = []
    for name in ("threads", "weights"):
        if getattr(arguments, name) is not None:
            options += [f"--{name}", getattr(arguments, name)]
    rows: list[ScalingRow] = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        for size in arguments.sizes:
            rows += scale(size, photographs, Path(folder), options)
            with open(arguments.out.with_suffix(".csv"), "w", newline="") as file:
                writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(ScalingRow)])
                writer.writeheader()
                writer.writerows(map(dataclasses.asdict, rows))
            plot(rows, arguments.out.with_suffix(".png"))
    print(text_table(rows))
