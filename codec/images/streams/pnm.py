"""PBM, PGM and PPM files: rows as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ...errors import CaeError
from ..picture import refuse_deep
from .pieces import Layout, Source, WholeOnly, from_small_file, rows_at_once


def open_bands(_path: Path, file: BinaryIO) -> Source:
    """Opens a file of raw rows (P4, P5, P6)."""
    magic = file.read(2).decode("ascii")
    file.seek(0)
    image = Image.open(file, formats=("PPM",))
    refuse_deep(image)
    decoder, _, start, arguments = image.tile[0]
    if decoder not in ("raw", "ppm"):
        raise WholeOnly("its pixels are no raw bytes")
    largest = "" if magic == "P4" else f"\n{arguments[1] if decoder == 'ppm' else 255}"
    width, height = image.size
    channels = 3 if magic == "P6" else 1
    stride = -(-width // 8) if magic == "P4" else width * channels

    def bands() -> Iterator[np.ndarray]:
        file.seek(start)
        step = rows_at_once(width)
        for top in range(0, height, step):
            rows = min(step, height - top)
            data = file.read(rows * stride)
            if len(data) < rows * stride:
                raise CaeError(f"truncated: the file ends before row {top + rows - 1} of {height}")
            yield from_small_file([f"{magic}\n{width} {rows}{largest}\n".encode(), data], "PPM")

    return Source(width, height, channels, {}, bands())


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Writes P5 or P6."""
    file.write(f"{'P6' if layout.channels == 3 else 'P5'}\n{layout.width} {layout.height}\n255\n".encode())
    for band in bands:
        file.write(np.ascontiguousarray(band).data)
