"""Pictures a second of whole folders: from image files to coded ones and on to PPM, reading and writing counted."""

from __future__ import annotations

import argparse
import dataclasses
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from codec import CaeError

from ..codecs import TestedCodec, registry
from ..core import images
from ..core.arguments import add_image_arguments
from ..core.measuring import measure_command, text_table

FOLDER_CODECS = ("cae", "jpeg", "webp", "avif-s6", "jpegxl")


@dataclasses.dataclass(frozen=True)
class FolderRow:
    """One codec's way through the folder, by whole processes, their start included: seconds, and seconds of processors."""

    codec: str
    threads: int
    setting: float
    bpp: float
    encode_s: float
    encode_cpu_s: float
    encode_per_s: float
    decode_s: float
    decode_cpu_s: float
    decode_per_s: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Our codec is run by its command lines, the others through Pillow, a picture on each of as many threads. "
        "Run it on an idle machine."
    )
    add_image_arguments(parser)
    parser.add_argument("--count", type=int, default=200, help="pictures, which are repeated if need be (default: 200)")
    parser.add_argument(
        "--codecs", nargs="+", default=FOLDER_CODECS, metavar="NAME", help=f"default: {' '.join(FOLDER_CODECS)}"
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of each codec (default: 2)")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="folder for the pictures (default: the system's)")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)


def through_pillow(codec: TestedCodec, command: str, source: Path, target: Path, threads: int) -> None:
    """Codes a folder's files, or decodes them to PPM, on several threads."""

    def encode(path: Path) -> None:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        (target / path.stem).write_bytes(codec.encode(pixels, _setting(codec)))

    def decode(path: Path) -> None:
        Image.fromarray(codec.decode(path.read_bytes())).save(target / f"{path.name}.ppm")

    work: Callable[[Path], None] = {"encode": encode, "decode": decode}[command]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, sorted(source.iterdir())):
            pass


def _setting(codec: TestedCodec) -> float:
    return codec.settings[len(codec.settings) // 2]


def _timed(codec: TestedCodec, command: str, source: Path, target: Path, threads: int) -> tuple[float, float]:
    """Seconds that a process takes for a folder, and those of processors, which others on the machine change less."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = _seconds(codec, command, source, target, threads)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _seconds(codec: TestedCodec, command: str, source: Path, target: Path, threads: int) -> float:
    if codec.name == "cae":
        options = ["-q", int(_setting(codec))] if command == "encode" else ["--format", "ppm"]
        return measure_command(command, [source, "-o", target, "-j", threads, "--device", "cpu", "--quiet", *options])[0]
    target.mkdir()
    worker = [codec.name, command, str(source)]
    start = time.perf_counter()
    command_line = [sys.executable, "-m", "benchmarks", "files", str(target), "--threads", str(threads), "--worker", *worker]
    done = subprocess.run(command_line, capture_output=True, text=True)
    if done.returncode:
        raise CaeError(f"{codec.name} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
    return time.perf_counter() - start


def measured(codec: TestedCodec, source: Path, scratch: Path, threads: int) -> FolderRow:
    """Codes a folder and decodes what that gives."""
    count = len(list(source.iterdir()))
    pixels = 0
    for path in source.iterdir():
        with Image.open(path) as image:
            pixels += image.width * image.height
    folders = [source, scratch / "coded", scratch / "decoded"]
    encode = _timed(codec, "encode", source, folders[1], threads)
    decode = _timed(codec, "decode", *folders[1:], threads)
    size = sum(path.stat().st_size for path in folders[1].iterdir())
    decoded_count = len(list(folders[2].iterdir()))
    for folder in folders[1:]:
        shutil.rmtree(folder)
    if decoded_count != count:
        raise CaeError(f"{codec.name}: {decoded_count} of {count} pictures came back")
    speeds = [round(value, 2) for seconds, cpu in (encode, decode) for value in (seconds, cpu, count / seconds)]
    return FolderRow(codec.name, threads, _setting(codec), round(8 * size / pixels, 3), *speeds)


def gathered(samples: Sequence[images.Sample], count: int, folder: Path) -> None:
    """Puts so many pictures into a folder, as they are."""
    for number in range(count):
        path = samples[number % len(samples)].path
        shutil.copyfile(path, folder / f"{number:05}{path.suffix}")


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints; with `--worker`, one codec in this process."""
    codecs = registry()
    if arguments.worker:
        name, command, source = arguments.worker
        through_pillow(codecs[name], command, Path(source), arguments.folder, arguments.threads)
        return
    if arguments.count < 1 or arguments.threads < 1:
        raise CaeError("--count and --threads are at least 1")
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        source = Path(folder, "source")
        source.mkdir()
        gathered(images.gather(arguments.dataset, arguments.folder), arguments.count, source)
        for name in tqdm(arguments.codecs, desc="files", unit="codec"):
            if name not in codecs:
                raise CaeError(f"there is no codec {name!r}; there are {', '.join(codecs)}")
            if reason := codecs[name].available():
                print(f"{name}: left out, {reason}", file=sys.stderr)
                continue
            rows.append(measured(codecs[name], source, Path(folder), arguments.threads))
    if rows:
        print(text_table(rows))
