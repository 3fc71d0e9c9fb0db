"""Pictures: Pillow images and arrays on one side, colour, alpha and metadata apart on the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from PIL import Image

from ..errors import CaeError
from .depth import is_deep

_GRAY_MODES = ("1", "L", "LA", "La")
# colour spaces of whose ICC profiles none fits the RGB that the pixels become
_FOREIGN_MODES = ("CMYK", "YCbCr", "LAB", "HSV")
ORIENTATION = 274
# tags that describe the picture; TIFF files mix them with tags that describe how its pixels are stored
_EXIF_TAGS = (270, 271, 272, 274, 305, 306, 315, 33432, 34665, 34853)


@dataclasses.dataclass(frozen=True)
class Picture:
    """Colour (H, W, 1 or 3) uint8, alpha (H, W) uint8 or None, and metadata by section name (`iccp`, `exif`, `xmp `)."""

    colour: np.ndarray
    alpha: np.ndarray | None = None
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def pixels(self) -> np.ndarray:
        """Colour and alpha together, (H, W, 1 to 4)."""
        return self.colour if self.alpha is None else np.concatenate([self.colour, self.alpha[..., None]], -1)


def from_array(pixels: np.ndarray) -> Picture:
    """A picture of a uint8 array (H, W), (H, W, 1), (H, W, 2: gray, alpha), (H, W, 3) or (H, W, 4: RGB, alpha)."""
    if pixels.dtype != np.uint8:
        raise CaeError(f"the array holds {pixels.dtype}; convert it to uint8, 0 to 255")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise CaeError(f"the array has shape {pixels.shape}; use (height, width) or (height, width, 1 to 4 channels)")
    if 0 in pixels.shape:
        raise CaeError(f"the array has shape {pixels.shape}: a picture needs at least one pixel")
    if pixels.shape[2] in (2, 4):
        return Picture(pixels[..., :-1], pixels[..., -1])
    return Picture(pixels)


def to_array(picture: Picture) -> np.ndarray:
    """Inverse of `from_array`; gray without alpha comes as (H, W)."""
    pixels = picture.pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def from_pillow(image: Image.Image) -> Picture:
    """A picture of a Pillow image with 8 bits a channel, its alpha and its metadata.

    Raises:
        CaeError: for damage, and for more than 8 bits a channel as far as `is_deep` can find it out.
    """
    if 0 in image.size:
        raise CaeError(f"the image is {image.width} x {image.height}: a picture needs at least one pixel")
    try:
        refuse_deep(image)
        mode = mode_for(image)
        # convert would copy a picture that has the mode already
        pixels = np.asarray(image if image.mode == mode else image.convert(mode))
        metadata = metadata_of(image)
    except CaeError:
        raise
    # Pillow's many formats raise many kinds of errors for damaged files
    except Exception as error:
        raise CaeError(f"damaged image ({error})") from None
    return dataclasses.replace(from_array(pixels), metadata=metadata)


def refuse_deep(image: Image.Image) -> None:
    """CaeError for more than 8 bits a channel, as far as `is_deep` can find it out."""
    if is_deep(image):
        raise CaeError("the image has more than 8 bits a channel; convert it to 8 bits first")


def mode_for(image: Image.Image) -> str:
    """L, LA, RGB or RGBA: what a Pillow image, loaded or not, becomes."""
    mode = "L" if image.mode in _GRAY_MODES else "RGB"
    return {"L": "LA", "RGB": "RGBA"}[mode] if image.has_transparency_data else mode


def metadata_of(image: Image.Image) -> dict[str, bytes]:
    """Metadata of a Pillow image, loaded or not, by section name."""
    found = {}
    if image.mode not in _FOREIGN_MODES and (profile := image.info.get("icc_profile")):
        found["iccp"] = bytes(profile)
    if exif := image.info.get("exif") or _rebuilt_exif(image):
        found["exif"] = bytes(exif)
    if xmp := image.info.get("xmp"):
        found["xmp "] = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    return found


def _rebuilt_exif(image: Image.Image) -> bytes:
    """An EXIF block of those tags that tell of the picture, for formats that hold tags but no block; b"" without any."""
    tags = image.getexif()
    kept = Image.Exif()
    for tag in _EXIF_TAGS:
        if tag in tags:
            kept[tag] = tags.get_ifd(tag) if tag in (34665, 34853) else tags[tag]
    try:
        return kept.tobytes() if len(kept) else b""
    except Exception:  # values of the wrong type in a damaged file
        return b""


def to_pillow(picture: Picture) -> Image.Image:
    """A Pillow image (L, LA, RGB or RGBA) with the metadata in its `info`."""
    image = Image.fromarray(to_array(picture))
    image.info |= metadata_for_pillow(picture.metadata)
    return image


def metadata_for_pillow(metadata: Mapping[str, bytes]) -> dict[str, bytes]:
    """Metadata by section name as Pillow calls them in `info`."""
    names = {"icc_profile": "iccp", "exif": "exif", "xmp": "xmp "}
    return {key: metadata[name] for key, name in names.items() if name in metadata}


def orientation(metadata: Mapping[str, bytes]) -> int:
    """How EXIF or XMP say that a picture is to be turned: 1 (not at all) to 8."""
    image = Image.new("L", (1, 1))
    image.info |= metadata_for_pillow(metadata)
    try:
        found = image.getexif().get(ORIENTATION, 1)
        return int(found) if found in range(1, 9) else 1
    except Exception:  # a damaged EXIF block
        return 1
