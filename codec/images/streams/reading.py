"""Reads image files in bands, or whole where the file is small or cannot be streamed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from ...errors import CaeError
from ...format.limits import PIXELS_MAX, bytes_of
from .. import files
from ..bit_depth import from_start, is_high_bit_depth
from ..opening import open_image
from ..picture import Picture, from_array, from_pillow
from ..plugins import readable_suffixes
from . import npy, png, pnm, tiff
from .bands import BandSource, NotStreamableError
from .limits import STREAMABLE, WHOLE_MAX, check_band_size


class _Format(NamedTuple):
    """A format that can be streamed: Pillow's name of it, if any, and the function that opens a file.

    The function takes the path for messages, the open file, and its Pillow image (None where Pillow knows none).
    """

    name: str | None
    open_bands: Callable[[Path, BinaryIO, Image.Image | None], BandSource]


_TIFF = _Format("TIFF", tiff.open_bands)
_PNM = _Format("PPM", pnm.open_bands)
_STREAMABLE_FORMATS: dict[bytes, _Format] = {
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"II+\0": _TIFF,
    b"MM\0+": _TIFF,
    b"\x89PNG": _Format("PNG", png.open_bands),
    b"P4": _PNM,
    b"P5": _PNM,
    b"P6": _PNM,
    npy.NPY_MAGIC: _Format(None, npy.open_bands),
}
"""By the first bytes of a file."""


@contextlib.contextmanager
def open_picture(path: Path, pixels_max: int | None = None, *, whole_max: int = WHOLE_MAX) -> Iterator[BandSource]:
    """Opens an image file, to be read once in bands from top to bottom.

    Args:
        path: the file.
        pixels_max: largest number of pixels. None stands for PIXELS_MAX in files that are read whole, and in a band of others.
        whole_max: pictures of at most so many pixels are read whole, except `.npy` files and files of high bit depth.

    Raises:
        CaeError: for files that are no images, damaged (which may show only while bands are read) or too large.
    """
    with contextlib.ExitStack() as stack:
        with files.reading_errors(path):
            file: BinaryIO = stack.enter_context(path.open("rb"))
            file_format = _find_format(file)
            if file_format is not None:
                source = _open(path, file, file_format, pixels_max, whole_max)
            else:
                limit = PIXELS_MAX if pixels_max is None else pixels_max
                source = _from_picture(files.read_file(file, path, limit, f" for a file that is read whole; {STREAMABLE}"))
        yield dataclasses.replace(source, bands=_with_named_errors(path, source.bands))


def _open(path: Path, file: BinaryIO, file_format: _Format, pixels_max: int | None, whole_max: int) -> BandSource:
    """Opens a file of a format that can be streamed. This function alone decides whether it is."""
    image = _open_image(file, file_format)
    is_high = image is None or is_high_bit_depth(image)
    advice = ""
    if image is None or is_high or image.width * image.height > whole_max:
        position = file.tell()
        try:
            return _checked(file_format.open_bands(path, file, image), pixels_max)
        except NotStreamableError as error:
            if image is None:
                raise UnidentifiedImageError from None
            advice = f" for a file that is read whole, as {error}; other {STREAMABLE}"
            file.seek(position)
    limit = PIXELS_MAX if pixels_max is None else pixels_max
    return _from_picture(files.read_opened(image, path, limit, advice, is_high))


def _find_format(file: BinaryIO) -> _Format | None:
    start = file.read(max(map(len, _STREAMABLE_FORMATS)))
    file.seek(0)
    return next((file_format for magic, file_format in _STREAMABLE_FORMATS.items() if start.startswith(magic)), None)


def _open_image(file: BinaryIO, file_format: _Format) -> Image.Image | None:
    """Opens a file with Pillow; returns None for formats and TIFF files that Pillow does not know."""
    if file_format.name is None:
        return None
    try:
        return open_image(file, (file_format.name,))
    except UnidentifiedImageError:
        if file_format is _TIFF:
            return None
        raise


def _checked(source: BandSource, pixels_max: int | None) -> BandSource:
    check_band_size(source.width, source.height, pixels_max, source.depth)
    return source


def _from_picture(whole: Picture) -> BandSource:
    height, width, channels = whole.pixels.shape
    return BandSource(width, height, channels, whole.metadata, iter([whole.pixels]), whole.depth, whole.own_depth)


def _with_named_errors(path: Path, bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the bands; errors of reading them become a CaeError that names the file."""
    while True:
        with files.reading_errors(path):
            band = next(bands, None)
        if band is None:
            return
        yield band


def read_full_depth(image: Image.Image) -> Picture:
    """Makes a picture of a Pillow image, as `from_pillow`, but of its file if that holds more bits than Pillow reads.

    The file is read if it is open, of a format that can be streamed, and not loaded yet.
    """
    if not (
        isinstance(image, ImageFile)
        and image.tile
        and not image.mode.startswith("I;16")
        and image.fp
        and image.tell() == 0  # of several frames, pieces are read of the first alone
        and is_high_bit_depth(image)
    ):
        return from_pillow(image)
    with from_start(image.fp) as file:
        file_format = _find_format(file)
        if file_format is None:
            return from_pillow(image)
        path = Path(image.filename or "image")
        with files.reading_errors(path):
            try:
                source = file_format.open_bands(path, file, _open_image(file, file_format))
            except NotStreamableError as error:
                raise CaeError(f"it has more than 8 bits a channel and cannot be read in bands, as {error}") from None
            pixels = np.concatenate(list(source.bands))
    return dataclasses.replace(from_array(pixels), metadata=dict(source.metadata), own_depth=source.own_depth)


def suffixes() -> frozenset[str]:
    """Returns the suffixes of image files that can be read, in lower case; those of coded files are left out."""
    return readable_suffixes() | {npy.SUFFIX}


def count_pixels(path: Path) -> int:
    """Returns the pixels of an image file, by its beginning: twice as many for high bit depth, 0 where it cannot be read."""
    try:
        with path.open("rb") as file:
            file_format = _find_format(file)
            image = _open_image(file, file_format) if file_format else open_image(file)
            if image is None:
                source = file_format.open_bands(path, file, None)
                return source.width * source.height * bytes_of(source.depth)
            return image.width * image.height * bytes_of(16 if is_high_bit_depth(image) else 8)
    except Exception:  # reading the file reports it
        return 0
