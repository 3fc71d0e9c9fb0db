"""The metadata sections of a file, and what each is called elsewhere."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class MetadataSection:
    """A section of metadata.

    Args:
        name: its name in a `.cae` file, four characters.
        option: its name in the option --keep.
        pillow_key: its key in the `info` of a Pillow image, and among the options of `Image.save`.
        label: its name in messages.
        formats: the image formats, by Pillow's names, whose files get it.
        tiff_tag: the tag that holds it in a TIFF file; None where it is spread over several.
    """

    name: str
    option: str
    pillow_key: str
    label: str
    formats: tuple[str, ...]
    tiff_tag: int | None = None


_USUAL_FORMATS = ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")
ICC_PROFILE = MetadataSection("iccp", "icc", "icc_profile", "ICC profile", _USUAL_FORMATS, 34675)
EXIF = MetadataSection("exif", "exif", "exif", "EXIF block", _USUAL_FORMATS)
XMP = MetadataSection("xmp ", "xmp", "xmp", "XMP packet", _USUAL_FORMATS, 700)
CICP = MetadataSection("cicp", "icc", "cicp", "colour space (CICP)", ("AVIF", "PNG"))
MASTERING = MetadataSection("mdcv", "icc", "mdcv", "mastering display", ("PNG",))
LIGHT_LEVEL = MetadataSection("clli", "icc", "clli", "content light level", ("PNG",))
COLOUR_SPACE = (CICP, MASTERING, LIGHT_LEVEL)
"""Sections that go with the ICC profile."""
SECTIONS = (ICC_PROFILE, EXIF, XMP, *COLOUR_SPACE)
"""All sections, in the order in which they are read from an image."""
SECTION_NAMES = tuple(section.name for section in SECTIONS)
BYTE_ORDER = "ordr"
"""Name of the section that `codec.numcodecs` adds for an array whose samples are in the other byte order."""
KNOWN_NAMES = (*SECTION_NAMES, BYTE_ORDER)
"""Names of all sections that the format knows."""
SECTIONS_BY_OPTION = {
    option: tuple(section for section in SECTIONS if section.option == option)
    for option in sorted({section.option for section in SECTIONS})
}
"""Sections by the names in --keep, in alphabetical order, which is their order in files of `cae-encode`."""
