"""Pillow images of other colour spaces, converted to gray or RGB."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

from ..runtime.warning import warn

_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
"""As other programs show printers' colours."""


def converted_to(image: Image.Image, mode: str) -> Image.Image:
    """Converts an image to L, LA, RGB or RGBA; CMYK through the image's own ICC profile, if there is one, to sRGB.

    Warns if the profile cannot be used. Pillow's own conversion, which does not know the inks, takes its place.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK" and isinstance(profile, bytes):
        try:
            inks, screen = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            if inks.profile.xcolor_space.strip() == "CMYK":
                return ImageCms.profileToProfile(image, inks, screen, outputMode=mode, flags=_FLAGS)
        except (ImageCms.PyCMSError, OSError) as error:
            message = f"its ICC profile cannot be used ({error}); colours are converted from CMYK without it"
            warn(message)
    # convert would copy an image that has the mode already
    return image if image.mode == mode else image.convert(mode)
