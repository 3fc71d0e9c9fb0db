"""Reasons why a file cannot be read as an image, by its first bytes."""

from __future__ import annotations

import re
from pathlib import Path

from ..format.header import MAGIC
from .plugins import PLUGINS

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
    for plugin in PLUGINS:
        if plugin.beginning.match(start) and not plugin.is_installed:
            return f"is a {plugin.label} image, which needs another package: pip install {plugin.package}"
    return "not an image that Pillow can read"
