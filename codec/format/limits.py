"""How large a picture may be."""

from __future__ import annotations

from ..errors import CaeError
from .tiling import LATENT_STRIDE

PIXELS_MAX = 2**28
"""Largest picture that is read or decoded to one array unless told otherwise."""


def check_size(width: int, height: int, limit: int, advice: str) -> None:
    """CaeError, with the advice at its end, where a picture has more pixels than the limit.

    Sides count as at least one latent position's, since thinner pictures take the memory of such.
    """
    if max(width, LATENT_STRIDE) * max(height, LATENT_STRIDE) > limit:
        thin = f" (sides under {LATENT_STRIDE} count as {LATENT_STRIDE})" if min(width, height) < LATENT_STRIDE else ""
        raise CaeError(f"{width} x {height} pixels{thin} are more than the limit of {limit}{advice}")
