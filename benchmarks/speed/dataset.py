"""Pictures a second that a PyTorch DataLoader with workers takes from `.cae` files, beside JPEG files through Pillow."""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import codec
from codec import CaeError
from codec.dataset import CaeFolder

from ..core import images
from ..core.arguments import add_image_arguments
from ..core.measuring import text_table

SUFFIXES = {"cae": ".cae", "jpeg": ".jpg"}
DEFAULT_QUALITIES = {"cae": 50, "jpeg": 75}


class JpegFolder(Dataset[Tensor]):
    """JPEG files as `CaeFolder` gives pictures; a crop is cut out of the whole picture, as Pillow decodes no parts."""

    def __init__(self, folder: Path, shorter_side: int | None, crop: int | None) -> None:
        self._paths = sorted(folder.glob("*.jpg"))
        self._shorter_side, self._crop = shorter_side, crop

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self._paths[index]) as image:
            if self._shorter_side is not None:
                image.draft("RGB", (self._shorter_side, self._shorter_side))
            picture = image.convert("RGB")
        if self._crop is not None:
            x, y = (int(torch.randint(side - self._crop + 1, ())) for side in picture.size)
            picture = picture.crop((x, y, x + self._crop, y + self._crop))
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(picture), -1, 0)))
        return tensor.to(torch.float32).div_(255)


@dataclasses.dataclass(frozen=True)
class DatasetRow:
    """One format: seconds until the first picture comes, and pictures a second in a later pass over all of them."""

    format: str
    quality: int
    bpp: float
    start: str
    workers: int
    shorter_side: int | None
    crop: int | None
    first_s: float
    pictures_per_s: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Each format's files are made of the same pictures first. Run it on an idle machine."
    add_image_arguments(parser)
    parser.add_argument("--count", type=int, default=100, help="pictures, which are repeated if need be (default: 100)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes of the DataLoader (default: 2)")
    parser.add_argument("--start", nargs="+", default=["spawn"], choices=multiprocessing.get_all_start_methods())
    parser.add_argument("--shorter-side", type=int, metavar="PIXELS", help="decode reduced sizes, of no fewer pixels than that")
    parser.add_argument("--crop", type=int, metavar="PIXELS", help="random squares in place of whole pictures")
    for name, quality in DEFAULT_QUALITIES.items():
        parser.add_argument(f"--{name}-quality", type=int, default=quality, metavar="Q", help="default: %(default)s")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="folder for the files (default: the system's)")


def written(samples: list[images.Sample], name: str, quality: int, count: int, folder: Path) -> float:
    """Puts so many coded pictures into a folder; bits per pixel."""
    folder.mkdir()
    bits = pixels = 0
    for number in range(count):
        sample, path = samples[number % len(samples)], folder / f"{number:05}{SUFFIXES[name]}"
        if number >= len(samples):
            shutil.copyfile(folder / f"{number % len(samples):05}{SUFFIXES[name]}", path)
        elif name == "cae":
            path.write_bytes(codec.encode(sample.load(), quality, device="cpu"))
        else:
            Image.fromarray(sample.load()).save(path, quality=quality)
        bits += 8 * path.stat().st_size
        pixels += sample.width * sample.height
    return bits / pixels


def seconds(dataset: Dataset[Tensor], workers: int, start: str) -> tuple[float, float]:
    """Seconds until a loader's first picture, its workers' start included, and those of its second pass."""
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, multiprocessing_context=start, persistent_workers=True)
    begin = time.perf_counter()
    passing = iter(loader)
    next(passing)
    first = time.perf_counter() - begin
    for _ in passing:
        pass
    begin = time.perf_counter()
    for _ in loader:
        pass
    return first, time.perf_counter() - begin


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    if arguments.count < 1 or arguments.workers < 1:
        raise CaeError("--count and --workers are at least 1")
    samples = images.gather(arguments.dataset, arguments.folder)[: arguments.count]
    # what no reduced picture is smaller than
    least = min(arguments.shorter_side or 2**31, *(min(sample.width, sample.height) for sample in samples))
    if any(value is not None and value < 1 for value in (arguments.shorter_side, arguments.crop)):
        raise CaeError("--shorter-side and --crop are at least 1")
    if arguments.crop and arguments.crop > least:
        raise CaeError(f"--crop {arguments.crop} is more than the {least} pixels that a picture may have")
    chosen = {"shorter_side": arguments.shorter_side, "crop": arguments.crop}
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        for name in tqdm(SUFFIXES, desc="dataset", unit="format"):
            quality = getattr(arguments, f"{name}_quality")
            bpp = written(samples, name, quality, arguments.count, folder := Path(scratch, name))
            dataset = (CaeFolder if name == "cae" else JpegFolder)(folder, **chosen)
            for start in arguments.start:
                first, whole = seconds(dataset, arguments.workers, start)
                speeds = round(first, 2), round(arguments.count / whole, 2)
                rows.append(DatasetRow(name, quality, round(bpp, 3), start, arguments.workers, *chosen.values(), *speeds))
    print(text_table(rows))
