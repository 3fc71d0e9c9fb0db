"""Encoding and decoding speed and peak memory, each size and codec in a fresh process."""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from codec import CaeError

SIZES = ("768x512", "4000x3000", "6000x4000")
CODECS = ("cae", "mbt2018-mean")
_MOSAIC = ("astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH", help=f"picture sizes (default: {' '.join(SIZES)})")
    parser.add_argument("--codecs", nargs="+", default=CODECS, choices=CODECS, help="default: all")
    parser.add_argument("--repeat", type=int, default=5, help="timed runs, of which the median counts (default: 5)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all processors)")
    parser.add_argument("--quality", type=int, default=50, help="quality of cae (default: 50)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto (default: cpu)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)


def mosaic(width: int, height: int) -> np.ndarray:
    """A picture (height, width, 3) of scikit-image's photographs side by side, as large as wanted."""
    from PIL import Image

    folder = Path(importlib.util.find_spec("skimage").origin).parent / "data"
    out = np.empty((height, width, 3), np.uint8)
    number, top = 0, 0
    while top < height:
        left = 0
        while left < width:
            photograph = np.asarray(Image.open(folder / _MOSAIC[number % len(_MOSAIC)]).convert("RGB"))[:300, :451]
            part = photograph[: height - top, : width - left]
            out[top : top + part.shape[0], left : left + part.shape[1]] = part
            number, left = number + 1, left + 451
        top += 300
    return out


def work(job: dict) -> dict:
    """Runs one job in this process: seconds of each run, peak resident memory in MB, bits per pixel."""
    width, height = job["size"]
    pixels = mosaic(width, height)
    if job["codec"] == "cae":
        from codec import Codec

        codec = Codec(device=job["device"], threads=job["threads"])
        encode, decode = (lambda: codec.encode(pixels, job["quality"])), codec.decode
    else:
        from .peers import MeanScaleHyperprior

        peer = MeanScaleHyperprior(job["device"], job["threads"])
        encode, decode = (lambda: peer.encode(pixels)), peer.decode
    seconds: dict[str, list[float]] = {"encode": [], "decode": []}
    for _ in range(job["repeat"] + 1):
        start = time.perf_counter()
        data = encode()
        middle = time.perf_counter()
        decode(data)
        seconds["encode"].append(middle - start)
        seconds["decode"].append(time.perf_counter() - middle)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = len(data) * 8 / (width * height) if isinstance(data, bytes) else None
    return {"seconds": seconds, "memory": memory, "bpp": rate}


def run(arguments: argparse.Namespace) -> None:
    if arguments.worker:
        print(json.dumps(work(json.loads(arguments.worker))))
        return
    common = {
        "repeat": arguments.repeat,
        "threads": arguments.threads,
        "quality": arguments.quality,
        "device": arguments.device,
    }
    jobs = [common | {"size": _size(size), "codec": codec} for size in arguments.sizes for codec in arguments.codecs]
    lines = []
    for job in tqdm(jobs, desc="speed", unit="job"):
        command = [sys.executable, "-m", "benchmarks", "speed", "--worker", json.dumps(job)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise CaeError(f"{job['codec']} at {job['size']} failed: {done.stderr.strip().splitlines()[-1:]}")
        lines.append(_line(job, json.loads(done.stdout.splitlines()[-1])))
    print("codec         size        encode MP/s   decode MP/s   first encode s   first decode s   peak MB   bpp")
    print("\n".join(lines))
    print("MP/s from the median of warm runs. mbt2018-mean: networks alone, untrained, without its entropy coder.")


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in text.split("x"))
    except ValueError:
        raise CaeError(f"size {text!r} is not WIDTHxHEIGHT") from None
    return width, height


def _line(job: dict, result: dict) -> str:
    width, height = job["size"]
    speed = {name: width * height / 1e6 / statistics.median(runs[1:]) for name, runs in result["seconds"].items()}
    first = {name: runs[0] for name, runs in result["seconds"].items()}
    rate = f"{result['bpp']:.3f}" if result["bpp"] else "-"
    return (
        f"{job['codec']:<13} {f'{width}x{height}':<11} {speed['encode']:<13.2f} {speed['decode']:<13.2f} "
        f"{first['encode']:<16.2f} {first['decode']:<16.2f} {result['memory']:<9.0f} {rate}"
    )
