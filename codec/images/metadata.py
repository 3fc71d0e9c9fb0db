"""Which parts of a picture's metadata travel with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PIL import Image

from .picture import ORIENTATION, orientation

PARTS = {"exif": "exif", "icc": "iccp", "xmp": "xmp "}
"""Sections by the names that people give them."""


def kept(metadata: Mapping[str, bytes], names: Collection[str]) -> dict[str, bytes]:
    """Of metadata by section name, the named parts; how the picture is to be turned stays, in an EXIF block of its own.

    >>> sorted(kept({"exif": b"II*", "iccp": b"profile", "xmp ": b"<x>"}, ("icc", "xmp")))
    ['iccp', 'xmp ']
    """
    found = {section: metadata[section] for name, section in PARTS.items() if name in names and section in metadata}
    if "exif" not in found and (turned := orientation(metadata)) != 1:
        tags = Image.Exif()
        tags[ORIENTATION] = turned
        found["exif"] = tags.tobytes()
    return found
