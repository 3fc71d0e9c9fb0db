"""Limits on pictures that are read and written in bands."""

from __future__ import annotations

from ...format.limits import PIXELS_MAX, check_size

WHOLE_MAX = 2**24
"""Largest picture, in pixels, that is read and written whole although its format can be streamed."""
BAND_ROWS = 4096
"""Rows of a band, for its limit: a row of the largest tiles, and its neighbours."""
STREAMABLE = "TIFF, PNG, PPM, PGM and .npy files are read and written by pieces at any size"
"""For advice in errors."""


def check_band_size(width: int, height: int, pixels_max: int | None, depth: int = 8) -> None:
    """Raises TooLargeError if a picture is larger than the limit; without one (None), if a band of it is too large."""
    if pixels_max is not None:
        check_size(width, height, pixels_max, depth=depth)
        return
    advice = f" in a band of {BAND_ROWS} rows, which is held at a time; raise the limit for the whole picture"
    check_size(width, min(height, BAND_ROWS), PIXELS_MAX, advice, depth)
