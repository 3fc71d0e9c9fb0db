"""Samples of 8 to 16 bits: their types, and conversion between depths."""

from __future__ import annotations

import numpy as np

from ..errors import CaeError


def bits_of(dtype: np.dtype) -> int:
    """Returns the bits of a type of samples: uint8 or uint16, in any byte order."""
    return 8 * dtype.itemsize


def type_of(depth: int) -> type[np.unsignedinteger]:
    """Returns the type of samples of a depth: uint8 or uint16."""
    return np.uint8 if depth <= 8 else np.uint16


def converted(samples: np.ndarray, depth: int, new_depth: int) -> np.ndarray:
    """Converts samples of `depth` bits, none above 2**depth - 1, to `new_depth` bits, rounded; both up to 16.

    >>> converted(np.array([0, 128, 65535], np.uint16), 16, 8).tolist(), converted(np.uint16([1023]), 10, 16).tolist()
    ([0, 0, 255], [65535])
    """
    return scaled(samples, 2**depth - 1, new_depth) if depth != new_depth else samples


def squeeze_gray(pixels: np.ndarray) -> np.ndarray:
    """Views pixels (h, w, channels) in the shape of the API and of Pillow: gray without alpha is (h, w)."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def output_depth(own: int, requested: int | None) -> int:
    """Returns the bits to encode samples with that were scaled to 16 from the `own` bits of a file.

    Raises:
        CaeError: if other bits are requested than its own or 16.
    """
    if requested not in (own, 16, None):
        raise CaeError(f"depth {requested}: the file says that its samples have {own} bits; name these, or leave the depth out")
    return requested or 16


def scaled(samples: np.ndarray, largest: int, new_depth: int) -> np.ndarray:
    """Scales samples from 0 to `largest`, at most 65535, to `new_depth` bits, rounded."""
    wide = samples.astype(np.uint32)
    wide *= 2**new_depth - 1
    wide += largest // 2
    wide //= largest
    return wide.astype(type_of(new_depth))
