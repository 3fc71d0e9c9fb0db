"""NumPy's `.npy` files of uint8 or uint16, (H, W) or (H, W, 1 to 4).

They are read, not mapped: if somebody truncates a mapped file, the process ends; and its pages count as memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from ...errors import CaeError
from ..picture import check_array
from ..samples import bits_of
from .bands import BandSource, Layout, rows_at_once

SUFFIX = ".npy"
NPY_MAGIC = b"\x93NUMPY"
_HEADER_MAX = 10_000
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def open_bands(_path: Path, file: BinaryIO, _image: Image.Image | None) -> BandSource:
    """Opens an array; raises CaeError if it is no picture."""
    version = npy.read_magic(file)
    if version not in _READERS:
        raise CaeError(f"version {version} of .npy files holds no arrays of integers; save it as uint8 or uint16")
    shape, fortran_order, dtype = _READERS[version](file, max_header_size=_HEADER_MAX)
    check_array(shape, dtype)
    if fortran_order and len(shape) > 1:
        raise CaeError("the array lies in the file column by column; save numpy.ascontiguousarray of it")
    height, width, channels = (*shape, 1)[:3]
    return BandSource(width, height, channels, {}, _bands(file, width, height, channels, dtype), bits_of(dtype))


def _bands(file: BinaryIO, width: int, height: int, channels: int, dtype: np.dtype) -> Iterator[np.ndarray]:
    step = rows_at_once(width)
    for top in range(0, height, step):
        rows = min(step, height - top)
        size = rows * width * channels * dtype.itemsize
        data = file.read(size)
        if len(data) < size:
            raise CaeError(f"truncated: the array ends before its row {top + rows - 1} of {height}")
        yield np.frombuffer(data, dtype).reshape(rows, width, channels).astype(dtype.newbyteorder("="), copy=False)


def write(file: BinaryIO, layout: Layout, bands: Iterator[np.ndarray]) -> None:
    """Writes an array (H, W), or (H, W, 2 to 4), as `codec.decode` returns it."""
    shape = (layout.height, layout.width) + (layout.channels,) * (layout.channels > 1)
    npy.write_array_header_1_0(
        file, {"descr": "<u2" if layout.is_high_bit_depth else "|u1", "fortran_order": False, "shape": shape}
    )
    for band in bands:
        file.write(np.ascontiguousarray(band, "<u2" if layout.is_high_bit_depth else None).data)
