"""Pillow images of other colour spaces as gray or RGB."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageCms

_BEST = ImageCms.Flags.BLACKPOINTCOMPENSATION
"""As printers' colours are shown by other programs."""


def converted_to(image: Image.Image, mode: str) -> Image.Image:
    """An image as L, LA, RGB or RGBA; CMYK goes through the image's own ICC profile, where there is one, to sRGB.

    Warns where the profile cannot be used, and takes Pillow's conversion, which knows no inks.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK" and profile:
        try:
            inks, screen = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            if inks.profile.xcolor_space.strip() == "CMYK":
                return ImageCms.profileToProfile(image, inks, screen, outputMode=mode, flags=_BEST)
        except (ImageCms.PyCMSError, OSError) as error:
            message = f"its ICC profile cannot be used ({error}); colours are converted from CMYK without it"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
    # convert would copy a picture that has the mode already
    return image if image.mode == mode else image.convert(mode)
