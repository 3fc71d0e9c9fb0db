"""Decoding at reduced sizes: quality and time beside decoding the whole and shrinking it."""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from tqdm import tqdm

from codec import CaeError, Codec
from codec.images.downscale import reduce
from codec.options import QUALITIES, REDUCTIONS

from ..core import images
from ..core.arguments import add_image_arguments, add_weights_argument, integers, sides
from ..core.images import patchwork
from ..core.measuring import time_call
from ..core.metrics import psnr_rgb

REPEATS = 3
TIMED_QUALITY = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "PSNR is against the averages of areas of the original, mean of pictures. Without a decoder of a size both "
        "ways are the same. Times are the least of three, in turns, of a picture made of the photographs."
    )
    add_image_arguments(parser)
    add_weights_argument(parser)
    parser.add_argument("--qualities", default="20,50,80", metavar="Q,Q…", help="default: %(default)s")
    parser.add_argument("--images", type=int, metavar="N", help="only the first so many pictures")
    parser.add_argument("--size", default="4096x3072", metavar="WxH", help="of the timed picture (default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all processors)")


def run(arguments: argparse.Namespace) -> None:
    qualities = integers(arguments.qualities, "qualities", QUALITIES)
    size = sides(arguments.size)
    if (arguments.images or 1) < 1:
        raise CaeError("use at least 1 image")
    codec = Codec(weights=arguments.weights, device="cpu", threads=arguments.threads)
    photographs = [sample.load() for sample in images.gather(arguments.dataset, arguments.folder)[: arguments.images]]
    errors = _errors(codec, photographs, qualities)
    seconds = _seconds(codec, np.concatenate(list(patchwork(*size, photographs))))
    print(f"| size | {' | '.join(f'quality {quality}: shrunk, decoded small' for quality in qualities)} | times as fast |")
    print(f"|---|{'---:|' * (len(qualities) + 1)}")
    for factor in REDUCTIONS[1:]:
        pairs = (errors[factor, quality] for quality in qualities)
        cells = " | ".join(f"{shrunk:.2f}, {small:.2f} dB ({small - shrunk:+.2f})" for shrunk, small in pairs)
        shrunk, small = seconds[factor]
        print(f"| 1/{factor} | {cells} | {shrunk / small:.2f} ({shrunk:.2f} s, {small:.2f} s) |")


def _errors(codec: Codec, photographs: list[np.ndarray], qualities: list[int]) -> dict[tuple[int, int], tuple[float, float]]:
    """By factor and quality: mean PSNR in dB of what is decoded and shrunk, and of what is decoded small."""
    pairs_by_case: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for pixels in tqdm(photographs, unit="picture", disable=None):
        for quality in qualities:
            data = codec.encode(pixels, quality)
            whole = codec.decode(data)
            for factor in REDUCTIONS[1:]:
                ways = reduce(whole, factor), codec.decode(data, scale=1 / factor)
                expected = reduce(pixels, factor)
                pair = tuple(psnr_rgb(expected, way) or np.inf for way in ways)
                pairs_by_case.setdefault((factor, quality), []).append(pair)
    return {case: tuple(map(statistics.fmean, zip(*pairs, strict=True))) for case, pairs in pairs_by_case.items()}


def _seconds(codec: Codec, pixels: np.ndarray) -> dict[int, tuple[float, float]]:
    """By factor: least seconds of decoding the whole and shrinking it, and of decoding small."""
    data = codec.encode(pixels, TIMED_QUALITY)
    least = {factor: (np.inf, np.inf) for factor in REDUCTIONS[1:]}
    for _ in range(REPEATS):
        for factor, (shrunk, small) in least.items():
            whole = time_call(lambda factor=factor: reduce(codec.decode(data), factor))
            least[factor] = (
                min(shrunk, whole),
                min(small, time_call(lambda factor=factor: codec.decode(data, scale=1 / factor))),
            )
    return least
