"""Limits on the size of a picture."""

from __future__ import annotations

from ..errors import TooLargeError
from .geometry import LATENT_STRIDE

PIXELS_MAX = 2**28
"""Default for the largest picture that is read or decoded to one array."""


def bytes_of(depth: int) -> int:
    """Bytes that a sample of `depth` bits takes in memory: 1 or 2."""
    return 1 if depth <= 8 else 2


def check_size(width: int, height: int, limit: int, advice: str = "", depth: int = 8) -> None:
    """Raises TooLargeError, with the advice, where a picture has more pixels than the limit.

    Sides count as one latent position's at least, since thinner pictures take as much memory. Pixels of more than 8 bits a
    sample take twice the bytes, and count twice.
    """
    if max(width, LATENT_STRIDE) * max(height, LATENT_STRIDE) * bytes_of(depth) > limit:
        thin = f" (sides under {LATENT_STRIDE} count as {LATENT_STRIDE})" if min(width, height) < LATENT_STRIDE else ""
        twice = f" (of {depth} bits a sample, which count twice)" if bytes_of(depth) > 1 else ""
        raise TooLargeError(f"{width} x {height} pixels{thin}{twice} are more than the limit of {limit}", advice)
