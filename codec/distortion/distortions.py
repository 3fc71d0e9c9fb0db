"""Distortions that training and the encoder can lower. Imports no torch, so that a command's help is quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import CaeError, extra_advice
from .extension import extend

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Term:
    """A distance between pictures (B, H, W, 3) float32 in [0, 1], one for each (B,), zero where they are equal.

    It counts `factor` * lambda ** `exponent` bits per pixel.
    """

    measure: Callable[[Tensor, Tensor], Tensor]
    factor: float
    exponent: float = 1.0


@dataclasses.dataclass(frozen=True)
class Distortion:
    """A weighted sum of distances. Pictures need sides of at least `side` pixels; `extended` gives them to smaller ones.

    The factors and exponents keep the rates of the quality levels, whose lambdas are meant for the mean squared error.
    """

    terms: tuple[Term, ...]
    side: int = 1

    def distance(self, decoded: Tensor, target: Tensor) -> Tensor:
        """The first term's distance, without its weight (B,)."""
        return self.terms[0].measure(decoded, target)

    def extended(self, picture: Tensor) -> Tensor:
        """Pictures (B, H, W, 3) with sides that are long enough: see `extend`."""
        return extend(picture, self.side)

    def weighted(self, decoded: Tensor, target: Tensor, lmbda: Tensor | float) -> tuple[Tensor, Tensor]:
        """The weighted sum (B,) in bits per pixel for lambdas, (B,) or one, and the first term's unweighted distance (B,)."""
        distances = [term.measure(decoded, target) for term in self.terms]
        weights = [term.factor * lmbda**term.exponent for term in self.terms]
        return sum(weight * distance for weight, distance in zip(weights, distances, strict=True)), distances[0]


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error."""
    return (a - b).square().mean((1, 2, 3))


def absolute_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute error."""
    return (a - b).abs().mean((1, 2, 3))


def ssim_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - SSIM, windows of 11 pixels (Wang et al., 2004), mean of the three channels."""
    similarity = _library().ssim(*_planes(a, b), data_range=1, size_average=False, nonnegative_ssim=True)
    return 1 - similarity


def ms_ssim_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - MS-SSIM, five scales (Wang et al., 2003), mean of the three channels."""
    return 1 - _library().ms_ssim(*_planes(a, b), data_range=1, size_average=False)


def _planes(*pictures: Tensor) -> list[Tensor]:
    return [picture.permute(0, 3, 1, 2) for picture in pictures]


def _library():
    try:
        import pytorch_msssim
    except ImportError:
        raise CaeError(f"SSIM and MS-SSIM need pytorch-msssim; {extra_advice('torch')}") from None
    return pytorch_msssim


def ssimulacra2_loss(decoded: Tensor, target: Tensor) -> Tensor:
    """About 100 - SSIMULACRA 2 of the decoded pictures: see `ssimulacra2.loss`."""
    from . import ssimulacra2

    return ssimulacra2.loss(target, decoded)


def luma_error(a: Tensor, b: Tensor) -> Tensor:
    """Squared error of luma (BT.601): half its mean, half its root mean square over squares of 8 x 8 pixels.

    The second half is owned by the worst squares. At the right and at the bottom these may be smaller.
    """
    from torch.nn import functional

    squared = _luma(a - b).square()
    squares = functional.avg_pool2d(squared[:, None], 8, ceil_mode=True)[:, 0]
    # the slope of the root has no bound at zero
    return 0.5 * squared.mean((1, 2)) + 0.5 * (squares.square().mean((1, 2)) + 1e-16).sqrt()


def chroma_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error of what remains when the luma is subtracted from each channel."""
    error = a - b
    return (error - _luma(error)[..., None]).square().mean((1, 2, 3))


def _luma(x: Tensor) -> Tensor:
    return x @ x.new_tensor((0.299, 0.587, 0.114))


_MS_SSIM_SIDE = 161
"""Pixels of a side from which on the fifth scale of MS-SSIM has room for a window of 11."""
DISTORTIONS = {
    "mse": Distortion((Term(squared_error, 255**2),)),
    "mae": Distortion((Term(absolute_error, 1080, 0.69),)),
    "ssim": Distortion((Term(ssim_loss, 195, 0.77),), side=11),
    "ms-ssim": Distortion((Term(ms_ssim_loss, 1250, 0.945),), side=_MS_SSIM_SIDE),
    "eye": Distortion(
        (
            Term(ssimulacra2_loss, 0.45 * 0.313, 0.76),
            Term(ms_ssim_loss, 0.25 * 1250, 0.945),
            Term(luma_error, 0.4 * 255**2),
            Term(chroma_error, 0.4 * 500**-0.3 * 255**2, 0.7),
        ),
        side=_MS_SSIM_SIDE,
    ),
}
"""By name; `python -m benchmarks losses` measures factors and exponents, and docs/experiments.md has the measurement.

"eye" is for people who look at the pictures; 0.45, 0.25 and 0.4 are parts of the weights that its distances have alone.
SSIMULACRA 2 agrees with people's judgements more closely than PSNR or SSIM. Alone it would let errors grow to which it is
blind. So errors of luma, above all those of the worst places, and of colour keep the decoder near to the original. Colour
counts less the higher the rate: its whole squared error took bits that most scores would rather see in luma.
"""


def distortion_bits(decoded: Tensor, original: Tensor, objective: str, lmbda: float) -> Tensor:
    """Bits that the distortion of a picture (H, W, 1 or 3) in [0, 1] is worth under one of `DISTORTIONS`, for a lambda."""
    distortion = DISTORTIONS[objective]
    pictures = (distortion.extended(picture.expand(*picture.shape[:2], 3)[None]) for picture in (decoded, original))
    bits, _ = distortion.weighted(*pictures, lmbda)
    return bits.sum() * original[..., 0].numel()
