"""PBM, PGM and PPM files: rows as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ...errors import CaeError
from ..samples import scaled
from .pieces import Layout, Source, WholeOnly, from_small_file, rows_at_once


def open_bands(_path: Path, file: BinaryIO) -> Source:
    """Opens a file of raw rows (P4, P5, P6)."""
    magic = file.read(2).decode("ascii")
    file.seek(0)
    image = Image.open(file, formats=("PPM",))
    decoder, _, start, arguments = image.tile[0]
    if decoder not in ("raw", "ppm"):
        raise WholeOnly("its pixels are no raw bytes")
    # the largest value, of which Pillow says nothing where it is the usual one
    values = arguments[1] if decoder == "ppm" else 65535 if arguments == "I;16B" else 255
    width, height = image.size
    channels, depth = 3 if magic == "P6" else 1, 16 if values > 255 else 8
    stride = -(-width // 8) if magic == "P4" else width * channels * depth // 8

    def bands() -> Iterator[np.ndarray]:
        file.seek(start)
        step = rows_at_once(width)
        for top in range(0, height, step):
            rows = min(step, height - top)
            data = file.read(rows * stride)
            if len(data) < rows * stride:
                raise CaeError(f"truncated: the file ends before row {top + rows - 1} of {height}")
            if depth == 16:
                samples = np.minimum(np.frombuffer(data, ">u2"), values)
                yield scaled(samples, values, depth).reshape(rows, width, channels)
                continue
            largest = "" if magic == "P4" else f"\n{values}"
            yield from_small_file([f"{magic}\n{width} {rows}{largest}\n".encode(), data], "PPM")

    own_depth = values.bit_length() if depth == 16 and (values + 1).bit_count() == 1 else 16
    return Source(width, height, channels, {}, bands(), depth, own_depth)


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Writes P5 or P6."""
    largest = 2**layout.depth - 1
    file.write(f"{'P6' if layout.channels == 3 else 'P5'}\n{layout.width} {layout.height}\n{largest}\n".encode())
    for band in bands:
        file.write(np.ascontiguousarray(band, ">u2" if layout.is_high_bit_depth else None).data)
