"""Gains of threads in the codec's stages, and of commands that read and write while the codec works."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from codec import Codec
from codec.commands.encode import encode_file
from codec.images import streams
from codec.images.streams.bands import BandSource, read_ahead
from codec.options import EncodeOptions
from codec.runtime.threads import thread_count

from ..core import images
from ..core.arguments import add_image_arguments, add_weights_argument, sides
from ..core.images import patchwork
from ..core.measuring import time_call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "One picture of pieces of photographs is coded in this process. Run it on an idle machine."
    add_image_arguments(parser)
    parser.add_argument("--size", default="8192x8192", metavar="WxH", help="size of the picture (default: 8192x8192)")
    parser.add_argument("--kind", default="png", metavar="SUFFIX", help="kind of its file: png, tif, ppm (default: png)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="of so many times the median counts (default: 3)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all processors)")
    add_weights_argument(parser)


def copies(bands: list[np.ndarray], size: tuple[int, int]) -> BandSource:
    """A picture in memory as one that arrives."""
    return BandSource(*size, bands[0].shape[2], {}, iter(bands))


def read(path: Path) -> list[np.ndarray]:
    """All bands of an image file."""
    with streams.open_picture(path, whole_max=0) as source:
        return list(source.bands)


def stages(
    path: Path, size: tuple[int, int], folder: Path, codecs: tuple[Codec, Codec], threads: int
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yields calls to time, by name: stages alone from memory to memory, and whole ones from file to file.

    The first codec has one thread.
    """
    single, codec = codecs
    pixels, coded, decoded_path = read(path), folder / "coded.cae", folder / f"shown{path.suffix}"
    options = EncodeOptions()

    def encode(codec: Codec) -> None:
        encode_file(coded, copies(pixels, size), codec, options)

    def encode_from_file() -> None:
        with streams.open_picture(path, whole_max=0) as source:
            encode_file(coded, dataclasses.replace(source, bands=read_ahead(source.bands)), codec, options)

    encode(codec)

    def decoded_bands(codec: Codec) -> Iterator[np.ndarray]:
        with codec.open(coded) as reader:
            yield from reader.bands()

    decoded = list(decoded_bands(codec))

    def decode(codec: Codec) -> None:
        for _ in decoded_bands(codec):
            pass

    def write(bands: Iterator[np.ndarray]) -> None:
        streams.write_bands(decoded_path, size, pixels[0].shape[2], {}, bands, threads)

    yield "reading", lambda: read(path)
    yield "encoding, 1 thread", lambda: encode(single)
    yield "encoding", lambda: encode(codec)
    yield "reading and encoding", encode_from_file
    yield "decoding, 1 thread", lambda: decode(single)
    yield "decoding", lambda: decode(codec)
    yield "writing", lambda: write(iter(decoded))
    yield "decoding and writing", lambda: write(decoded_bands(codec))


def run(arguments: argparse.Namespace) -> None:
    size = sides(arguments.size)
    photographs = [sample.load() for sample in images.gather(arguments.dataset, arguments.folder)]
    threads = thread_count(arguments.threads)
    settings = {"weights": arguments.weights, "device": "cpu"}
    codecs = Codec(threads=1, **settings), Codec(threads=threads, **settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"source.{arguments.kind}"
        streams.write_bands(path, size, 3, {}, patchwork(*size, photographs))
        seconds: dict[str, float] = {}
        print(f"{f'{arguments.size}, {threads} threads':<28} seconds  MP/s")
        for name, work in stages(path, size, Path(folder), codecs, threads):
            seconds[name] = statistics.median(time_call(work) for _ in range(arguments.repeat))
            print(f"{name:<28} {seconds[name]:<8.2f} {size[0] * size[1] / 1e6 / seconds[name]:.1f}")
    for one, other in (("reading", "encoding"), ("decoding", "writing")):
        apart, together = seconds[one] + seconds[other], seconds[f"{one} and {other}"]
        print(f"{one} and {other} overlap: {together:.2f} s rather than {apart:.2f}, {1 - together / apart:.0%} less")
    for name in ("encoding", "decoding"):
        print(f"{threads} threads are {seconds[f'{name}, 1 thread'] / seconds[name]:.2f} times as fast as one in {name}")
