"""Image files that are read and written whole."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from ..errors import CaeError, TooLargeError
from ..format.limits import PIXELS_MAX, check_size
from ..metadata import CICP, COLOUR_SPACE, EXIF, ICC_PROFILE, SECTIONS, XMP
from ..options import WRITABLE_NAMED
from ..runtime.atomic_write import atomic_write
from ..runtime.warning import prefix_warnings, warn
from .bit_depth import is_high_bit_depth
from .colour_space import with_avif_code_points, with_png_chunks
from .high_bit_depth import read_high_bit_depth
from .metadata import is_orientation_alone, metadata_for_pillow
from .opening import icon_sizes, open_image, prepare_pixels
from .orientation import upright
from .picture import Picture, from_array, from_pillow, to_pillow
from .resolution import resolution
from .samples import converted
from .tiff_tags import Tag
from .unreadable import describe_unreadable

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 95},
}
"""Options for formats whose own defaults would add a visible loss."""
_WITHOUT_ALPHA = ("BMP", "PPM")
"""Formats in which Pillow drops alpha silently."""
_FORMATS = (*EXIF.formats, "BMP", "JPEG2000", "PCX", "PPM", "SGI", "TGA")
"""Formats that keep a picture's size and 8-bit pixels, or (JPEG, AVIF) change them too little to be seen."""
_ANIMATED = ("AVIF", "GIF", "HEIF", "JXL", "MPO", "PNG", "TIFF", "WEBP")
_CODESTREAMS = (".j2k", ".j2c", ".jpc")
"""Suffixes of JPEG 2000 files without boxes."""
_IMAGEJ_PLANES = re.compile(r"ImageJ=.*?^images=([0-9]{1,9})\s*$", re.DOTALL | re.MULTILINE)
_JPEG_PROFILE_MAX = 255 * (65533 - 14)
"""Largest ICC profile in bytes: 255 segments, with a header each."""


def read_image(path: Path, pixels_max: int = PIXELS_MAX, advice: str = "") -> Picture:
    """Reads an image file of any kind that Pillow knows; of several frames, the first.

    Args:
        path: the file.
        pixels_max: largest number of pixels.
        advice: ends the message of the error for larger pictures.

    Raises:
        CaeError: for files that are no images, damaged or too large.
    """
    with reading_errors(path), path.open("rb") as file:
        return read_file(file, path, pixels_max, advice)


def read_file(file: BinaryIO, path: Path, pixels_max: int, advice: str) -> Picture:
    """Reads an open image file as `read_image` does, whose errors do not name it yet."""
    for size in icon_sizes(file):
        check_size(*size, pixels_max, advice)
    with open_image(file) as image:
        return read_opened(image, path, pixels_max, advice)


def read_opened(image: Image.Image, path: Path, pixels_max: int, advice: str, is_high: bool | None = None) -> Picture:
    """Reads an image that Pillow has opened, as `read_file` does.

    `is_high` is the result of `is_high_bit_depth`, if it is known.
    """
    check_size(image.width, image.height, pixels_max, advice)
    warn_of_frames(path, image)
    is_high = is_high_bit_depth(image) if is_high is None else is_high
    if is_high and not image.mode.startswith("I;16"):
        check_size(image.width, image.height, pixels_max, advice, 16)
        return read_high_bit_depth(image, path)
    prepare_pixels(image)
    return from_pillow(image, is_complete=True)


@contextlib.contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turns any error of reading an image file into a CaeError that names the file, as warnings do in the block."""
    try:
        with prefix_warnings(f"{path}: "):
            yield
    except CaeError as error:
        raise error.prefixed(f"{path}: ") from None
    except Warning:  # where warnings are errors
        raise
    except UnidentifiedImageError:
        raise CaeError(f"{path}: {describe_unreadable(path)}") from None
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None
    except Image.DecompressionBombError:
        advice = "; convert it to PNG or TIFF, or raise the limit (PIL.Image.MAX_IMAGE_PIXELS)"
        raise TooLargeError(f"{path}: more pixels than Pillow's own limit for this format", advice) from None
    except Exception as error:  # Pillow's many formats raise many kinds of errors for damaged files
        raise CaeError(f"{path}: damaged image ({error})") from None


def warn_of_frames(path: Path, image: Image.Image) -> None:
    """Warns if an image file holds several frames."""
    frames = max(getattr(image, "n_frames", 1), _imagej_planes(image)) if image.format in _ANIMATED else 1
    if frames > 1:
        warn(f"{path}: holds {frames} frames; only the first is taken")


def _imagej_planes(image: Image.Image) -> int:
    """Returns the planes of a TIFF file by ImageJ, which above 4 GB has a single directory and names them in a text."""
    text = getattr(image, "tag_v2", {}).get(Tag.DESCRIPTION)
    match = _IMAGEJ_PLANES.match(text) if isinstance(text, str) else None
    return int(match[1]) if match else 1


def pillow_format(path: Path) -> str:
    """Returns the image format of a file's suffix; raises CaeError if no writable format has it."""
    suffix = path.suffix.lower()
    # the common formats first, since loading all plugins takes longer than a small picture
    Image.preinit()
    kind = Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix, "")
    if kind not in _FORMATS or kind not in Image.SAVE:
        wrong = f"pictures cannot be written as {path.suffix}" if path.suffix else "no file suffix"
        raise CaeError(f"{path}: {wrong}; use one of {WRITABLE_NAMED}")
    return kind


def write_image(path: Path, picture: Picture) -> None:
    """Writes an image file of 8 bits a channel in the format of its suffix, with the metadata that the format holds.

    Warns if samples are rounded to 8 bits, and of each section of metadata that is left out.

    Raises:
        CaeError: if the format cannot hold the picture, or the file cannot be written.
    """
    kind = pillow_format(path)
    if picture.has_alpha and kind in _WITHOUT_ALPHA:
        raise CaeError(f"{path}: this format does not take the picture's alpha; use .png")
    if picture.depth > 8:
        message = f"{path}: the picture's {picture.depth} bits a channel are rounded to 8; use .png, .tif or .npy to keep them"
        warn(message)
        rounded = from_array(converted(picture.pixels, picture.depth, 8))
        picture = dataclasses.replace(rounded, metadata=picture.metadata)
    if kind not in EXIF.formats:
        # nothing in the file could tell a viewer to turn it
        picture = upright(picture)
    image = to_pillow(picture)
    metadata = metadata_for_pillow(picture.metadata)
    image.info.clear()  # from which Pillow would take what is left out

    def write(selected: dict[str, bytes]) -> None:
        with atomic_write(path) as file:
            _save(path, image, kind, selected, file)

    _write_with_metadata(write, path, metadata, image.mode, kind)


def small_file(path: Path, mode: str, metadata: Mapping[str, bytes]) -> bytes:
    """Returns a file of one pixel in the format of a suffix, with the metadata that it holds; warns as `write_image`."""
    kind = pillow_format(path)
    contents = []

    def write(selected: dict[str, bytes]) -> None:
        buffer = io.BytesIO()
        _save(path, Image.new(mode, (1, 1)), kind, selected, buffer)
        contents.append(buffer.getvalue())

    _write_with_metadata(write, path, metadata_for_pillow(metadata), mode, kind)
    return contents[-1]


class _RefusedError(CaeError):
    """A format cannot hold the picture or its metadata."""


def _write_with_metadata(
    write: Callable[[dict[str, bytes]], None], path: Path, metadata: dict[str, bytes], mode: str, kind: str
) -> None:
    """Writes a file with as much of the metadata as its format holds, and warns of each section that is left out."""
    for selected in _selections(metadata, mode, kind):
        try:
            write(selected)
            break
        except _RefusedError as error:
            refusal = error
    else:
        raise refusal
    warn_of_omitted(path, {key: content for key, content in metadata.items() if key not in selected})


def warn_of_omitted(path: Path, metadata: Mapping[str, bytes]) -> None:
    """Warns of metadata, by their keys in Pillow images, that a file does not get; not of an orientation alone."""
    for section in SECTIONS:
        if section.pillow_key in metadata and not (section is EXIF and is_orientation_alone(metadata[section.pillow_key])):
            message = f"{path}: this format does not take the {section.label}, which is left out"
            warn(message)


def _selections(metadata: dict[str, bytes], mode: str, kind: str) -> Iterator[dict[str, bytes]]:
    """Yields the metadata to try: all of them, those that a small file of the format holds alone, none."""
    # of others Pillow would leave some out in silence
    keys = {section.pillow_key for section in SECTIONS if kind in section.formats}
    if kind == "AVIF" and ICC_PROFILE.pillow_key in metadata:
        keys.discard(CICP.pillow_key)  # Pillow writes one of them
    metadata = {key: content for key, content in metadata.items() if key in keys}
    yield metadata
    accepted = {}
    for key, content in metadata.items():
        with contextlib.suppress(_RefusedError):
            _save(Path(), Image.new(mode, (16, 16)), kind, {key: content}, io.BytesIO())
            accepted[key] = content
    if 0 < len(accepted) < len(metadata):
        yield accepted
    if metadata:
        yield {}


def _save(path: Path, image: Image.Image, kind: str, metadata: dict[str, bytes], file: BinaryIO) -> None:
    """Writes an image to an open file; raises _RefusedError if the format cannot hold it."""
    try:
        colour_space = {
            section.name: metadata[section.pillow_key] for section in COLOUR_SPACE if section.pillow_key in metadata
        }
        metadata = {key: content for key, content in metadata.items() if key not in colour_space}
        options = _save_options(path, kind, metadata)
        if colour_space:
            buffer = io.BytesIO()
            image.save(buffer, kind, **options)
            data = buffer.getvalue()
            if kind == "PNG":
                data = with_png_chunks(data, colour_space)
            elif (data := with_avif_code_points(data, colour_space[CICP.name])) is None:
                raise ValueError("it has no place for the colour space")
            file.write(data)
        elif kind == "JPEG2000":
            # its encoder never ends where writing fails
            buffer = io.BytesIO()
            image.save(buffer, kind, **options)
            file.write(buffer.getbuffer())
        else:
            image.save(_FileWithoutDescriptor(file), kind, **options)
    except OSError as error:
        if error.errno is not None:
            raise
        raise _RefusedError(f"{path}: this format does not take the picture ({error}); use .png") from None
    except Exception as error:  # Pillow's many formats raise many kinds of errors
        raise _RefusedError(f"{path}: this format does not take the picture ({error})") from None


def _save_options(path: Path, kind: str, metadata: dict[str, bytes]) -> dict[str, Any]:
    options = _SAVE_OPTIONS.get(kind, {}) | metadata
    if dots_per_inch := resolution({EXIF.name: metadata.get(EXIF.pillow_key, b"")}):
        options["dpi"] = dots_per_inch
    if kind == "JPEG2000" and path.suffix.lower() in _CODESTREAMS:
        options["no_jp2"] = True
    if kind == "JPEG" and len(metadata.get(ICC_PROFILE.pillow_key, b"")) > _JPEG_PROFILE_MAX:
        raise ValueError("ICC profile is too long")  # Pillow would write a damaged one
    if kind == "PNG" and XMP.pillow_key in metadata:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", options.pop(XMP.pillow_key).decode("utf-8", "replace"))
        options["pnginfo"] = text
    if kind == "TIFF" and XMP.pillow_key in metadata:
        image = Image.new("L", (1, 1))
        image.info.update(metadata)
        tags = image.getexif()
        tags[XMP.tiff_tag] = options.pop(XMP.pillow_key)
        options["exif"] = tags
    return options


class _FileWithoutDescriptor:
    """A file that hides its descriptor. Pillow would write through that, and not say why writing failed."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.read, self.seek, self.tell, self.flush = file.write, file.read, file.seek, file.tell, file.flush
