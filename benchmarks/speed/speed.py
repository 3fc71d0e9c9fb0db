"""Encoding and decoding speed and peak memory: each codec, picture size and number of threads in a fresh process."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from codec import CaeError

from ..codecs import TestedCodec, registry
from ..codecs.compressai import ARCHITECTURES, untrained
from ..core.arguments import sides
from ..core.images import from_scikit_image, patchwork
from ..core.measuring import peak_memory, text_columns
from ..core.operations import encoder_and_decoder

SPEED_SIZES = ("768x512", "4000x3000", "6000x4000")
TIMED_CODECS = ("cae", "mbt2018-mean", "jpeg", "webp", "avif-s6", "jpegxl", "heic")
COLUMNS = ("codec", "size", "threads", "setting", "bpp", "encode_mps", "decode_mps", "encode_ratio", "decode_ratio",
           "encode_first_s", "decode_first_s", "peak_mb", "encode_kmac", "decode_kmac")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SpeedJob:
    """One process: a codec at a setting on a picture (width, height); `repeat` warm runs after a first one."""

    codec: str
    setting: float
    size: tuple[int, int]
    threads: int
    repeat: int
    device: str


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of the first and of all later runs, peak resident memory of the process in MB, bits per pixel.

    `macs` is the multiply-accumulates per pixel of a learned codec's encoder and decoder.
    """

    encode: list[float]
    decode: list[float]
    memory: float
    bpp: float
    macs: tuple[float, float] | None

    def row(self, job: SpeedJob, reference: Timing | None) -> dict[str, object]:
        """Figures by column; the ratios are speeds over the reference codec's."""
        megapixels = job.size[0] * job.size[1] / 1e6
        mine = {name: megapixels / statistics.median(getattr(self, name)[1:]) for name in ("encode", "decode")}
        base = {name: megapixels / statistics.median(getattr(reference, name)[1:]) for name in mine} if reference else {}
        values = (
            job.codec, f"{job.size[0]}x{job.size[1]}", job.threads, job.setting, round(self.bpp, 3),
            *(round(mine[name], 2) for name in mine), *(round(mine[name] / base[name], 3) if base else None for name in mine),
            round(self.encode[0], 3), round(self.decode[0], 3), round(self.memory),
            *(self.macs and round(self.macs[side] / 1000, 1) for side in (0, 1)),
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Speeds are megapixels a second of the median warm run; the first run of a fresh process stands beside it. "
        f"CompressAI's architectures ({', '.join(ARCHITECTURES)}) run as they are, whole pictures at once, with random "
        "weights, so that bpp means nothing and their entropy coders may be busier or idler than with trained ones. "
        "Run it on an idle machine."
    )
    parser.add_argument(
        "--sizes", nargs="+", default=SPEED_SIZES, metavar="WxH", help=f"picture sizes (default: {' '.join(SPEED_SIZES)})"
    )
    parser.add_argument("--codecs", nargs="+", default=TIMED_CODECS, metavar="NAME", help=f"default: {' '.join(TIMED_CODECS)}")
    parser.add_argument("--threads", nargs="+", type=int, default=[2], metavar="N", help="for learned codecs (default: 2)")
    parser.add_argument("--repeat", type=int, default=5, help="warm runs, of which the median counts (default: 5)")
    parser.add_argument("--reference", default="jpeg", metavar="NAME", help="codec that ratios refer to (default: jpeg)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto, for learned codecs (default: cpu)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file to write as well")
    parser.add_argument("--worker", help=argparse.SUPPRESS)


def mosaic(width: int, height: int) -> np.ndarray:
    """A picture (height, width, 3) of pieces of scikit-image's photographs, as large as wanted."""
    return np.concatenate(list(patchwork(width, height, [sample.load() for sample in from_scikit_image()])))


def measure(job: SpeedJob) -> Timing:
    """Runs one job in this process."""
    pixels = mosaic(*job.size)
    codec = _all_codecs(job.device, job.threads)[job.codec]
    if job.codec in ARCHITECTURES:
        import torch

        torch.set_num_threads(job.threads)
    seconds: dict[str, list[float]] = {"encode": [], "decode": []}
    for _ in range(job.repeat + 1):
        start = time.perf_counter()
        data = codec.encode(pixels, job.setting)
        middle = time.perf_counter()
        codec.decode(data)
        seconds["encode"].append(middle - start)
        seconds["decode"].append(time.perf_counter() - middle)
    memory = peak_memory()
    bpp = len(data) * 8 / (job.size[0] * job.size[1])
    # counting runs the networks, so it comes last
    macs = _own_macs() if job.codec == "cae" else _counted_macs(codec) if job.codec in ARCHITECTURES else None
    return Timing(**seconds, memory=memory, bpp=bpp, macs=macs)


def _all_codecs(device: str, threads: int) -> dict[str, TestedCodec]:
    return registry(None, device, threads, None) | untrained(device)


def _counted_macs(codec: TestedCodec) -> tuple[float, float]:
    """Multiply-accumulates per pixel of encoding and decoding, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    side = 256
    with FlopCounterMode(display=False) as encoding:
        data = codec.encode(mosaic(side, side), 1)
    with FlopCounterMode(display=False) as decoding:
        codec.decode(data)
    return encoding.get_total_flops() / 2 / side**2, decoding.get_total_flops() / 2 / side**2


def _own_macs() -> tuple[float, float]:
    from codec.networks.registry import default_path
    from codec.networks.weights import Weights

    return encoder_and_decoder(Weights.read(default_path()).config)


def measure_apart(job: SpeedJob) -> Timing:
    """Runs one job in a fresh process."""
    command = [sys.executable, "-m", "benchmarks", "speed", "--worker", json.dumps(dataclasses.asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise CaeError(f"{job.codec} at {job.size[0]}x{job.size[1]} failed: {last[0]}")
    return Timing(**json.loads(done.stdout.splitlines()[-1]))


def plan(arguments: argparse.Namespace) -> list[SpeedJob]:
    """The jobs, the reference codec's first at each size."""
    codecs = _all_codecs(arguments.device, 1)
    jobs = []
    for size in map(sides, arguments.sizes):
        for name in dict.fromkeys([arguments.reference, *arguments.codecs]):
            if name not in codecs:
                raise CaeError(f"there is no codec {name!r}; there are {', '.join(codecs)}")
            if reason := codecs[name].available():
                print(f"{name}: left out, {reason}", file=sys.stderr)
                continue
            settings = codecs[name].settings
            for threads in arguments.threads if name in ("cae", *ARCHITECTURES) else [1]:
                middle = settings[len(settings) // 2]
                jobs.append(SpeedJob(name, middle, size, threads, arguments.repeat, arguments.device))
    return jobs


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints; with `--worker`, one job in this process."""
    if arguments.worker:
        job = json.loads(arguments.worker)
        print(json.dumps(dataclasses.asdict(measure(SpeedJob(**job | {"size": tuple(job["size"])})))))
        return
    if arguments.repeat < 1:
        raise CaeError(f"--repeat {arguments.repeat}: use at least 1")
    rows, references = [], {}
    for job in tqdm(plan(arguments), desc="speed", unit="process"):
        timing = measure_apart(job)
        if job.codec == arguments.reference:
            references.setdefault(job.size, timing)
        rows.append(timing.row(job, references.get(job.size)))
    print(text_columns([COLUMNS, *(["-" if value is None else value for value in row.values()] for row in rows)]))
    if arguments.out:
        with open(arguments.out, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
