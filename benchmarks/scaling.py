"""Peak memory and speed of the command lines as pictures grow: TIFF to `.cae` to TIFF, each command a process of its own."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codec import CaeError
from codec.images import streams

from . import images
from .arguments import add_image_arguments, sides

SIZES = ("2048x2048", "4096x4096", "8192x8192", "16384x16384", "32768x32768")
COMMANDS = ("encode", "decode")
_CELL = 256
_CHILD = """
import sys
from codec.commands import {name}
{name}.main(sys.argv[1:])
from benchmarks.scaling import peak_memory
print(peak_memory())
"""


@dataclasses.dataclass(frozen=True)
class Row:
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
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH", help=f"picture sizes (default: {' '.join(SIZES)})")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of each command (default: all processors)")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights file (default: the one that comes with the codec)"
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="folder for the pictures (default: the system's)")
    parser.add_argument("--out", type=Path, default=Path("scaling"), metavar="NAME", help="NAME.csv and NAME.png are written")


def patchwork(width: int, height: int, photographs: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """A picture in bands (rows, width, 3): pieces of photographs (H, W, 3), mirrored at random; always the same."""
    rng = np.random.default_rng(0)
    fitting = [picture for picture in photographs if min(picture.shape[:2]) >= _CELL]
    if not fitting:
        raise CaeError(f"none of the photographs has {_CELL} x {_CELL} pixels")
    for top in range(0, height, _CELL):
        band = np.empty((_CELL, -(-width // _CELL) * _CELL, 3), np.uint8)
        for left in range(0, width, _CELL):
            picture = fitting[rng.integers(len(fitting))]
            y, x = (rng.integers(side - _CELL + 1) for side in picture.shape[:2])
            piece = picture[y : y + _CELL, x : x + _CELL, :]
            band[:, left : left + _CELL] = piece[:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        yield band[: height - top, :width]


def peak_memory() -> float:
    """Most memory that this process has held, in MB.

    By Linux's own count: what getrusage says begins with the memory of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def measure(command: str, arguments: Sequence[object]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a command line, its start included; CaeError where it fails."""
    code = _CHILD.format(name=command)
    start = time.perf_counter()
    # its progress bar goes to the terminal
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise CaeError(f"cae-{command} {' '.join(map(str, arguments))} failed with status {done.returncode}")
    return seconds, float(done.stdout.splitlines()[-1])


def scale(size: str, photographs: Sequence[np.ndarray], folder: Path, options: Sequence[object]) -> Iterator[Row]:
    """Makes a picture, encodes and decodes it; its files are gone when this ends."""
    width, height = sides(size)
    source, coded, decoded = folder / "source.tif", folder / "coded.cae", folder / "decoded.tif"
    try:
        streams.write_bands(source, (width, height), 3, {}, patchwork(width, height, photographs))
        for command, (given, made) in zip(COMMANDS, ((source, coded), (coded, decoded)), strict=True):
            seconds, peak = measure(command, [given, made, *options])
            megapixels = width * height / 1e6
            sizes = source.stat().st_size, coded.stat().st_size
            yield Row(
                command, size, round(megapixels, 1), round(seconds, 2), round(megapixels / seconds, 2), round(peak), *sizes
            )
    finally:
        for path in (source, coded, decoded):
            path.unlink(missing_ok=True)


def table(rows: Sequence[Any]) -> str:
    """Dataclasses of one kind, at least one, as text in columns."""
    names = [field.name for field in dataclasses.fields(rows[0])]
    texts = [names, *([str(getattr(row, name)) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in texts)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Memory and speed over the picture's size."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    drawing = Figure(figsize=(10, 4), layout="constrained")
    values = sorted({row.megapixels for row in rows})
    for axes, name, title in zip(
        drawing.subplots(1, 2), ("peak_mb", "mps"), ("peak memory, MB", "megapixels a second"), strict=True
    ):
        for command, colour in zip(COMMANDS, ("#D55E00", "#0072B2"), strict=True):
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
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        for size in arguments.sizes:
            rows += scale(size, photographs, Path(folder), options)
            with open(arguments.out.with_suffix(".csv"), "w", newline="") as file:
                writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Row)])
                writer.writeheader()
                writer.writerows(map(dataclasses.asdict, rows))
            plot(rows, arguments.out.with_suffix(".png"))
    print(table(rows))
