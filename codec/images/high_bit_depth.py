"""Files of high bit depth that Pillow rounds and that no reader takes in bands: read by imagecodecs, if it is installed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import CaeError, extra_advice
from .bit_depth import bits_in_file
from .colour_space import read_colour_space
from .metadata import read_metadata
from .picture import Picture, from_array
from .samples import scaled

_DECODERS = {"AVIF": "avif_decode", "JPEG2000": "jpeg2k_decode", "JXL": "jpegxl_decode"}
"""Names of imagecodecs' functions by Pillow's names of formats."""


def read_high_bit_depth(image: Image.Image, path: Path) -> Picture:
    """Reads the picture of a file that Pillow has opened, scaled to 16 bits a channel.

    Raises:
        CaeError: if imagecodecs is missing or does not read the file; the message says what to do.
    """
    advice = "save it as a 16-bit PNG or TIFF, or convert it to 8 bits"
    name = _DECODERS.get(image.format or "")
    if name is None:
        raise CaeError(f"{image.format} files of more than 8 bits a channel are not read; {advice}")
    try:
        import imagecodecs
    except ImportError:
        advice = f"{extra_advice('deep')}; or {advice}"
        raise CaeError(f"this {image.format} file has more than 8 bits a channel, which needs imagecodecs; {advice}") from None
    bits = bits_in_file(image)
    pixels = getattr(imagecodecs, name)(path.read_bytes())
    if pixels.dtype != np.uint16 or pixels.shape[:2] != (image.height, image.width):
        raise CaeError(f"this {image.format} file holds {pixels.dtype} {pixels.shape}; {advice}")
    picture = from_array(scaled(np.minimum(pixels, 2**bits - 1), 2**bits - 1, 16))
    return dataclasses.replace(picture, metadata=read_metadata(image) | read_colour_space(image), own_depth=bits)
