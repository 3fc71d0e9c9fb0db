"""Files of high bit depth that Pillow rounds and that no reader takes in bands, read by other packages where installed."""

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
        CaeError: if a package is missing or does not read the file; the message says what to do.
    """
    advice = "save it as a 16-bit PNG or TIFF, or convert it to 8 bits"
    if image.format == "HEIF":
        bits, pixels = _read_heif(image, path)
    elif (name := _DECODERS.get(image.format or "")) is not None:
        bits, pixels = bits_in_file(image), _read_by_imagecodecs(image, path, name, advice)
    else:
        raise CaeError(f"{image.format} files of more than 8 bits a channel are not read; {advice}")
    if pixels.dtype != np.uint16 or pixels.shape[:2] != (image.height, image.width):
        raise CaeError(f"this {image.format} file holds {pixels.dtype} {pixels.shape}; {advice}")
    picture = from_array(scaled(np.minimum(pixels, 2**bits - 1), 2**bits - 1, 16))
    return dataclasses.replace(picture, metadata=read_colour_space(image) | read_metadata(image), own_depth=bits)


def _read_by_imagecodecs(image: Image.Image, path: Path, name: str, advice: str) -> np.ndarray:
    try:
        import imagecodecs
    except ImportError:
        advice = f"{extra_advice('deep')}; or {advice}"
        raise CaeError(f"this {image.format} file has more than 8 bits a channel, which needs imagecodecs; {advice}") from None
    return getattr(imagecodecs, name)(path.read_bytes())


def _read_heif(image: Image.Image, path: Path) -> tuple[int, np.ndarray]:
    """Returns the bits of a sample and the pixels, by the package whose plugin has opened the file."""
    import pillow_heif

    opened = pillow_heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    return opened.info["bit_depth"], np.asarray(opened)
