"""How large a picture may be."""

from __future__ import annotations

from ..errors import CaeError
from .geometry import LATENT_STRIDE

PIXELS_MAX = 2**28
"""Largest picture that is read or decoded to one array unless told otherwise."""


def bytes_of(depth: int) -> int:
    """How many bytes a sample of so many bits takes in memory: 1 or 2."""
    return 1 if depth <= 8 else 2


def check_size(width: int, height: int, limit: int, advice: str, depth: int = 8) -> None:
    """CaeError, with the advice at its end, where a picture has more pixels than the limit.

    Sides count as at least one latent position's, since thinner pictures take the memory of such, and pixels of more than 8
    bits a sample, which take twice the bytes, count twice.
    """
    if max(width, LATENT_STRIDE) * max(height, LATENT_STRIDE) * bytes_of(depth) > limit:
        thin = f" (sides under {LATENT_STRIDE} count as {LATENT_STRIDE})" if min(width, height) < LATENT_STRIDE else ""
        twice = f" (of {depth} bits a sample, which count twice)" if bytes_of(depth) > 1 else ""
        raise CaeError(f"{width} x {height} pixels{thin}{twice} are more than the limit of {limit}{advice}")
