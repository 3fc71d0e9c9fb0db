"""Samples that Pillow hands out otherwise than the file means them, put right."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageFile

from ..errors import CaeError
from .bit_depth import reopened
from .tiff_tags import WHITE_IS_ZERO, Tag

_SIGNED = 2
"""Value of `Tag.SAMPLE_FORMAT` for signed integers."""
_LEVELS = {"1": 2, "L;2": 4, "L;4": 16}
"""Levels of gray in PNG files of few bits, by the names that Pillow's decoder has for them."""


def refuse_signed(image: Image.Image) -> None:
    """Raises CaeError for a TIFF image of signed samples, whose -1 Pillow hands out as 255."""
    if image.format == "TIFF" and _SIGNED in _tag(image, Tag.SAMPLE_FORMAT, ()):
        raise CaeError("its samples are signed or complex numbers; save them as unsigned integers of 8 or 16 bits")


def gray_of_16_bits(image: Image.Image) -> np.ndarray:
    """Returns the samples of an image of mode I;16 as its file means them: (h, w) uint16, 0 is black."""
    samples = np.asarray(image).astype(np.uint16, copy=False)
    is_inverted = image.format == "TIFF" and _tag(image, Tag.PHOTOMETRIC, 1) == WHITE_IS_ZERO
    return samples ^ 0xFFFF if is_inverted else samples


def alpha_of_16_bits(image: Image.Image) -> np.ndarray | None:
    """Returns the alpha of an image of mode I;16 in which one level is transparent: (h, w) uint16; None without one."""
    level = image.info.get("transparency")
    return (np.asarray(image) != level) * np.uint16(65535) if isinstance(level, int) else None


def with_transparency_in_8_bits(image: Image.Image) -> Image.Image:
    """Returns the image; of a PNG of 2 or 4 bits, a copy whose transparent level is one of 8 bits, as its samples are."""
    level = image.info.get("transparency")
    if image.format != "PNG" or image.mode != "L" or not isinstance(level, int):
        return image
    levels = _png_levels(image)
    if levels == 256:
        return image
    copy = image.copy()
    copy.info["transparency"] = level % levels * (255 // (levels - 1))
    return copy


def _png_levels(image: Image.Image) -> int:
    """Returns the levels of gray in a PNG file; 256 if the file is not at hand any more."""
    if not isinstance(image, ImageFile.ImageFile):
        return 256
    if image.tile:
        return _LEVELS.get(image.tile[0][3], 256)
    with reopened(image) as again:
        return 256 if again is None else _LEVELS.get(again[0].tile[0][3], 256)


def _tag(image: Image.Image, number: int, default: Any) -> Any:
    return getattr(image, "tag_v2", {}).get(number, default)
