"""Image files: reading and writing."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from ..errors import CaeError
from ..format.limits import PIXELS_MAX, check_size
from ..runtime.atomic_write import atomic_write
from .bit_depth import is_high_bit_depth
from .high_bit_depth import read_high_bit_depth
from .picture import Picture, from_array, from_pillow, metadata_for_pillow, to_pillow
from .samples import converted

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 95},
}
"""Options for formats whose own defaults would add a visible loss of their own."""
_WITHOUT_ALPHA = ("BMP", "PPM")
"""Formats to which Pillow writes a picture with alpha as if it had none."""
_WITH_EXIF = ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")
_FORMATS = (*_WITH_EXIF, "BMP", "JPEG2000", "PCX", "PPM", "SGI", "TGA")
"""Formats that keep a picture's size and 8-bit pixels, or (JPEG, AVIF) change them too little to be seen."""
_ANIMATED = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
_CODESTREAMS = (".j2k", ".j2c", ".jpc")
"""Suffixes of JPEG 2000 files without boxes."""
_METADATA = {"icc_profile": "ICC profile", "exif": "EXIF block", "xmp": "XMP packet"}
"""Keys of Pillow's `info`, and what they are called in messages."""
_JPEG_PROFILE_MAX = 255 * (65533 - 14)
"""Bytes of an ICC profile in at most 255 segments with a header each."""
_XMP_TIFF_TAG = 700


def read_image(path: Path, pixels_max: int = PIXELS_MAX, advice: str = "") -> Picture:
    """Reads an image file of any kind that Pillow knows (of several frames, the first), of at most `pixels_max` pixels.

    The advice ends the message of the error where a picture has more.
    """
    with reading_errors(path), pillow_limit(pixels_max):
        try:
            return _read(path, pixels_max, advice)
        except Image.DecompressionBombError:
            raise CaeError(f"more pixels than the limit of {pixels_max} (--max-pixels){advice}") from None


@contextlib.contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turns what goes wrong in reading an image file into a CaeError that names it."""
    try:
        yield
    except CaeError as error:
        raise CaeError(f"{path}: {error}") from None
    except UnidentifiedImageError:
        raise CaeError(f"{path}: not an image that Pillow can read") from None
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # Pillow's many formats raise many kinds of errors for damaged files
        raise CaeError(f"{path}: damaged image ({error})") from None


def _read(path: Path, pixels_max: int, advice: str) -> Picture:
    with Image.open(path) as image:
        check_size(image.width, image.height, pixels_max, f" (--max-pixels){advice}")
        warn_of_frames(path, image)
        if is_high_bit_depth(image) and not image.mode.startswith("I;16"):
            check_size(image.width, image.height, pixels_max, f" (--max-pixels){advice}", 16)
            return read_high_bit_depth(image, path)
        return from_pillow(image)


def warn_of_frames(path: Path, image: Image.Image) -> None:
    """Says that of several frames one is taken."""
    frames = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    if frames > 1:
        warnings.warn(f"{path}: holds {frames} frames; only the first is taken", RuntimeWarning, stacklevel=2)


class _PillowLimit:
    """Pillow's limit of pixels, which is one for the whole process: the largest that any thread inside asks for.

    Pillow raises an error at twice its limit, also for pictures inside a file that claims fewer pixels.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outside: int | None = None
        self._inside: list[int] = []

    @contextlib.contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                self._outside = Image.MAX_IMAGE_PIXELS
            self._inside.append(pixels)
            Image.MAX_IMAGE_PIXELS = max(self._inside)
        try:
            yield
        finally:
            with self._lock:
                self._inside.remove(pixels)
                Image.MAX_IMAGE_PIXELS = max(self._inside, default=self._outside)


_pillow_limit = _PillowLimit()


@contextlib.contextmanager
def pillow_limit(pixels: int) -> Iterator[None]:
    """Has Pillow open pictures of so many pixels, without the warning at half as many."""
    with warnings.catch_warnings(), _pillow_limit.of(pixels):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def check_format(path: Path) -> str:
    """The image format that a file's suffix names; CaeError where it is none that keeps pictures as they are."""
    kind = Image.registered_extensions().get(path.suffix.lower(), "")
    if kind not in _FORMATS or kind not in Image.SAVE:
        raise CaeError(f"{path}: {path.suffix or 'no suffix'} names no image format that keeps the picture as it is; use .png")
    return kind


def write_image(path: Path, picture: Picture) -> None:
    """Writes an image file of 8 bits a channel in the format that the suffix names, with the metadata that it takes.

    Warns of deeper pictures, which are rounded, and of each part of the metadata that the format refuses and does not get.

    Raises:
        CaeError: where the format does not take the picture, and where the file cannot be written.
    """
    kind = check_format(path)
    if picture.alpha is not None and kind in _WITHOUT_ALPHA:
        raise CaeError(f"{path}: this format does not take the picture's alpha; use .png")
    if picture.depth > 8:
        message = f"{path}: the picture's {picture.depth} bits a channel are rounded to 8; use .png, .tif or .npy to keep them"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        rounded = from_array(converted(picture.pixels, picture.depth, 8))
        picture = dataclasses.replace(rounded, metadata=picture.metadata)
    image = to_pillow(picture)
    metadata = {key: image.info[key] for key in _METADATA if key in image.info}
    if kind not in _WITH_EXIF:
        # nothing in the file could tell a viewer to turn it
        with contextlib.suppress(Exception):  # a damaged EXIF block
            image = ImageOps.exif_transpose(image)
    image.info.clear()  # from which Pillow would take what is left out

    def write(kept: dict[str, bytes]) -> None:
        with atomic_write(path) as file:
            _save(path, image, kind, kept, file)

    _with_what_is_taken(write, path, metadata, image.mode, kind)


def small_file(path: Path, mode: str, metadata: Mapping[str, bytes]) -> bytes:
    """A file of one pixel, in the format that the suffix names and with the metadata that it takes; warns as `write_image`."""
    kind = check_format(path)
    metadata = metadata_for_pillow(metadata)
    made = []

    def write(kept: dict[str, bytes]) -> None:
        buffer = io.BytesIO()
        _save(path, Image.new(mode, (1, 1)), kind, kept, buffer)
        made.append(buffer.getvalue())

    _with_what_is_taken(write, path, metadata, mode, kind)
    return made[-1]


def _with_what_is_taken(
    write: Callable[[dict[str, bytes]], None], path: Path, metadata: dict[str, bytes], mode: str, kind: str
) -> None:
    """Writes a file with as much of the metadata as its format takes, and warns of each part that is left out."""
    for kept in _ever_less(metadata, mode, kind):
        try:
            write(kept)
            break
        except _Refused as error:
            refusal = error
    else:
        raise refusal
    for key in metadata:
        if key not in kept:
            message = f"{path}: this format does not take the {_METADATA[key]}, which is left out"
            warnings.warn(message, RuntimeWarning, stacklevel=3)


class _Refused(CaeError):
    """A format cannot hold the picture or its metadata."""


def _ever_less(metadata: dict[str, bytes], mode: str, kind: str) -> Iterator[dict[str, bytes]]:
    """The metadata to try, one after another: all, what the format takes alone with a small picture, none."""
    yield metadata
    taken = {}
    for key, content in metadata.items():
        with contextlib.suppress(_Refused):
            _save(Path(), Image.new(mode, (16, 16)), kind, {key: content}, io.BytesIO())
            taken[key] = content
    if 0 < len(taken) < len(metadata):
        yield taken
    if metadata:
        yield {}


def _save(path: Path, image: Image.Image, kind: str, metadata: dict[str, bytes], file: BinaryIO) -> None:
    """Writes an image of a format to an open file; _Refused where the format does not take it."""
    try:
        options = _save_options(path, kind, metadata)
        if kind == "JPEG2000":
            # its encoder never ends where writing fails
            buffer = io.BytesIO()
            image.save(buffer, kind, **options)
            file.write(buffer.getbuffer())
        else:
            image.save(_Stream(file), kind, **options)
    except OSError as error:
        if error.errno is not None:
            raise
        raise _Refused(f"{path}: this format does not take the picture ({error}); use .png") from None
    except Exception as error:  # Pillow's many formats raise many kinds of errors
        raise _Refused(f"{path}: this format does not take the picture ({error})") from None


def _save_options(path: Path, kind: str, metadata: dict[str, bytes]) -> dict[str, Any]:
    options = _SAVE_OPTIONS.get(kind, {}) | metadata
    if kind == "JPEG2000" and path.suffix.lower() in _CODESTREAMS:
        options["no_jp2"] = True
    if kind == "JPEG" and len(metadata.get("icc_profile", b"")) > _JPEG_PROFILE_MAX:
        raise ValueError("ICC profile is too long")  # Pillow would write a damaged one
    if kind == "PNG" and "xmp" in metadata:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8", "replace"))
        options["pnginfo"] = text
    if kind == "TIFF" and "xmp" in metadata:
        holder = Image.new("L", (1, 1))
        holder.info.update(metadata)
        tags = holder.getexif()
        tags[_XMP_TIFF_TAG] = options.pop("xmp")
        options["exif"] = tags
    return options


class _Stream:
    """A file without its descriptor, through which Pillow would write and then not say why that failed."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.read, self.seek, self.tell, self.flush = file.write, file.read, file.seek, file.tell, file.flush
