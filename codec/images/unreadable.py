"""Reasons why a file cannot be read as an image, by its first bytes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from ..format.header import MAGIC

PLUGIN_SUFFIXES = frozenset({".heic", ".heif", ".hif", ".jxl"})
"""Suffixes of images that need another package."""
_HEIF = re.compile(rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL)
_SVG = re.compile(rb"\s*(<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE[^>]*>|\s)*<svg[\s>/]", re.DOTALL | re.IGNORECASE)


def describe_unreadable(path: Path) -> str:
    """Returns why Pillow does not know a file, and what to do.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.png")
    ...     _ = path.write_bytes(b"%PDF-1.7")
    ...     describe_unreadable(path)
    'is a PDF document; convert its pages to images first, for instance by pdftoppm -png'
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        start = b""
    start = start.removeprefix(b"\xef\xbb\xbf")
    if start.startswith(MAGIC):
        return "is a .cae file already; decode it with cae-decode"
    if start.startswith(b"%PDF"):
        return "is a PDF document; convert its pages to images first, for instance by pdftoppm -png"
    if _SVG.match(start):
        return "is an SVG drawing; convert it to PNG first, for instance by rsvg-convert"
    if _HEIF.match(start) and importlib.util.find_spec("pillow_heif") is None:
        return "is a HEIC image, which needs another package: pip install pillow-heif"
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")) and importlib.util.find_spec("pillow_jxl") is None:
        return "is a JPEG XL image, which needs another package: pip install pillow-jxl-plugin"
    return "not an image that Pillow can read"
