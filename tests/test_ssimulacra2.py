"""SSIMULACRA 2 in training: the score of the package of that name, and gradients that can be followed."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks.core.metrics import ssimulacra2
from codec.distortion.ssimulacra2 import loss, score


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels[None] / np.float32(255))


def blurred(pixels: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(pixels, (1.5, 1.5, 0))


def noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


def posterised(pixels: np.ndarray) -> np.ndarray:
    return pixels // 24 * 24 + 12


@pytest.mark.parametrize("distort", [blurred, noisy, posterised])
@pytest.mark.parametrize("size", [(256, 256), (300, 451)])
def test_it_is_the_packages_score(chelsea, distort, size):
    pixels = chelsea[: size[0], : size[1]]
    ours = score(tensor(pixels), tensor(distort(pixels))).item()
    assert ours == pytest.approx(ssimulacra2(pixels, distort(pixels)), abs=0.05)


def test_pictures_of_a_batch_are_scored_alone(astronaut):
    first, second = astronaut[:128, :128], astronaut[128:256, :128]
    originals = torch.cat([tensor(first), tensor(second)])
    distorted = torch.cat([tensor(blurred(first)), tensor(noisy(second))])
    alone = [score(originals[n : n + 1], distorted[n : n + 1]).item() for n in (0, 1)]
    assert score(originals, distorted).tolist() == pytest.approx(alone, abs=0.01)


def test_equal_pictures(astronaut):
    """They have the score 100, no loss, and finite gradients, but for rounding."""
    x = tensor(astronaut[:128, :128])
    decoded = x.clone().requires_grad_()
    measured = loss(x, decoded)
    (gradient,) = torch.autograd.grad(measured.sum(), decoded)
    assert score(x, x).item() == pytest.approx(100, abs=0.05) and 0 <= measured.item() < 0.01
    assert gradient.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_plain_pictures_have_finite_gradients(value):
    x, decoded = torch.full((1, 64, 64, 3), value), torch.full((1, 64, 64, 3), -0.1, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(x, decoded).sum(), decoded)
    assert gradient.isfinite().all()


def test_the_gradient_leads_to_a_better_score(astronaut):
    x = tensor(astronaut[:128, :128])
    decoded = tensor(noisy(astronaut[:128, :128])).requires_grad_()
    before = score(x, decoded).item()
    (gradient,) = torch.autograd.grad(loss(x, decoded).sum(), decoded)
    with torch.no_grad():
        after = score(x, decoded - 0.5 / 255 * gradient / gradient.abs().mean()).item()
    assert after > before
