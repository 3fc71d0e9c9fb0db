"""Pictures turned upright, for formats that cannot hold an orientation."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageOps

from ..metadata import EXIF, XMP
from ..runtime.warning import warn
from .metadata import metadata_for_pillow, orientation
from .picture import Picture


def upright(picture: Picture) -> Picture:
    """Returns the picture as viewers show it, without its orientation; the same if it is upright.

    An EXIF block that is too damaged to be written again is left out, with a warning.
    """
    turned = orientation(picture.metadata)
    if turned == 1:
        return picture
    return dataclasses.replace(picture, pixels=turn(picture.pixels, turned), metadata=_without_orientation(picture.metadata))


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors pixels (h, w, channels) of an EXIF orientation, 1 to 8, so that they are upright."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _without_orientation(metadata: dict[str, bytes]) -> dict[str, bytes]:
    image = Image.new("L", (1, 1))
    image.info |= metadata_for_pillow(metadata)
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # Pillow reads some damaged blocks that it cannot write
        warn(f"the {EXIF.label} is damaged and left out ({error})")
        return {name: content for name, content in metadata.items() if name not in (EXIF.name, XMP.name)}
    changed = dict(metadata)
    for section in (EXIF, XMP):
        if section.name in metadata:
            changed[section.name] = image.info[section.pillow_key]
    return changed
