"""Noisy photographs, coded as they are, after non-local means, and by an encoder that leaves noise out."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from codec import CaeError, Codec
from codec.options import DENOISE, QUALITIES

from ..core import images
from ..core.arguments import add_image_arguments, add_weights_argument, integers
from ..core.bd import bd_rate
from ..core.curves import Curve
from ..core.images import crop_middle
from ..core.metrics import Metric, psnr_rgb, ssim

ORDINARY, BEFORE, WITHIN = "as it is", "non-local means", "denoising encoder"
"""Ways to code a noisy picture: the noise as well, after non-local means, by the encoder that is measured."""


@dataclasses.dataclass(frozen=True)
class Noise:
    """Gaussian noise of a standard deviation in 8-bit levels; with `photons` at white, noise of counting them before that."""

    sigma: float
    photons: float | None = None

    def __str__(self) -> str:
        if self.photons is not None:
            return f"Poisson {self.photons:g}, Gaussian {self.sigma:g}"
        return f"Gaussian {self.sigma:g}" if self.sigma else "none"

    def added(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Pixels (H, W, 3) uint8 with noise, clipped and rounded."""
        signal = pixels.astype(np.float64)
        if self.photons is not None:
            signal = rng.poisson(signal * (self.photons / 255)) * (255 / self.photons)
        return np.rint(signal + self.sigma * rng.standard_normal(pixels.shape)).clip(0, 255).astype(np.uint8)


NOISES = (Noise(0), Noise(10), Noise(25), Noise(50), Noise(2.5, 400), Noise(5, 100), Noise(10, 40))


@dataclasses.dataclass(frozen=True)
class DenoisingRow:
    """A picture with a noise, coded in a way at a quality: bits per pixel, PSNR in dB and SSIM against the clean one."""

    picture: str
    noise: str
    way: str
    quality: int
    bpp: float
    psnr: float
    ssim: float

    def beats(self, other: DenoisingRow) -> bool:
        """True if it is smaller than another row, and better by both PSNR and SSIM."""
        return self.bpp < other.bpp and self.psnr > other.psnr and self.ssim > other.ssim


def non_local_means(pixels: np.ndarray) -> np.ndarray:
    """Removes the estimated noise from pixels (H, W, 3) uint8, by scikit-image with the parameters of its examples.

    Buades, Coll and Morel (2005), fast (Darbon et al., 2008), patches of 5 x 5 in 13 x 13 around, h = 0.6 sigma.
    """
    import pywt  # noqa: F401 (estimate_sigma needs it, and its absence is reported here)
    from skimage.restoration import denoise_nl_means, estimate_sigma

    picture = pixels / np.float32(255)
    sigma = float(estimate_sigma(picture, channel_axis=-1, average_sigmas=True))
    parameters = {"patch_size": 5, "patch_distance": 6, "h": 0.6 * sigma, "sigma": sigma, "fast_mode": True}
    # without noise the filter would divide by a width of zero
    denoised = denoise_nl_means(picture, channel_axis=-1, **parameters) if sigma else picture
    return np.rint(255 * denoised).clip(0, 255).astype(np.uint8)


NOISE_METRICS = (Metric("psnr", "PSNR", "PSNR in dB", psnr_rgb), Metric("ssim", "SSIM", "SSIM", ssim))


def measure(
    name: str, clean: np.ndarray, noise: Noise, codecs: tuple[Codec, Codec], qualities: list[int], save: Path | None = None
) -> Iterator[DenoisingRow]:
    """A picture with a noise, coded in each way; `codecs` are the ordinary one and the one that denoises."""
    noisy = noise.added(clean, np.random.default_rng(0))
    ordinary, denoising = codecs
    ways: dict[str, tuple[np.ndarray, Codec]] = {
        ORDINARY: (noisy, ordinary),
        BEFORE: (non_local_means(noisy), ordinary),
        WITHIN: (noisy, denoising),
    }

    def keep(pixels: np.ndarray, what: str) -> None:
        if save:
            Image.fromarray(pixels).save(save / f"{Path(name).stem}, {noise}, {what}.png")

    keep(noisy, "input")
    for way, (pixels, codec) in ways.items():
        for quality in qualities:
            data = codec.encode(pixels, quality)
            # by the ordinary decoder, as everybody reads it
            decoded = ordinary.decode(data)
            keep(decoded, f"{way} {quality}")
            reached = psnr_rgb(clean, decoded)
            bpp = 8 * len(data) / clean[..., 0].size
            yield DenoisingRow(
                name, str(noise), way, quality, bpp, np.inf if reached is None else reached, ssim(clean, decoded)
            )


def summary(rows: list[DenoisingRow]) -> Iterator[str]:
    """Means over pictures as lines of a table in Markdown.

    For each quality after non-local means they tell on how many pictures the encoder is smaller and better at one of its own.
    """
    groups: dict[tuple[str, int, str], list[DenoisingRow]] = {}
    within: dict[tuple[str, str], list[DenoisingRow]] = {}
    for row in rows:
        groups.setdefault((row.noise, row.quality, row.way), []).append(row)
        if row.way == WITHIN:
            within.setdefault((row.noise, row.picture), []).append(row)
    yield "| noise | quality | coded | bpp | PSNR, dB | SSIM | the encoder is smaller and better in both |"
    yield "|---|---:|---|---:|---:|---:|---:|"
    for (noise, quality, way), group in sorted(groups.items(), key=lambda item: _order(*item[0])):
        bpp, psnr, likeness = (statistics.fmean(getattr(row, name) for row in group) for name in ("bpp", "psnr", "ssim"))
        beaten = sum(any(row.beats(other) for row in within[noise, other.picture]) for other in group)
        won = f"{beaten} of {len(group)}" if way == BEFORE else ""
        yield f"| {noise} | {quality} | {way} | {bpp:.3f} | {psnr:.2f} | {likeness:.4f} | {won} |"


def rates(rows: list[DenoisingRow]) -> Iterator[str]:
    """For each noise, as a line, how many per cent more bits the encoder takes than non-local means, at equal PSNR and SSIM.

    They are BD-rates of the curves through means over pictures.
    """
    for noise in dict.fromkeys(row.noise for row in rows):
        curves = [_mean_curve([row for row in rows if (row.noise, row.way) == (noise, way)]) for way in (BEFORE, WITHIN)]
        bd_rates = [bd_rate(*curves, metric) for metric in NOISE_METRICS]
        texts = (each.note if each.percent is None else f"{each.percent:+.1f} %" for each in bd_rates)
        yield f"bits beside {BEFORE}, noise {noise}: " + "; ".join(
            f"at equal {metric.label} {value}" for metric, value in zip(NOISE_METRICS, texts, strict=True)
        )


def _mean_curve(rows: list[DenoisingRow]) -> Curve:
    groups: dict[int, list[DenoisingRow]] = {}
    for row in rows:
        groups.setdefault(row.quality, []).append(row)
    means = sorted(
        tuple(statistics.fmean(getattr(row, name) for row in group) for name in ("bpp", "psnr", "ssim"))
        for group in groups.values()
    )
    bpp, psnr, likeness = zip(*means, strict=True)
    return Curve(rows[0].way, rows[0].way, tuple(groups), bpp, {"psnr": psnr, "ssim": likeness})


def _order(noise: str, quality: int, way: str) -> tuple[int, int, int]:
    return [str(each) for each in NOISES].index(noise), quality, (ORDINARY, BEFORE, WITHIN).index(way)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "The pictures should be clean themselves: those of FOLDER count as free of noise."
    add_image_arguments(parser)
    parser.add_argument(
        "--encoder", default=DENOISE, metavar="NAME|FILE", help="the denoising encoder (default: the installed one)"
    )
    add_weights_argument(parser)
    parser.add_argument(
        "--qualities", default="20,40,60,80", metavar="Q,Q…", help="four at least for BD-rates (default: %(default)s)"
    )
    parser.add_argument("--images", type=int, metavar="N", help="only the first so many pictures")
    parser.add_argument(
        "--side", type=int, metavar="N", help="only the middle of each picture, of at most so many pixels a side"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all processors)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each picture, noise, way and quality")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the pictures there")


def run(arguments: argparse.Namespace) -> None:
    qualities = integers(arguments.qualities, "qualities", QUALITIES)
    if min(arguments.side or 11, arguments.images or 1) < 1 or (arguments.side or 11) < 11:
        raise CaeError("use at least 1 image, and sides of 11 pixels or more, which SSIM needs")
    settings = {"weights": arguments.weights, "device": "cpu", "threads": arguments.threads}
    codecs = Codec(**settings), Codec(**settings, encoder=arguments.encoder)
    samples = images.gather(arguments.dataset, arguments.folder)[: arguments.images]
    if arguments.save:
        arguments.save.mkdir(parents=True, exist_ok=True)
    rows: list[DenoisingRow] = []
    with tqdm(total=len(samples) * len(NOISES), unit="picture", disable=None) as bar:
        for sample in samples:
            clean = crop_middle(sample.load(), arguments.side)
            if min(clean.shape[:2]) < 11:
                raise CaeError(f"{sample.path}: SSIM needs sides of 11 pixels or more")
            for noise in NOISES:
                rows += measure(sample.name, clean, noise, codecs, qualities, arguments.save)
                bar.update()
    if arguments.csv:
        with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(DenoisingRow)])
            writer.writeheader()
            writer.writerows(map(dataclasses.asdict, rows))
    print("\n".join([*summary(rows), "", *rates(rows)]))
