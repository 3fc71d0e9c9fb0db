"""Efforts of the encoder compared: bits at equal PSNR against processor time for a megapixel, by real files."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from codec import CaeError, Codec
from codec.networks.registry import find_model
from codec.options import DEFAULT_EFFORT, EFFORTS, QUALITIES

from ..codecs.cae import TestedCae
from ..core import images, metrics
from ..core.arguments import add_image_arguments, integers
from ..core.bd import bd_rate
from ..core.curves import Curve
from ..core.images import crop_middle

POINTS_MIN = 4


@dataclasses.dataclass(frozen=True)
class EffortPoint:
    """A picture's middle, coded: sizes in bytes and pixels, PSNR of RGB in dB, seconds of the encoder's processor time."""

    picture: str
    effort: int
    quality: int
    size: int
    pixels: int
    psnr: float
    seconds: float

    @property
    def key(self) -> tuple[str, int, int]:
        return self.picture, self.effort, self.quality


class EffortPoints:
    """A CSV file of points; what it holds, made by the same codec, is not measured again."""

    def __init__(self, path: Path, made_by: str) -> None:
        self.path, self.made_by = path, made_by
        self.names = [field.name for field in dataclasses.fields(EffortPoint)]
        self.by_key: dict[tuple[str, int, int], EffortPoint] = {}
        if path.exists():
            with open(path, newline="") as file:
                for row in csv.DictReader(file):
                    try:
                        values = (int(row[name]) for name in self.names[1:5])
                        point = EffortPoint(row["picture"], *values, float(row["psnr"]), float(row["seconds"]))
                        is_current = row["made_by"] == made_by
                    except (KeyError, TypeError, ValueError):
                        raise CaeError(f"{path}: is no table of this benchmark; use another folder") from None
                    if is_current:
                        self.by_key[point.key] = point
        else:
            self._write([*self.names, "made_by"])

    def add(self, point: EffortPoint) -> None:
        self.by_key[point.key] = point
        self._write([*dataclasses.astuple(point), self.made_by])

    def _write(self, row: Sequence[object]) -> None:
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(row)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"Efforts are compared with {DEFAULT_EFFORT}, the default. Points are kept: an interrupted run goes on."
    add_image_arguments(parser)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: those for PSNR")
    parser.add_argument("--efforts", default=",".join(map(str, EFFORTS)), metavar="E,E…", help="default: %(default)s")
    parser.add_argument("--qualities", default="20,40,60,80", metavar="Q,Q…", help="four or more (default: %(default)s)")
    parser.add_argument("--images", type=int, metavar="N", help="only the first so many pictures")
    parser.add_argument("--side", type=int, default=256, metavar="N", help="only the middle, of such a side (default: 256)")
    parser.add_argument("--out", type=Path, default=Path("effort"), metavar="DIR", help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    efforts = integers(arguments.efforts, "efforts", EFFORTS)
    qualities = integers(arguments.qualities, "qualities", QUALITIES)
    if len(qualities) < POINTS_MIN or arguments.side < 16 or (arguments.images or 1) < 1:
        raise CaeError(f"use {POINTS_MIN} or more qualities, sides of 16 or more and at least 1 image")
    efforts = sorted({*efforts, DEFAULT_EFFORT})
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = arguments.weights or find_model("psnr")
    made_by = f"{TestedCae('cpu', 1, weights).version}, {arguments.side} pixels"
    points = EffortPoints(arguments.out / "effort.csv", made_by)
    samples = images.gather(arguments.dataset, arguments.folder)[: arguments.images]
    codec = Codec(weights=weights, device="cpu", threads=1)
    missing = [(sample, effort, quality) for sample in samples for effort in efforts for quality in qualities]
    missing = [case for case in missing if (case[0].path.stem, *case[1:]) not in points.by_key]
    for sample, effort, quality in tqdm(missing, unit="file", disable=None):
        pixels = crop_middle(sample.load(), arguments.side)
        start = time.process_time()
        data = codec.encode(pixels, quality, effort=effort)
        seconds = time.process_time() - start
        psnr = metrics.psnr_rgb(pixels, codec.decode(data)) or np.inf
        points.add(EffortPoint(sample.path.stem, effort, quality, len(data), pixels[..., 0].size, psnr, seconds))
    pictures = [sample.path.stem for sample in samples]
    rows = [summary(points.by_key, pictures, effort, qualities) for effort in efforts]
    print("| effort | processor seconds per megapixel | bits at equal PSNR, mean of pictures | of the mean curve |")
    print("|---:|---:|---:|---:|")
    for effort, (pace, singles, mean) in zip(efforts, rows, strict=True):
        print(f"| {effort} | {pace:.2f} | {_shown(singles)} | {_shown(mean)} |")
    plot(efforts, rows).savefig(arguments.out / "effort.png", dpi=150)


def summary(
    points: dict[tuple[str, int, int], EffortPoint], pictures: list[str], effort: int, qualities: list[int]
) -> tuple[float, float | None, float | None]:
    """Processor seconds per megapixel of an effort, and BD-rates in per cent: mean of the pictures, and of the mean curve.

    A BD-rate is None where a picture has none.
    """
    curves = {}
    for each in (DEFAULT_EFFORT, effort):
        rows = [[points[picture, each, quality] for quality in qualities] for picture in pictures]
        curves[each] = np.array([[(8 * point.size / point.pixels, point.psnr) for point in row] for row in rows])
    used = [points[picture, effort, quality] for picture in pictures for quality in qualities]
    pace = sum(point.seconds for point in used) / sum(point.pixels for point in used) * 1e6
    singles = [_bd(before, after) for before, after in zip(curves[DEFAULT_EFFORT], curves[effort], strict=True)]
    mean = None if None in singles else statistics.fmean(singles)
    return pace, mean, _bd(curves[DEFAULT_EFFORT].mean(0), curves[effort].mean(0))


def _bd(anchor: np.ndarray, test: np.ndarray) -> float | None:
    """BD-rate in per cent of curves (points, 2) of bits per pixel and PSNR."""
    (metric,) = metrics.choose(["psnr_rgb"])
    first, second = (
        Curve("", "", (), tuple(rates), {metric.name: tuple(value if np.isfinite(value) else None for value in values)})
        for rates, values in (anchor.T, test.T)
    )
    return bd_rate(first, second, metric).percent


def _shown(percent: float | None) -> str:
    return "none" if percent is None else f"{percent:+.1f} %"


def plot(efforts: list[int], rows: list[tuple[float, float | None, float | None]]) -> Figure:
    """Bits saved over time."""
    drawing = Figure(figsize=(7, 4.5), layout="constrained")
    axes = drawing.add_subplot()
    paces, singles, _ = zip(*rows, strict=True)
    singles = [np.nan if gain is None else gain for gain in singles]
    axes.plot(paces, singles, marker="o", color="#D55E00")
    for effort, pace, gain in zip(efforts, paces, singles, strict=True):
        axes.annotate(str(effort), (pace, gain), xytext=(5, 5), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xlabel("encoder's processor seconds per megapixel (log scale)")
    axes.set_ylabel(f"bits at equal PSNR against effort {DEFAULT_EFFORT}, %")
    axes.set_title("What effort brings", loc="left")
    axes.grid(color="#dddddd", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing
