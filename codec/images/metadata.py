"""Metadata of pictures, by section name: read from Pillow images, handed to them, and selected."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PIL import Image

from ..metadata import EXIF, ICC_PROFILE, SECTIONS, SECTIONS_BY_OPTION, XMP

# colour spaces that pixels are converted from; a profile for one of them does not fit RGB
_CONVERTED_MODES = ("CMYK", "YCbCr", "LAB", "HSV")
_ORIENTATION_TAG = 274
_IFD_TAGS = (34665, 34853)
# tags that describe the picture; TIFF files mix them with tags that describe how pixels are stored
_PICTURE_TAGS = (270, 271, 272, 274, 305, 306, 315, 33432, *_IFD_TAGS)


def read_metadata(image: Image.Image) -> dict[str, bytes]:
    """Returns the metadata of a Pillow image, loaded or not, by section name."""
    metadata = {}
    for section in SECTIONS:
        content = image.info.get(section.pillow_key)
        if section is ICC_PROFILE and image.mode in _CONVERTED_MODES:
            content = None
        if section is EXIF and not content:
            content = _collect_exif(image)
        if section is XMP and isinstance(content, str):
            content = content.encode()
        if content:
            metadata[section.name] = bytes(content)
    return metadata


def metadata_for_pillow(metadata: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns metadata by their keys in the `info` of a Pillow image."""
    return {section.pillow_key: metadata[section.name] for section in SECTIONS if section.name in metadata}


def orientation(metadata: Mapping[str, bytes]) -> int:
    """Returns the orientation that EXIF or XMP give, 1 (upright) to 8."""
    image = Image.new("L", (1, 1))
    image.info |= metadata_for_pillow(metadata)
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # a damaged EXIF block
        return 1


def select_metadata(metadata: Mapping[str, bytes], options: Collection[str]) -> dict[str, bytes]:
    """Returns the sections that --keep names; an orientation stays in any case, in an EXIF block of its own.

    >>> sorted(select_metadata({"exif": b"II*", "iccp": b"profile", "xmp ": b"<x>"}, ("icc", "xmp")))
    ['iccp', 'xmp ']
    """
    selected = {
        section.name: metadata[section.name]
        for option, section in SECTIONS_BY_OPTION.items()
        if option in options and section.name in metadata
    }
    if EXIF.name not in selected and (turned := orientation(metadata)) != 1:
        tags = Image.Exif()
        tags[_ORIENTATION_TAG] = turned
        selected[EXIF.name] = tags.tobytes()
    return selected


def _collect_exif(image: Image.Image) -> bytes:
    """Returns an EXIF block of the tags that describe the picture, for formats with tags but no block; b"" without any."""
    tags = image.getexif()
    collected = Image.Exif()
    for tag in _PICTURE_TAGS:
        if tag in tags:
            collected[tag] = tags.get_ifd(tag) if tag in _IFD_TAGS else tags[tag]
    try:
        return collected.tobytes() if len(collected) else b""
    except Exception:  # values of the wrong type in a damaged file
        return b""
