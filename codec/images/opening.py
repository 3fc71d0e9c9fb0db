"""Image files opened by Pillow without its limit of pixels, which is one for the whole process."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from . import plugins


def open_image(source: Path | BinaryIO, formats: Sequence[str] | None = None) -> ImageFile.ImageFile:
    """Opens an image file as `Image.open` does, whatever its size; callers have a limit of their own.

    Pillow's limit is a variable of its module. To raise it would change what other threads may open.

    Args:
        source: a path, or an open file, which the caller closes.
        formats: Pillow's names of the formats to try; None for all.

    Raises:
        UnidentifiedImageError: if it is no image of these formats.
    """
    name = os.fspath(source) if isinstance(source, Path) else getattr(source, "name", "")
    file = source.open("rb") if isinstance(source, Path) else source
    try:
        image = _open_by_plugins(file, name if isinstance(name, str) else "", formats)
    except BaseException:
        if file is not source:
            file.close()
        raise
    image._exclusive_fp = file is not source  # Pillow then closes it with the image
    return image


def _open_by_plugins(file: BinaryIO, name: str, formats: Sequence[str] | None) -> ImageFile.ImageFile:
    file.seek(0)
    prefix = file.read(16)
    if formats is None:
        plugins.load_plugins()
    for kind in _plugins(formats):
        factory, accept = Image.OPEN[kind]
        try:
            # a text says why the plugin does not take it
            answer = accept is None or accept(prefix)
            if isinstance(answer, str) or not answer:
                continue
            file.seek(0)
            return factory(file, name)
        except (SyntaxError, IndexError, TypeError, struct.error):  # the file is of another format
            continue
    raise UnidentifiedImageError(f"cannot identify image file {name or file!r}")


def _plugins(formats: Sequence[str] | None) -> Iterator[str]:
    """Yields the formats to try, the common ones before Pillow has loaded its other plugins."""
    tried: set[str] = set()
    for load_plugins in (Image.preinit, Image.init):
        load_plugins()
        for kind in (kind for kind in (formats or tuple(Image.ID)) if kind in Image.OPEN and kind not in tried):
            tried.add(kind)
            yield kind


def icon_sizes(file: BinaryIO) -> list[tuple[int, int]]:
    """Returns the sizes of the PNG files in an icon file, which may be far larger than it says; Pillow loads one at once."""
    sizes = []
    start = file.read(6)
    if start[:4] == b"\0\0\1\0":
        entries = file.read(16 * int.from_bytes(start[4:], "little"))
        for entry in range(12, len(entries) - 3, 16):
            file.seek(int.from_bytes(entries[entry : entry + 4], "little"))
            inner = file.read(24)
            if inner.startswith(b"\x89PNG") and len(inner) == 24:
                sizes.append(struct.unpack(">II", inner[16:]))
    return sizes


def prepare_pixels(image: Image.Image) -> None:
    """Takes the memory for the pixels of an image that is not loaded, where Pillow would compare it with its limit."""
    if image.format == "TIFF" and image.tile and image._im is None:
        image.im = Image.core.new(image.mode, image._tile_size)
