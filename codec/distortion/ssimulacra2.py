"""SSIMULACRA 2.1 as a differentiable score (Jon Sneyers, Cloudinary, 2023; BSD-3-Clause).

The error is a weighted sum over six scales and the three planes of the colour space XYB. Each plane contributes three errors:
the structural one (1 - SSIM), edges that the distorted picture adds, and edges that it loses. Each counts as a mean and as a
norm of the fourth power. Constants are those of the reference implementation, borders those of the package `ssimulacra2`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from .extension import extend

SCALE_COUNT = 6
SCALE_SIDE_MIN = 8
"""Pixels of the short side below which a scale is left out."""
BLUR_SIGMA, BLUR_RADIUS = 1.5, 5
OPSIN = ((0.30, 0.622, 0.078), (0.23, 0.692, 0.078), (0.24342268924547819, 0.20476744424496821, 0.5518098665095536))
"""Linear RGB to the responses of the three kinds of cones."""
OPSIN_BIAS = 0.0037930732552754493
SSIM_C2 = 0.0009
POLYNOMIAL = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)
ERROR_GAIN = 0.9562382616834844
SCORE_EXPONENT = 0.6276336467831387
SOFTENING = 0.1
"""Added to the error before the last power, whose slope has no bound at zero."""
NORM_SOFTENING = 1e-24
"""Added to the mean of fourth powers before the root."""
NEGLIGIBLE = 0.003
"""Weights up to this count as zero: together they change a score by 0.001, and they would take 40 % of the time."""
# per plane (X, Y, B), per scale: SSIM, added edges, lost edges by their means; then the same by their fourth powers
WEIGHTS = (
    (
        (0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0),
        (0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
        (0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0),
        (0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0),
        (0.0007289346991508072, 0.9677937080626833, 0.0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053),
        (0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0),
    ),
    (
        (0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262),
        (0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264),
        (225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
        (176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
        (0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    (
        (0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0),
        (0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0),
        (
            95.1080498811086,
            0.9863978034400682,
            0.9834382792465353,
            0.0012286405048278493,
            171.2667255897307,
            0.9807858872435379,
        ),
        (0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537),
    ),
)


def score(original: Tensor, distorted: Tensor) -> Tensor:
    """Scores distorted pictures (B, H, W, 3) in [0, 1], sRGB, against their originals: (B,), 100 where they are equal."""
    return _score(error(original, distorted))


def loss(original: Tensor, distorted: Tensor) -> Tensor:
    """About 100 - `score`, with a bounded slope where pictures are nearly equal: (B,), zero where they are equal."""
    softened = (error(original, distorted).clamp_min(0) + SOFTENING) ** SCORE_EXPONENT
    return 10 * (softened - SOFTENING**SCORE_EXPONENT)


def as_colours(pixels: np.ndarray, largest: int) -> Tensor:
    """Samples (H, W, 1 or 3), 0 to `largest`, as a piece for `score_in_pieces`: (H, W, 3) in [0, 1]."""
    values = torch.from_numpy(pixels.astype(np.float32) / largest)
    return values.expand(*values.shape[:2], 3)


def score_in_pieces(pieces: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The score of one picture from pieces of it, each as original and distorted (H, W, 3) in [0, 1].

    Pieces may differ in size. Only at their borders it is not quite the score of the whole.
    """
    totals: list[Tensor | float] = [0.0] * SCALE_COUNT
    areas = [0] * SCALE_COUNT
    for original, distorted in pieces:
        area = original[..., 0].numel()
        # not around the making of the pieces, which may be a decode
        with torch.no_grad():
            for scale, statistics in enumerate(_statistics(original[None], distorted[None])):
                totals[scale] = totals[scale] + area * statistics
                areas[scale] += area
    return float(_score(_error([total / area for total, area in zip(totals, areas, strict=True) if area])))


def error(original: Tensor, distorted: Tensor) -> Tensor:
    """The weighted error (B,) of pictures (B, H, W, 3), before the power that makes it a score."""
    return _error(list(_statistics(original, distorted)))


def _score(error: Tensor) -> Tensor:
    return 100 - 10 * error.clamp_min(0) ** SCORE_EXPONENT


def _error(statistics: Sequence[Tensor]) -> Tensor:
    """The weighted error (B,) of each scale's statistics (B, 3, 3, 2)."""
    total = torch.zeros(1)
    for scale, each in enumerate(statistics):
        # the slope of the fourth root has no bound at zero
        norms = (each[..., 1] + NORM_SOFTENING) ** 0.25 - NORM_SOFTENING**0.25
        weights = torch.tensor(WEIGHTS, dtype=torch.float32, device=each.device)[:, scale]
        total = total.to(each.device) + (torch.cat([each[..., 0], norms], 2) * weights).sum((1, 2))
    total = ERROR_GAIN * total
    first, second, third = POLYNOMIAL
    return total * (first + total * (second + total * third))


def _statistics(original: Tensor, distorted: Tensor) -> Iterator[Tensor]:
    """Yields for each scale (B, 3, 3, 2): by plane and kind of error, the mean and the mean of the fourth power.

    Smaller pictures than the first scale takes are continued by their last rows and columns.
    """
    pictures = [_linear(extend(picture, SCALE_SIDE_MIN).permute(0, 3, 1, 2)) for picture in (original, distorted)]
    for scale in range(SCALE_COUNT):
        if min(pictures[0].shape[2:]) < SCALE_SIDE_MIN:
            break
        if scale:
            pictures = [torch.nn.functional.avg_pool2d(picture, 2, ceil_mode=True) for picture in pictures]
        planes = zip(*(_xyb(picture).split(1, 1) for picture in pictures), WEIGHTS, strict=True)
        yield torch.stack([_plane_statistics(a, b, weights[scale]) for a, b, weights in planes], 1)


def _plane_statistics(a: Tensor, b: Tensor, weights: Sequence[float]) -> Tensor:
    """The means and the means of fourth powers of the three kinds of errors of planes (B, 1, H, W): (B, 3, 2).

    They are zero for kinds of negligible weight, which are not computed.
    """
    structure, added, lost = (max(pair) > NEGLIGIBLE for pair in zip(weights[:3], weights[3:], strict=True))
    if not (structure or added or lost):
        return a.new_zeros(len(a), 3, 2)
    mean_a, mean_b = _blur(torch.cat([a, b], 1)).split(1, 1)
    maps = torch.cat([
        _dissimilarity(a, b, mean_a, mean_b) if structure else torch.zeros_like(a),
        *(_edges(a, b, mean_a, mean_b) if added or lost else 2 * [torch.zeros_like(a)]),
    ], 1)  # fmt: skip
    return torch.stack([maps.mean((2, 3)), maps.square().square().mean((2, 3))], 2)


def _linear(x: Tensor) -> Tensor:
    """sRGB values to linear ones; values below 0 become 0."""
    x = x.clamp_min(0)
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def _xyb(linear: Tensor) -> Tensor:
    """Linear RGB (B, 3, H, W) in JPEG XL's colour space XYB, shifted and scaled so that all planes are positive."""
    matrix = torch.tensor(OPSIN, dtype=linear.dtype, device=linear.device)
    mixed = torch.einsum("ij,bjhw->bihw", matrix, linear) + OPSIN_BIAS
    root = mixed.clamp_min(1e-6) ** (1 / 3) - OPSIN_BIAS ** (1 / 3)
    long, middle, short = root.unbind(1)
    y = 0.5 * (long + middle)
    return torch.stack([7 * (long - middle) + 0.42, y + 0.01, short - y + 0.55], 1)


def _dissimilarity(a: Tensor, b: Tensor, mean_a: Tensor, mean_b: Tensor) -> Tensor:
    """1 - SSIM of planes (B, 1, H, W) with these local means."""
    aa, bb, ab = _blur(torch.cat([a * a, b * b, a * b], 1)).split(1, 1)
    luminance = 1 - (mean_a - mean_b).square()
    structure = (2 * (ab - mean_a * mean_b) + SSIM_C2) / (aa - mean_a.square() + bb - mean_b.square() + SSIM_C2)
    return (1 - luminance * structure).clamp_min(0)


def _edges(a: Tensor, b: Tensor, mean_a: Tensor, mean_b: Tensor) -> tuple[Tensor, Tensor]:
    """Edges that planes b (B, 1, H, W) add to planes a, and those that they lose."""
    change = (1 + (b - mean_b).abs()) / (1 + (a - mean_a).abs()) - 1
    return change.clamp_min(0), (-change).clamp_min(0)


def _blur(x: Tensor) -> Tensor:
    """Gaussian blur of planes (B, C, H, W): mirrored above and below, zero at the left and right."""
    rows, columns = (_blur_matrix(side, mirrored).to(x) for side, mirrored in ((x.shape[2], True), (x.shape[3], False)))
    return rows @ x @ columns.T


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)
def _blur_matrix(side: int, mirrored: bool) -> Tensor:
    """The blur of one axis as a matrix (side, side), since processors are best at products of dense matrices."""
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1)
    kernel = torch.exp(-0.5 * (offsets / BLUR_SIGMA).double() ** 2)
    kernel = kernel / kernel.sum()
    places = torch.arange(side)[:, None] + offsets
    inside = (places >= 0) & (places < side)
    places = torch.where(places < 0, -1 - places, torch.where(places >= side, 2 * side - 1 - places, places))
    values = kernel.expand(side, -1) * (torch.ones_like(inside) if mirrored else inside)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, places.clamp(0, side - 1), values).float()
