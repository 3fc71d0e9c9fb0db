"""Seconds that a region out of a large picture takes: in a new process, in a picture just opened, and near what was read."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import codec
from codec import CaeError
from codec.options import REDUCTIONS

from ..core import images
from ..core.arguments import add_image_arguments, add_weights_argument, sides
from ..core.images import patchwork

_REGION_CHILD = """
import json, sys, time
start = time.perf_counter()
import codec
settings, region, scale = json.loads(sys.argv[2])
with codec.open(sys.argv[1], **settings) as picture:
    picture.read(region, scale)
print(time.perf_counter() - start, time.process_time())
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Regions lie at random, the same each time; at smaller scales they have as many pixels, of a larger part. "
        "Run it on an idle machine."
    )
    add_image_arguments(parser)
    parser.add_argument("--file", type=Path, metavar="FILE", help="a .cae file (default: one is made of photographs)")
    parser.add_argument("--size", default="10240x10240", metavar="WxH", help="size of the picture that is made (10240x10240)")
    parser.add_argument("--side", type=int, default=512, metavar="N", help="side of the regions as shown (default: 512)")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many regions are read (default: 20)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all processors)")
    add_weights_argument(parser)


def make(path: Path, size: str, arguments: argparse.Namespace, settings: dict[str, object]) -> None:
    """Codes a picture of pieces of photographs to a file."""
    width, height = sides(size)
    photographs = [sample.load() for sample in images.gather(arguments.dataset, arguments.folder)]
    with codec.create(path, (width, height), "RGB", **settings) as out:
        for rows in patchwork(width, height, photographs):
            out.write(rows)


def measure(
    path: Path, side: int, factor: int, count: int, settings: dict[str, object]
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each read of side x side pixels at 1 / `factor` of the size: of the clock, of CPU, by what was read before.

    Empty where such regions do not move within the picture.
    """
    seconds: dict[str, list[tuple[float, float]]] = {
        "new process": [],
        "just opened": [],
        "half a side further": [],
        "again": [],
    }
    rng = np.random.default_rng(0)
    whole, scale = side * factor, 1 / factor
    with codec.open(path, **settings) as picture:
        width, height = picture.size
        if min(width, height) < 2 * whole:
            return {}
        picture.read((0, 0, 1, 1), scale)
    for number in range(count):
        x, y = (int(rng.integers(length - 3 * whole // 2 + 1)) for length in (width, height))
        region = x, y, whole, whole
        if number < 3:
            command = [sys.executable, "-c", _REGION_CHILD, str(path), json.dumps([settings, region, scale])]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds["new process"].append(tuple(map(float, done.stdout.split())))
        with codec.open(path, **settings) as picture:
            further = x + whole // 2, y, whole, whole
            for name, place in (("just opened", region), ("half a side further", further), ("again", further)):
                start, busy = time.perf_counter(), time.process_time()
                picture.read(place, scale)
                seconds[name].append((time.perf_counter() - start, time.process_time() - busy))
    return seconds


def run(arguments: argparse.Namespace) -> None:
    weights = arguments.weights and str(arguments.weights)
    settings: dict[str, object] = {"device": "cpu", "threads": arguments.threads, "weights": weights}
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or Path(folder) / "picture.cae"
        if arguments.file is None:
            make(path, arguments.size, arguments, settings)
        seconds_by_factor = {factor: measure(path, arguments.side, factor, arguments.count, settings) for factor in REDUCTIONS}
    if not seconds_by_factor[1]:
        raise CaeError(f"regions of {arguments.side} pixels do not move within the picture; use a smaller --side")
    print(f"{f'{arguments.side} x {arguments.side} pixels':<20} scale  median s  slowest s  CPU s (median)  reads")
    for factor, cases in seconds_by_factor.items():
        scale = "1" if factor == 1 else f"1/{factor}"
        for name, seconds in cases.items():
            clock, busy = zip(*seconds, strict=True)
            print(f"{name:<20} {scale:<6} {np.median(clock):<9.3f} {max(clock):<10.3f} {np.median(busy):<15.3f} {len(seconds)}")
