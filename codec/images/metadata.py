"""Metadata of pictures, by section name: read from Pillow images, handed to them, and selected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from PIL import Image

from ..metadata import EXIF, ICC_PROFILE, SECTIONS, SECTIONS_BY_OPTION, XMP, MetadataSection
from ..runtime.warning import warn
from .colour_space import profile_of_gamma
from .resolution import resolution, set_resolution, with_resolution
from .tiff_tags import DIRECTORIES, OF_PICTURE, Tag

_EXIF_STARTS = (b"Exif\0\0", b"II*\0", b"MM\0*")


def read_metadata(image: Image.Image) -> dict[str, bytes]:
    """Returns the metadata of a Pillow image, loaded or not, by section name.

    Warns of each section that is damaged, and leaves it out.
    """
    drop_other_types(image)
    metadata = {}
    for section, read in _READERS.items():
        try:
            content = read(image)
        except Exception as error:  # Pillow raises many kinds of errors for damaged metadata
            _warn_of_damage(section, str(error) or type(error).__name__)
            continue
        if content:
            metadata[section.name] = content
    return metadata


def drop_other_types(image: Image.Image) -> None:
    """Drops metadata from an image that are no bytes, or lie before its file, with a warning; Pillow could not load it then.

    Texts of TIFF files become the bytes that they are there.
    """
    for section in SECTIONS:
        content = image.info.get(section.pillow_key)
        if isinstance(content, str) and image.format == "TIFF":
            image.info[section.pillow_key] = content.encode("latin-1", "replace")
        elif not isinstance(content, bytes | bytearray | memoryview | str | Image.Exif | None):
            _warn_of_damage(section, f"it is of type {type(content).__name__}")
            del image.info[section.pillow_key]
    tags = getattr(image, "tag_v2", {})
    misplaced = [tag for tag in DIRECTORIES if isinstance(tags.get(tag), int) and tags[tag] < 0]
    for tag in misplaced:
        if tag in (exif := image.getexif()):
            del exif[tag]
            _warn_of_damage(EXIF, "a part of it lies before the file")


def _warn_of_damage(section: MetadataSection, reason: str) -> None:
    warn(f"the {section.label} is damaged and left out ({reason})")


def as_section(content: object) -> bytes:
    """Returns metadata as bytes: bytes, text, a Pillow `Exif`, or None for nothing; raises ValueError for anything else."""
    if isinstance(content, Image.Exif):
        return content.tobytes()
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if content is None:
        return b""
    # bytes(number) would be so many zeros
    raise ValueError(f"of type {type(content).__name__}, not bytes")


def _read_profile(image: Image.Image) -> bytes:
    if image.format in ("JPEG", "PNG") and image.info.get(ICC_PROFILE.pillow_key, b"") is None:
        raise ValueError("Pillow cannot read it")  # and says so by this alone
    profile = as_section(image.info.get(ICC_PROFILE.pillow_key)) or _raw_profile(image, "icc") or _raw_profile(image, "icm")
    profile = profile or profile_of_gamma(image)
    # pixels are converted to RGB, which a profile for another colour space does not fit
    is_converted = image.mode in ("CMYK", "LAB") or (image.mode in ("YCbCr", "HSV") and profile[16:20] != b"RGB ")
    return b"" if is_converted else profile


def _read_xmp(image: Image.Image) -> bytes:
    return as_section(image.info.get(XMP.pillow_key)) or _raw_profile(image, "xmp")


def _read_exif(image: Image.Image) -> bytes:
    block = as_section(image.info.get(EXIF.pillow_key)) or _raw_profile(image, "exif")
    if not block:
        return _collect_exif(image)
    if not block.startswith(_EXIF_STARTS):
        raise ValueError("it begins with no header")
    return with_resolution(_as_changed(image, block), image.info.get("dpi"))


_READERS = {ICC_PROFILE: _read_profile, EXIF: _read_exif, XMP: _read_xmp}
"""Functions from an image to a section's content, b"" for none; those of `COLOUR_SPACE` are read by `read_colour_space`."""


def _as_changed(image: Image.Image, block: bytes) -> bytes:
    """Returns the EXIF block as it stands, or as the caller has changed it in `image.getexif()`."""
    original = Image.new("L", (1, 1))
    original.info = {**image.info, EXIF.pillow_key: block}
    try:
        before, now = original.getexif().tobytes(), image.getexif()
        after = now.tobytes()
    except Exception:  # a block that Pillow does not understand stays as it is
        return block
    if after == before:
        return block
    return after if len(now) else b""


def _raw_profile(image: Image.Image, kind: str) -> bytes:
    """Returns metadata from a text of a PNG file, as ImageMagick writes them: name, length and hexadecimal digits in lines."""
    text = image.info.get(f"Raw profile type {kind}")
    if not isinstance(text, str):
        return b""
    lines = text.strip().split("\n")
    if len(lines) < 2 or not lines[1].strip().isdecimal():
        raise ValueError("its text has no length")
    try:
        content = bytes.fromhex("".join(lines[2:]))
    except ValueError:
        raise ValueError("its text has other characters than hexadecimal digits") from None
    if len(content) != int(lines[1]):
        raise ValueError(f"it has {len(content)} of {int(lines[1])} bytes")
    return content


def metadata_for_pillow(metadata: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns metadata by their keys in the `info` of a Pillow image."""
    return {section.pillow_key: metadata[section.name] for section in SECTIONS if section.name in metadata}


def info_for_pillow(metadata: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns what the `info` of a Pillow image says of metadata: the sections by their keys, and the resolution as `dpi`."""
    dots_per_inch = resolution(metadata)
    return metadata_for_pillow(metadata) | ({"dpi": dots_per_inch} if dots_per_inch else {})


def orientation(metadata: Mapping[str, bytes]) -> int:
    """Returns the orientation that EXIF or XMP give, 1 (upright) to 8."""
    image = Image.new("L", (1, 1))
    image.info |= metadata_for_pillow(metadata)
    try:
        value = image.getexif().get(Tag.ORIENTATION, 1)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # a damaged EXIF block
        return 1


def is_orientation_alone(block: bytes) -> bool:
    """Returns True if an EXIF block holds nothing but an orientation."""
    tags = Image.Exif()
    try:
        tags.load(block)
        return set(tags) <= {Tag.ORIENTATION}
    except Exception:  # a damaged block
        return False


def select_metadata(metadata: Mapping[str, bytes], options: Collection[str]) -> dict[str, bytes]:
    """Returns the sections of the names to keep; an orientation stays in any case, in an EXIF block of its own.

    >>> sorted(select_metadata({"exif": b"II*", "iccp": b"profile", "xmp ": b"<x>"}, ("icc", "xmp")))
    ['iccp', 'xmp ']
    """
    selected = {
        section.name: metadata[section.name]
        for option, sections in SECTIONS_BY_OPTION.items()
        for section in sections
        if option in options and section.name in metadata
    }
    if EXIF.name not in selected and (turned := orientation(metadata)) != 1:
        tags = Image.Exif()
        tags[Tag.ORIENTATION] = turned
        selected[EXIF.name] = tags.tobytes()
    return selected


def _collect_exif(image: Image.Image) -> bytes:
    """Returns an EXIF block of the tags that describe the picture and its resolution, b"" without any.

    Only TIFF files and images without a file have tags but no block. In others Pillow may remember those of a block that the
    caller has removed, positions among them.
    """
    collected = Image.Exif()
    if image.format in ("TIFF", None):
        tags = image.getexif()
        for tag in OF_PICTURE:
            if tag in tags:
                collected[tag] = tags.get_ifd(tag) if tag in DIRECTORIES else tags[tag]
    set_resolution(collected, image.info.get("dpi"))
    return collected.tobytes() if len(collected) else b""
