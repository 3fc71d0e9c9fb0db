"""PBM, PGM and PPM files, whose rows follow each other uncompressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ...errors import CaeError
from ..samples import scaled
from .bands import BandSource, Layout, NotStreamableError, decode_small_file, rows_at_once


def open_bands(_path: Path, file: BinaryIO, image: Image.Image) -> BandSource:
    """Opens a file of raw rows (P4, P5, P6)."""
    file.seek(0)
    magic = file.read(2).decode("ascii")
    decoder, _, start, arguments = image.tile[0]
    if decoder not in ("raw", "ppm"):
        raise NotStreamableError("its pixels are no raw bytes")
    # the largest value, which Pillow does not give where it is the usual one
    largest = arguments[1] if decoder == "ppm" else 65535 if arguments == "I;16B" else 255
    width, height = image.size
    channels, depth = 3 if magic == "P6" else 1, 16 if largest > 255 else 8
    row_bytes = -(-width // 8) if magic == "P4" else width * channels * depth // 8

    def bands() -> Iterator[np.ndarray]:
        file.seek(start)
        step = rows_at_once(width)
        for top in range(0, height, step):
            rows = min(step, height - top)
            data = file.read(rows * row_bytes)
            if len(data) < rows * row_bytes:
                raise CaeError(f"truncated: the file ends before row {top + rows - 1} of {height}")
            if depth == 16:
                samples = np.minimum(np.frombuffer(data, ">u2"), largest)
                yield scaled(samples, largest, depth).reshape(rows, width, channels)
                continue
            largest_line = "" if magic == "P4" else f"\n{largest}"
            yield decode_small_file([f"{magic}\n{width} {rows}{largest_line}\n".encode(), data], "PPM")

    own_depth = largest.bit_length() if depth == 16 and (largest + 1).bit_count() == 1 else 16
    return BandSource(width, height, channels, {}, bands(), depth, own_depth)


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Writes P5 or P6."""
    largest = 2**layout.depth - 1
    file.write(f"{'P6' if layout.channels == 3 else 'P5'}\n{layout.width} {layout.height}\n{largest}\n".encode())
    for band in bands:
        file.write(np.ascontiguousarray(band, ">u2" if layout.is_high_bit_depth else None).data)
