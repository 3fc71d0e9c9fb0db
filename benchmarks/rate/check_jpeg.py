"""`python -m benchmarks check-jpeg`: do sizes and distances measured here agree with published ones?

The published curve comes from Pillow 7.1.2, whose wheels hold IJG's libjpeg 9d. With that version, the sizes and the
metrics of this package equal the published ones in every digit (tried at qualities 5, 20, 50, 75 and 95). libjpeg-turbo,
in today's wheels, decodes the same files to pictures that are 0.1 dB of PSNR-RGB and up to 0.004 of MS-SSIM closer to the
original. So rates and PSNR-RGB are judged; MS-SSIM, where that is worth 4 % of the rate, is only shown.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codec import CaeError

from ..codecs import jpeg
from ..core import bd, images
from ..core.curves import Curve, mean_curve, published
from ..core.metrics import METRICS
from ..core.runner import PointTask
from ..core.runner import run as run_tasks
from ..core.store import Store

JPEG_QUALITIES = tuple(range(5, 100, 5))
"""Pillow's qualities at the points of the published curve."""
TOLERANCE = 0.02
_METRICS = ("psnr_rgb", "ms_ssim_rgb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=f"the 24 Kodak images, from {images.KODAK_PAGE}")
    parser.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="where points are kept (default: results)"
    )
    parser.add_argument("-j", "--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Greatest differences between two curves, point by point, and the BD-rate between them in per cent.

    `rate` is relative (0.01: one per cent); `values` are differences in each metric's own unit.
    """

    rate: float
    values: dict[str, float]
    bd_rates: dict[str, float | None]

    def holds(self) -> bool:
        """True if rates at equal quality, and the BD-rate over PSNR-RGB, are within the tolerance."""
        whole = self.bd_rates["psnr_rgb"]
        return self.rate <= TOLERANCE and whole is not None and abs(whole) / 100 <= TOLERANCE


def compare(measured: Curve, reference: Curve) -> Agreement:
    """Compares curves whose points belong together one by one."""
    if len(measured.bpp) != len(reference.bpp):
        raise CaeError(f"{len(measured.bpp)} points cannot be compared one by one with {len(reference.bpp)}")
    return Agreement(
        rate=max(abs(ours / theirs - 1) for ours, theirs in zip(measured.bpp, reference.bpp, strict=True)),
        values={name: _greatest_difference(measured.values[name], reference.values[name]) for name in _METRICS},
        bd_rates={name: bd.bd_rate(reference, measured, METRICS[name]).percent for name in _METRICS},
    )


def _greatest_difference(first: Sequence[float | None], second: Sequence[float | None]) -> float:
    return float(np.abs(np.array(first, float) - np.array(second, float)).max())


def run(arguments: argparse.Namespace) -> None:
    """Measures, compares and prints; CaeError where the curves disagree."""
    samples = images.from_kodak(arguments.folder)
    codec = jpeg.BASELINE
    version = codec.version
    tasks = [PointTask(item, codec, version, quality) for item in samples for quality in JPEG_QUALITIES]
    with Store(arguments.out / "points.jsonl") as store:
        points, failures = run_tasks(tasks, _METRICS, store, arguments.jobs)
    if failures:
        raise CaeError(failures[0])
    reference = published()["JPEG"]
    measured = mean_curve(points, codec.label, len(samples))
    agreement = compare(measured, reference)
    print("quality     bpp  published    PSNR-RGB  published    MS-SSIM  published")
    for row in zip(
        measured.settings, measured.bpp, reference.bpp,
        *(side.values[name] for name in _METRICS for side in (measured, reference)),
        strict=True,
    ):  # fmt: skip
        print("{:7d} {:7.4f} {:10.4f} {:11.3f} {:10.3f} {:10.5f} {:10.5f}".format(*row))
    print(f"\nagainst {reference.source}")
    print(f"greatest difference in rate at equal quality: {agreement.rate:.2%}")
    for name, unit in zip(_METRICS, (" dB", ""), strict=True):
        print(f"greatest difference in {METRICS[name].label}: {agreement.values[name]:.5f}{unit}")
    print("BD-rate of the mean curve: " + ", ".join(f"{name} {value:+.2f} %" for name, value in agreement.bd_rates.items()))
    if not agreement.holds():
        raise CaeError(f"JPEG here and as published differ by more than {TOLERANCE:.0%}")
    print(f"rates at equal quality and the BD-rate over PSNR-RGB agree within {TOLERANCE:.0%}")
    print("MS-SSIM differs by the decoder: libjpeg-turbo here, libjpeg 9d there")
