"""The functions that imagecodecs has for each codec: `cae_encode`, `cae_decode`, `cae_check`. Needs no imagecodecs.

>>> import numpy as np
>>> from codec.imagecodecs import cae_check, cae_decode, cae_encode
>>> data = cae_encode(np.zeros((30, 40, 3), np.uint8), level=70)
>>> cae_check(data), cae_decode(data).shape
(True, (30, 40, 3))
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import codec

from .errors import CaeError as CaeError
from .format.buffers import Buffer, as_bytes
from .format.header import MAGIC
from .options import DEFAULT_EFFORT


class CAE:
    """Constants of the codec, in imagecodecs' form."""

    available = True


def cae_version() -> str:
    """Returns the name and the release of the library."""
    return f"cae-codec {codec.__version__}"


def cae_check(data: Buffer, /) -> bool:
    """True if the bytes begin as a `.cae` file does; the rest is not checked."""
    return bytes(as_bytes(data)[: len(MAGIC)]) == MAGIC


def cae_encode(
    data: ArrayLike,
    /,
    level: int | None = None,
    *,
    effort: int | None = None,
    lossless: bool | None = None,
    numthreads: int | None = None,
    out: bytearray | None = None,
    **options: Any,
) -> bytes | bytearray:
    """Codes a picture, uint8 or uint16: (H, W), (H, W, 1), (H, W, 2: gray and alpha), (H, W, 3) or (H, W, 4).

    Args:
        level: the quality, 1 to 100; None takes 70.
        effort, lossless, options: as `codec.encode` has them, such as `target_size` or `device`.
        numthreads: CPU threads; None takes all processors.
        out: its content is replaced by the bytes; it is returned.

    Raises:
        CaeError: for a picture or options that cannot be coded.
    """
    options |= {"effort": DEFAULT_EFFORT if effort is None else effort, "lossless": False if lossless is None else lossless}
    coded = codec.encode(np.asarray(data), level, threads=numthreads, **options)
    if out is None:
        return coded
    out[:] = coded
    return out


def cae_decode(
    data: Buffer, /, index: int | None = None, *, numthreads: int | None = None, out: np.ndarray | None = None, **options: Any
) -> np.ndarray:
    """Decodes a `.cae` file's bytes to (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), uint8 or uint16.

    Args:
        index: 0 or None, as there is one picture.
        numthreads: CPU threads; None takes all processors.
        out: an array of the same shape and type, in any byte order, for the pixels; it is returned.
        options: as `codec.decode` has them, such as `region` or `device`.

    Raises:
        CaeError: for a damaged or foreign file, another index, and an `out` of another shape or type.
    """
    if index not in (None, 0):
        raise CaeError(f"there is no picture {index}: a .cae file holds one, picture 0")
    pixels = codec.decode(data, threads=numthreads, **options)
    if out is None:
        return pixels
    if (out.shape, out.dtype.newbyteorder("=")) != (pixels.shape, pixels.dtype):
        raise CaeError(f"out is {out.dtype} {out.shape}, but the picture is {pixels.dtype} {pixels.shape}")
    out[...] = pixels
    return out
