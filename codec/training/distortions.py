"""The distances between pictures that training can lower. Imports no torch, so that a command's help is quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import CaeError

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Distortion:
    """A distance between pictures (B, H, W, 3) float32 in [0, 1], one for each (B,), zero where they are equal.

    It counts `factor` * lambda ** `exponent` bits per pixel, so that the quality levels, whose lambdas are meant for the
    mean squared error, keep about their rates. Pictures need sides of at least `side` pixels.
    """

    measure: Callable[[Tensor, Tensor], Tensor]
    factor: float
    exponent: float = 1.0
    side: int = 1

    def weight(self, rate_weight: Tensor) -> Tensor:
        """What the distance is multiplied by, for lambdas of any shape."""
        return self.factor * rate_weight**self.exponent


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
        raise CaeError("this loss needs pytorch-msssim; install the extra: pip install 'cae-codec[train]'") from None
    return pytorch_msssim


DISTORTIONS = {
    "mse": Distortion(squared_error, 255**2),
    "mae": Distortion(absolute_error, 1080, 0.69),
    "ssim": Distortion(ssim_loss, 195, 0.77, 11),
    "ms-ssim": Distortion(ms_ssim_loss, 1250, 0.945, 161),
}
"""By name; `python -m benchmarks losses` measures factors and exponents, and docs/experiments.md has the measurement."""
