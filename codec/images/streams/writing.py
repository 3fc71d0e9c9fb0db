"""Writes image files in bands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...format.header import MODES
from ...format.limits import PIXELS_MAX, check_size
from ...metadata import EXIF
from ...runtime.atomic_write import atomic_write
from .. import files
from ..metadata import metadata_for_pillow, orientation
from ..orientation import upright
from ..picture import Picture
from . import npy, png, pnm, tiff
from .bands import Layout, check_bands
from .limits import STREAMABLE, WHOLE_MAX, check_band_size

_NPY_KIND = "NPY"
_WRITERS: dict[str, Callable[[BinaryIO, Layout, Iterator[np.ndarray]], None]] = {
    "TIFF": tiff.write,
    "PNG": png.write,
    "PPM": pnm.write,
    _NPY_KIND: npy.write,
}


def output_format(path: Path) -> str:
    """Returns the image format of a file's suffix, or "NPY"; raises CaeError if no writable format has it."""
    return _NPY_KIND if path.suffix.lower() == npy.SUFFIX else files.pillow_format(path)


def is_streamed(
    path: Path,
    size: tuple[int, int],
    channels: int,
    metadata: Mapping[str, bytes],
    depth: int = 8,
    whole_max: int = WHOLE_MAX,
) -> bool:
    """Returns True if a picture is written in bands, by `write_bands`; False if it is written whole.

    Args:
        path: the file, whose suffix names the format.
        size: width and height in pixels.
        channels: 1 to 4.
        metadata: by section name.
        depth: bits of a sample.
        whole_max: pictures of 8 bits with at most so many pixels are written whole, except `.npy` files; so are turned pictures
            in formats without EXIF.
    """
    kind = output_format(path)
    if not _can_stream(kind, channels, metadata):
        return False
    return kind == _NPY_KIND or depth > 8 or size[0] * size[1] > whole_max


def _can_stream(kind: str, channels: int, metadata: Mapping[str, bytes]) -> bool:
    if kind == "PPM" and channels not in (1, 3):
        return False  # it has no place for alpha
    return kind in _WRITERS and not _is_to_be_turned(kind, metadata)


def _is_to_be_turned(kind: str, metadata: Mapping[str, bytes]) -> bool:
    """Returns True if a picture is turned upright, since nothing in the file could tell a viewer to do so."""
    return kind not in EXIF.formats and orientation(metadata) != 1


def check_output_size(
    path: Path,
    size: tuple[int, int],
    channels: int,
    metadata: Mapping[str, bytes],
    depth: int = 8,
    pixels_max: int | None = None,
) -> None:
    """Raises TooLargeError if a picture is too large to be written; the arguments are those of `is_streamed`.

    `pixels_max` is the largest number of pixels. None stands for PIXELS_MAX in files that are written whole, and in a band of
    others.
    """
    if is_streamed(path, size, channels, metadata, depth):
        check_band_size(*size, pixels_max, depth)
        return
    advice = ""
    if _is_to_be_turned(kind := output_format(path), metadata):
        advice = f" for a {path.suffix} file of a turned picture, which is written whole; use .tif or .png"
    elif not _can_stream(kind, channels, metadata):
        advice = f" for {path.suffix} files, which are written whole; {STREAMABLE}"
    check_size(*size, PIXELS_MAX if pixels_max is None else pixels_max, advice, depth)


def write_bands(
    path: Path,
    size: tuple[int, int],
    channels: int,
    metadata: Mapping[str, bytes],
    bands: Iterable[np.ndarray],
    threads: int = 1,
    depth: int = 8,
) -> None:
    """Writes an image file from bands of it, with the metadata that the format holds.

    If writing fails, or the bands do, the file stays as it was.

    Args:
        path: the file, of a format that can be streamed.
        size: width and height in pixels.
        channels: 1 to 4, alpha last.
        metadata: by section name.
        bands: (rows, width, channels) of any heights, from top to bottom; uint8, or uint16 for a depth above 8 bits.
        threads: threads that compress.
        depth: bits of a sample. The file gets 8, or 16 for more.

    Raises:
        CaeError: if the file cannot be written.
    """
    kind = output_format(path)
    if kind == _NPY_KIND:
        files.warn_of_omitted(path, metadata_for_pillow(metadata))
    sample = b"" if kind == _NPY_KIND else files.small_file(path, MODES[channels], metadata)
    layout = Layout(*size, channels, sample, threads, depth)
    with atomic_write(path) as file:
        _WRITERS[kind](file, layout, check_bands(iter(bands), layout))


def write_picture(path: Path, picture: Picture) -> None:
    """Writes a picture that is in memory, with the metadata that the format holds; turned upright where it has no EXIF.

    Raises:
        CaeError: if the format cannot hold the picture, or the file cannot be written.
    """
    if output_format(path) not in EXIF.formats:
        picture = upright(picture)
    height, width, channels = picture.pixels.shape
    if is_streamed(path, (width, height), channels, picture.metadata, picture.depth):
        write_bands(path, (width, height), channels, picture.metadata, [picture.pixels], depth=picture.depth)
    else:
        files.write_image(path, picture)
