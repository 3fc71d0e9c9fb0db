"""Image files read and written by pieces, in memory that grows with the width alone.

Each band is handed to Pillow as a small file of its own, and headers are taken from small files that Pillow wrote: so
pixels and metadata are by construction those of files that are read and written whole, and no other library is needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.EpsImagePlugin import EpsImageFile
from PIL.ImageFile import ImageFile, StubImageFile
from PIL.MpegImagePlugin import MpegImageFile

from ...errors import CaeError
from ...format.limits import PIXELS_MAX, bytes_of, check_size
from ...runtime.atomic_write import atomic_write
from .. import files, picture
from ..bit_depth import from_start, is_high_bit_depth
from ..picture import Picture, orientation
from . import npy, png, pnm, tiff
from .pieces import Layout, Source, WholeOnly, checked

WHOLE_MAX = 2**24
"""Pixels of a picture that is read and written whole even where it could be by pieces."""
BAND_ROWS = 4096
"""Rows that count for a band: one row of the largest tiles, with its neighbours."""
STREAMING = "TIFF, PNG, PPM, PGM and .npy files are read and written by pieces at any size"

_READERS: dict[bytes, Callable[[Path, BinaryIO], Source]] = {
    b"II*\0": tiff.open_bands,
    b"MM\0*": tiff.open_bands,
    b"II+\0": tiff.open_bands,
    b"MM\0+": tiff.open_bands,
    b"\x89PNG": png.open_bands,
    b"P4": pnm.open_bands,
    b"P5": pnm.open_bands,
    b"P6": pnm.open_bands,
    npy.MAGIC: npy.open_bands,
}
"""By the first bytes of a file."""
_WRITERS: dict[str, Callable[[BinaryIO, Layout, Iterator[np.ndarray]], None]] = {
    "TIFF": tiff.write,
    "PNG": png.write,
    "PPM": pnm.write,
    "NPY": npy.write,
}


@contextlib.contextmanager
def reading(path: Path, pixels_max: int | None = None, *, whole_max: int = WHOLE_MAX) -> Iterator[Source]:
    """Opens an image file to be read once in bands, from top to bottom.

    Args:
        pixels_max: the largest picture that is taken; None takes any that is read by pieces, as far as its width needs no
            more memory than a picture of PIXELS_MAX, and others up to PIXELS_MAX.
        whole_max: pictures of up to so many pixels are read whole (but for `.npy` files).

    Raises:
        CaeError: for files that are no pictures, damaged (which may show while bands are read) or too large.
    """
    with contextlib.ExitStack() as stack:
        found, advice = _open(path, whole_max, stack)
        if found is not None:
            with files.reading_errors(path):
                check_streamed(found.width, found.height, pixels_max, found.depth)
            yield dataclasses.replace(found, bands=_reporting(path, found.bands))
            return
    limit = PIXELS_MAX if pixels_max is None else pixels_max
    whole = files.read_image(path, limit, advice)
    pixels = whole.pixels
    height, width, channels = pixels.shape
    yield Source(width, height, channels, whole.metadata, iter([pixels]), whole.depth, whole.own_depth)


def _open(path: Path, whole_max: int, stack: contextlib.ExitStack) -> tuple[Source | None, str]:
    """A file that is to be read by pieces, or None and advice for where it is too large to be read whole."""
    with files.reading_errors(path):
        file: BinaryIO = stack.enter_context(path.open("rb"))
        reader = _reader(file)
        if reader is None:
            return None, f" for a file that is read whole; {STREAMING}"
        if reader is not npy.open_bands and _is_whole(path, whole_max):
            return None, ""
        try:
            with files.pillow_limit(2**62):
                return reader(path, file), ""
        except WholeOnly as only:
            return None, f" for a file that is read whole, as {only}; other {STREAMING}"


def suffixes() -> frozenset[str]:
    """Suffixes of image files that can be read, in lower case; coded files are none, whether Pillow knows them or not."""
    known = Image.registered_extensions().items()
    readers = {kind for kind, (factory, _) in Image.OPEN.items() if not _is_stub(factory)}
    return frozenset(suffix for suffix, kind in known if kind in readers and kind != "CAE") | {".npy"}


def _is_stub(factory: object) -> bool:
    """Whether Pillow knows a format by name alone, or needs another program to read it."""
    return factory in (EpsImageFile, MpegImageFile) or (isinstance(factory, type) and issubclass(factory, StubImageFile))


def pixel_count(path: Path) -> int:
    """Pixels of an image file, of which only the beginning is read; 0 where Pillow does not say, twice as many of deep ones."""
    try:
        with files.pillow_limit(2**62), Image.open(path) as image:
            return image.width * image.height * bytes_of(16 if is_high_bit_depth(image) else 8)
    except Exception:  # which the one who reads it whole shall report
        return 0


def _is_whole(path: Path, whole_max: int) -> bool:
    """Whether an image file is as small as that, and Pillow has all the bits of it."""
    try:
        with files.pillow_limit(2**62), Image.open(path) as image:
            return image.width * image.height <= whole_max and not is_high_bit_depth(image)
    except Exception:  # which the one who reads it by pieces shall report
        return False


def from_pillow(image: Image.Image) -> Picture:
    """A picture of a Pillow image, as `picture.from_pillow`; of the file itself where that holds more bits than Pillow takes.

    So it is where the image is an open file of a kind that is read by pieces, and nothing has been loaded of it.
    """
    if not (
        isinstance(image, ImageFile)
        and image.tile
        and not image.mode.startswith("I;16")
        and image.fp
        and is_high_bit_depth(image)
    ):
        return picture.from_pillow(image)
    with from_start(image.fp) as file:
        reader = _reader(file)
        if reader is None:
            return picture.from_pillow(image)
        path = Path(image.filename or "image")
        try:
            with files.reading_errors(path):
                found = reader(path, file)
                pixels = np.concatenate(list(found.bands))
        except WholeOnly as only:
            raise CaeError(f"the image has more than 8 bits a channel and cannot be taken by pieces, as {only}") from None
    return dataclasses.replace(picture.from_array(pixels), metadata=dict(found.metadata), own_depth=found.own_depth)


def _reader(file: BinaryIO) -> Callable[[Path, BinaryIO], Source] | None:
    """What reads a file by pieces, by its first bytes."""
    start = file.read(len(npy.MAGIC))
    file.seek(0)
    return next((reader for magic, reader in _READERS.items() if start.startswith(magic)), None)


def _reporting(path: Path, bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same bands; what goes wrong in reading them is a CaeError that names the file."""
    while True:
        with files.reading_errors(path):
            band = next(bands, None)
        if band is None:
            return
        yield band


def check_streamed(width: int, height: int, pixels_max: int | None, depth: int = 8) -> None:
    """CaeError where a picture that is read or written by pieces is too large, or too wide for the memory of a band."""
    if pixels_max is not None:
        check_size(width, height, pixels_max, " (--max-pixels)", depth)
        return
    advice = f" in a band of {BAND_ROWS} rows, which is held at a time; raise the limit for the whole picture (--max-pixels)"
    check_size(width, min(height, BAND_ROWS), PIXELS_MAX, advice, depth)


def check_format(path: Path) -> str:
    """The image format that a suffix names, "NPY" counted; CaeError where it is none that keeps pictures as they are."""
    return "NPY" if path.suffix.lower() == ".npy" else files.check_format(path)


def by_pieces(path: Path, size: tuple[int, int], channels: int, metadata: Mapping[str, bytes], depth: int = 8) -> bool:
    """Whether `write_bands` is for a picture (width, height), by its size, its depth and the format that the suffix names."""
    kind = check_format(path)
    if kind == "NPY":
        return True
    if kind == "PPM" and (channels not in (1, 3) or orientation(metadata) != 1):
        # it has no place for alpha, nor for EXIF, which says that the picture has to be turned
        return False
    return kind in _WRITERS and (depth > 8 or size[0] * size[1] > WHOLE_MAX)


def write_bands(
    path: Path,
    size: tuple[int, int],
    channels: int,
    metadata: Mapping[str, bytes],
    bands: Iterable[np.ndarray],
    threads: int = 1,
    depth: int = 8,
) -> None:
    """Writes an image file from bands of it, with the metadata that the format takes.

    Where writing fails, or the bands do, the file stays what it was.

    Args:
        path: a file for which `by_pieces` holds, whatever its size.
        size: width and height in pixels.
        channels: 1 to 4, alpha last.
        bands: (rows, width, channels) of any heights, from top to bottom.
        threads: how many compress at a time.
        depth: bits of a sample; the bands are uint16 where it is above 8, and so is what is written.

    Raises:
        CaeError: where the file cannot be written.
    """
    kind = check_format(path)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    sample = b"" if kind == "NPY" else files.small_file(path, mode, metadata)
    layout = Layout(*size, channels, sample, threads, depth)
    with atomic_write(path) as file:
        _WRITERS[kind](file, layout, checked(iter(bands), layout))
