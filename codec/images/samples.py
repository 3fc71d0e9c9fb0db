"""Samples of 8 to 16 bits: their types, and how they become ones of other depths."""

from __future__ import annotations

import numpy as np

from ..errors import CaeError


def bits_of(dtype: np.dtype) -> int:
    """How many bits a type of samples, uint8 or uint16 in any byte order, has."""
    return 8 * dtype.itemsize


def type_of(depth: int) -> type[np.unsignedinteger]:
    """The type of samples of so many bits."""
    return np.uint8 if depth <= 8 else np.uint16


def converted(samples: np.ndarray, depth: int, wanted: int) -> np.ndarray:
    """Samples of `depth` bits, none above 2**depth - 1, as rounded ones of `wanted` bits, up to 16 both.

    >>> converted(np.array([0, 128, 65535], np.uint16), 16, 8).tolist(), converted(np.uint16([1023]), 10, 16).tolist()
    ([0, 0, 255], [65535])
    """
    return scaled(samples, 2**depth - 1, wanted) if depth != wanted else samples


def depth_of_file(own: int, wanted: int | None) -> int:
    """How many bits samples shall have that were scaled to 16 from a file's `own` depth: so many again, if that is `wanted`.

    CaeError where others are than these or 16.
    """
    if wanted not in (own, 16, None):
        raise CaeError(f"depth {wanted}: the file says that its samples have {own} bits; name these, or leave the depth out")
    return wanted or 16


def scaled(samples: np.ndarray, largest: int, wanted: int) -> np.ndarray:
    """Samples from 0 to `largest`, at most 65535, as rounded ones of `wanted` bits."""
    wide = samples.astype(np.uint32)
    wide *= 2**wanted - 1
    wide += largest // 2
    wide //= largest
    return wide.astype(type_of(wanted))
