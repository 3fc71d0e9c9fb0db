"""Pictures: image files, Pillow images and arrays on one side, colour, alpha and metadata apart on the other."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from .errors import CaeError

PIXELS_MAX = 2**29
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclasses.dataclass(frozen=True)
class Picture:
    """Colour (H, W, 1 or 3) uint8, alpha (H, W) uint8 or None, and metadata by section name (`iccp`, `exif`, `xmp `)."""

    colour: np.ndarray
    alpha: np.ndarray | None = None
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)


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
    if picture.alpha is not None:
        return np.concatenate([picture.colour, picture.alpha[..., None]], -1)
    return picture.colour[..., 0] if picture.colour.shape[2] == 1 else picture.colour


def from_pillow(image: Image.Image) -> Picture:
    """A picture of a Pillow image with 8 bits a channel, its alpha and its metadata."""
    if image.mode in _DEEP_MODES:
        raise CaeError(f"the image has mode {image.mode}, more than 8 bits a channel; convert it to 8 bits first")
    if 0 in image.size:
        raise CaeError(f"the image is {image.width} x {image.height}: a picture needs at least one pixel")
    metadata = {}
    for name, key in (("iccp", "icc_profile"), ("xmp ", "xmp")):
        if data := image.info.get(key):
            metadata[name] = data.encode() if isinstance(data, str) else bytes(data)
    if exif := image.getexif():
        metadata["exif"] = exif.tobytes()
    gray = image.mode in ("1", "L", "LA", "La")
    colour = "L" if gray else "RGB"
    if image.has_transparency_data:
        return dataclasses.replace(from_array(np.asarray(image.convert("LA" if gray else "RGBA"))), metadata=metadata)
    return dataclasses.replace(from_array(np.asarray(image.convert(colour))), metadata=metadata)


def to_pillow(picture: Picture) -> Image.Image:
    """A Pillow image (L, LA, RGB or RGBA) with the metadata in its `info`."""
    image = Image.fromarray(to_array(picture))
    for name, key in (("iccp", "icc_profile"), ("exif", "exif"), ("xmp ", "xmp")):
        if name in picture.metadata:
            image.info[key] = picture.metadata[name]
    return image


def alpha_to_png(alpha: np.ndarray) -> bytes:
    """An alpha channel (H, W) uint8 as the bytes of a grayscale PNG."""
    buffer = io.BytesIO()
    Image.fromarray(alpha).save(buffer, "PNG")
    return buffer.getvalue()


def alpha_from_png(data: bytes, width: int, height: int) -> np.ndarray:
    """Inverse of `alpha_to_png`; CaeError where it is not a gray PNG of that size."""
    try:
        with _large_images(), Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (width, height) or image.mode != "L":
                raise CaeError(f"the alpha channel is {image.mode} {image.size}, not L {(width, height)}")
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise CaeError(f"the alpha channel is damaged: {error}") from None


def read(path: Path) -> Picture:
    """Reads an image file of any kind that Pillow knows (of several frames, the first)."""
    try:
        with _large_images(), Image.open(path) as image:
            if image.width * image.height > PIXELS_MAX:
                raise CaeError(f"{path}: {image.width} x {image.height} pixels are more than the limit of {PIXELS_MAX}")
            image.load()
            return from_pillow(image)
    except CaeError as error:
        raise CaeError(f"{path}: {error}") from None
    except UnidentifiedImageError:
        raise CaeError(f"{path}: not an image that Pillow can read") from None
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None
    except (ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise CaeError(f"{path}: damaged image ({error})") from None


@contextlib.contextmanager
def _large_images() -> Iterator[None]:
    """Lifts Pillow's limit on pixels, in favour of `PIXELS_MAX`."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def check_target(path: Path, source: Path) -> None:
    """CaeError where a file made from `source` cannot be written to `path`."""
    if path.is_dir():
        raise CaeError(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise CaeError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise CaeError(f"{path}: the folder {path.parent} is not writable")
    if path.exists() and source.exists() and path.samefile(source):
        raise CaeError(f"{path}: would replace its own source; name another file")


def check_format(path: Path) -> str:
    """The image format that a file's suffix names; CaeError where Pillow writes none of that name."""
    kind = Image.registered_extensions().get(path.suffix.lower(), "")
    if kind not in Image.SAVE:
        raise CaeError(f"{path}: {path.suffix or 'no suffix'} names no image format to write; use .png")
    return kind


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place when the block ends well, and vanishes when it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, picture: Picture) -> None:
    """Writes an image file in the format that the suffix names, with the metadata that the format takes."""
    kind = check_format(path)
    image = to_pillow(picture)
    options = {key: image.info[key] for key in ("icc_profile", "exif", "xmp") if key in image.info}
    try:
        with replacing(path) as file:
            image.save(file, kind, **options)
    except (ValueError, KeyError) as error:
        raise CaeError(f"{path}: this format does not take the picture ({error})") from None
