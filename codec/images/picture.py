"""Pictures in memory, converted from and to arrays and Pillow images."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from ..errors import CaeError
from .bit_depth import bits_in_file, is_high_bit_depth
from .colour_space import read_colour_space
from .conversion import converted_to
from .corrections import alpha_of_16_bits, gray_of_16_bits, refuse_signed, with_transparency_in_8_bits
from .metadata import drop_other_types, info_for_pillow, read_metadata
from .samples import bits_of, converted, output_depth, scaled, squeeze_gray

_GRAY_MODES = ("1", "L", "LA", "La")


@dataclasses.dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 1 to 4), alpha last in 2 and 4 channels, and metadata by section name (`iccp`, `exif`, …).

    Pixels are uint8 for a `depth` of 8 bits, uint16 for 9 to 16. `own_depth` are the bits of samples in a file that states
    them; its samples have been scaled to 16 bits.
    """

    pixels: np.ndarray
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)
    depth: int = 8
    own_depth: int = 16

    @property
    def has_alpha(self) -> bool:
        """True if the last channel is alpha."""
        return self.pixels.shape[2] in (2, 4)

    @property
    def colour(self) -> np.ndarray:
        """Colour without alpha, (H, W, 1 or 3), a view."""
        return self.pixels[..., :-1] if self.has_alpha else self.pixels

    @property
    def alpha(self) -> np.ndarray | None:
        """Alpha, (H, W), a view; None if there is none."""
        return self.pixels[..., -1] if self.has_alpha else None

    def in_own_depth(self, requested: int | None) -> Picture:
        """Returns the picture with the bits of its file, unless 16 are requested; raises CaeError for any other number."""
        if self.own_depth == 16:
            return self
        depth = output_depth(self.own_depth, requested)
        return dataclasses.replace(self, pixels=converted(self.pixels, 16, depth), depth=depth, own_depth=16)


def from_array(pixels: np.ndarray, depth: int | None = None) -> Picture:
    """Makes a picture of an array (H, W), (H, W, 1), (H, W, 2: gray, alpha), (H, W, 3) or (H, W, 4: RGB, alpha).

    Args:
        pixels: uint8 or uint16, in any byte order.
        depth: bits of a sample; None for all bits of the type.

    Raises:
        CaeError: for any other array.
    """
    check_array(pixels.shape, pixels.dtype)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return Picture(pixels, depth=bits_of(pixels.dtype) if depth is None else depth)


def check_array(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raises CaeError if an array of this shape and type is no picture."""
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


def from_pillow(image: Image.Image, *, is_complete: bool = False) -> Picture:
    """Makes a picture of a Pillow image, with its alpha and metadata: 8 bits a channel, or 16 in mode I;16.

    Args:
        image: an image, loaded or not.
        is_complete: the image is known to hold all bits of its file.

    Raises:
        CaeError: for damage, and for other images of high bit depth, if `is_high_bit_depth` recognises them.
    """
    if 0 in image.size:
        raise CaeError(f"the image is {image.width} x {image.height}: a picture needs at least one pixel")
    refuse_signed(image)
    drop_other_types(image)
    try:
        own_depth = 16
        # before loading, which closes the file
        colour_space = read_colour_space(image)
        if image.mode.startswith("I;16"):
            own_depth = bits_in_file(image)  # before loading, which may close the file
            pixels = _without_shift(gray_of_16_bits(image), own_depth)
            if (alpha := alpha_of_16_bits(image)) is not None:
                pixels = np.stack([pixels, alpha], -1)
        else:
            if not is_complete:
                refuse_high_bit_depth(image)
            pixels = np.asarray(converted_to(with_transparency_in_8_bits(image), mode_for(image)))
        metadata = colour_space | read_metadata(image)
    except (CaeError, Warning):
        raise
    # Pillow's many formats raise many kinds of errors for damaged files
    except Exception as error:
        raise CaeError(f"damaged image ({error})") from None
    return dataclasses.replace(from_array(pixels), metadata=metadata, own_depth=own_depth)


def _without_shift(samples: np.ndarray, bits: int) -> np.ndarray:
    """Scales gray samples to 16 bits; Pillow has shifted them instead, so that the largest of 12 bits is 65520."""
    shift = 16 - bits
    # if low bits are set, a program has changed the pixels since
    return samples if (samples & (1 << shift) - 1).any() else scaled(samples >> shift, 2**bits - 1, 16)


def refuse_high_bit_depth(image: Image.Image) -> None:
    """Raises CaeError for an image of high bit depth, if `is_high_bit_depth` recognises it."""
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        advice = "scale them to 0 … 65535 and pass an array, numpy.asarray(image).astype(numpy.uint16)"
        raise CaeError(f"the image holds {kind}; {advice}")
    if is_high_bit_depth(image):
        advice = "give the file to cae-encode, pass an array of uint16, or convert the image to 8 bits first"
        raise CaeError(f"the image had more than 8 bits a channel, which Pillow has rounded; {advice}")


def mode_for(image: Image.Image) -> str:
    """Returns the mode that a Pillow image, loaded or not, is converted to: L, LA, RGB or RGBA."""
    mode = "L" if image.mode in _GRAY_MODES else "RGB"
    return {"L": "LA", "RGB": "RGBA"}[mode] if image.has_transparency_data else mode


def to_pillow(picture: Picture) -> Image.Image:
    """Makes a Pillow image (L, LA, RGB or RGBA) with the metadata in its `info`.

    Of high bit depth, Pillow holds gray alone, in mode I;16; other pictures are rounded to 8 bits.
    """
    pixels = squeeze_gray(picture.pixels)
    image = Image.fromarray(pixels if pixels.ndim == 2 else converted(pixels, picture.depth, 8))
    image.info |= info_for_pillow(picture.metadata)
    return image
