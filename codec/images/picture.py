"""Pictures: Pillow images and arrays on one side, colour, alpha and metadata apart on the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from PIL import Image

from ..errors import CaeError
from .bit_depth import bits_in_file, is_high_bit_depth
from .conversion import converted_to
from .samples import bits_of, converted, depth_of_file, scaled

_GRAY_MODES = ("1", "L", "LA", "La")
# colour spaces of whose ICC profiles none fits the RGB that the pixels become
_FOREIGN_MODES = ("CMYK", "YCbCr", "LAB", "HSV")
ORIENTATION = 274
# tags that describe the picture; TIFF files mix them with tags that describe how its pixels are stored
_EXIF_TAGS = (270, 271, 272, 274, 305, 306, 315, 33432, 34665, 34853)


@dataclasses.dataclass(frozen=True)
class Picture:
    """Colour (H, W, 1 or 3), alpha (H, W) or None, and metadata by section name (`iccp`, `exif`, `xmp `).

    Of 8 bits a sample both are uint8, of a `depth` of 9 to 16 uint16. `own_depth` is how many bits samples of 16 had in a file
    that names them, from which they were scaled.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)
    depth: int = 8
    own_depth: int = 16

    @property
    def pixels(self) -> np.ndarray:
        """Colour and alpha together, (H, W, 1 to 4)."""
        return self.colour if self.alpha is None else np.concatenate([self.colour, self.alpha[..., None]], -1)

    def in_own_depth(self, wanted: int | None) -> Picture:
        """The same picture, with the bits that its file names where these are wanted; CaeError where others are."""
        if self.own_depth == 16:
            return self
        depth = depth_of_file(self.own_depth, wanted)
        alpha = None if self.alpha is None else converted(self.alpha, 16, depth)
        return dataclasses.replace(self, colour=converted(self.colour, 16, depth), alpha=alpha, depth=depth, own_depth=16)


def from_array(pixels: np.ndarray, depth: int | None = None) -> Picture:
    """A picture of an array (H, W), (H, W, 1), (H, W, 2: gray, alpha), (H, W, 3) or (H, W, 4: RGB, alpha).

    It is uint8, or uint16, whose samples have 16 bits or as many as `depth` says.
    """
    check_array(pixels.shape, pixels.dtype)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    depth = bits_of(pixels.dtype) if depth is None else depth
    if pixels.shape[2] in (2, 4):
        return Picture(pixels[..., :-1], pixels[..., -1], depth=depth)
    return Picture(pixels, depth=depth)


def check_array(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """CaeError where an array is no picture."""
    if dtype.kind == "f":
        advice = "if it reaches from 0 to 1, take (pixels * 65535).round().astype(numpy.uint16)"
        raise CaeError(f"the array holds {dtype}; convert it to uint8 or uint16: {advice}")
    if dtype.kind != "u" or dtype.itemsize > 2:
        raise CaeError(f"the array holds {dtype}; convert it to uint8, 0 to 255, or to uint16, 0 to 65535")
    if len(shape) == 3 and shape[2] > 4:
        advice = "encode each band, pixels[..., k], or three of them, or use codec.zarr, which takes any axes"
        if shape[0] <= 4:
            advice = "if they come first, take numpy.moveaxis(pixels, 0, -1)"
        raise CaeError(f"the array has shape {shape}: a picture has 1 to 4 channels, which come last; {advice}")
    if len(shape) not in (2, 3):
        raise CaeError(f"the array has shape {shape}; use (height, width) or (height, width, 1 to 4 channels)")
    if 0 in shape:
        raise CaeError(f"the array has shape {shape}: a picture needs at least one pixel")


def to_array(picture: Picture) -> np.ndarray:
    """Inverse of `from_array`; gray without alpha comes as (H, W)."""
    pixels = picture.pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def from_pillow(image: Image.Image) -> Picture:
    """A picture of a Pillow image, its alpha and its metadata: of 8 bits a channel, or in mode I;16 of 16.

    Raises:
        CaeError: for damage, and for other images of more than 8 bits a channel as far as `is_high_bit_depth` can find it out.
    """
    if 0 in image.size:
        raise CaeError(f"the image is {image.width} x {image.height}: a picture needs at least one pixel")
    try:
        own_depth = 16
        if image.mode.startswith("I;16"):
            own_depth = bits_in_file(image)  # before it is loaded, when the file may be closed
            pixels = _without_shift(np.asarray(image), own_depth)
        else:
            refuse_high_bit_depth(image)
            pixels = np.asarray(converted_to(image, mode_for(image)))
        metadata = metadata_of(image)
    except CaeError:
        raise
    # Pillow's many formats raise many kinds of errors for damaged files
    except Exception as error:
        raise CaeError(f"damaged image ({error})") from None
    return dataclasses.replace(from_array(pixels), metadata=metadata, own_depth=own_depth)


def _without_shift(samples: np.ndarray, bits: int) -> np.ndarray:
    """Gray samples scaled to 16 bits, which Pillow shifts: the largest of 12 bits would be 65520."""
    shift = 16 - bits
    # other ones are those of a program that has changed the picture
    return samples if (samples & (1 << shift) - 1).any() else scaled(samples >> shift, 2**bits - 1, 16)


def refuse_high_bit_depth(image: Image.Image) -> None:
    """CaeError for more than 8 bits a channel, as far as `is_high_bit_depth` can find it out."""
    if image.mode in ("I", "F"):
        what = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        advice = "scale them to 0 … 65535 and pass an array, numpy.asarray(image).astype(numpy.uint16)"
        raise CaeError(f"the image holds {what}; {advice}")
    if is_high_bit_depth(image):
        advice = "give the file to cae-encode, pass an array of uint16, or convert the image to 8 bits first"
        raise CaeError(f"the image had more than 8 bits a channel, which Pillow has rounded; {advice}")


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
    """A Pillow image (L, LA, RGB or RGBA) with the metadata in its `info`.

    Of more than 8 bits Pillow holds gray alone, in mode I;16; other pictures are rounded to 8 bits.
    """
    pixels = to_array(picture)
    image = Image.fromarray(pixels if pixels.ndim == 2 else converted(pixels, picture.depth, 8))
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
