"""The codec "cae" of numcodecs, for Zarr 2 arrays. It is lossy without `lossless=True`; see `codec.zarr`.

numcodecs decodes without a shape, so that `channel_axis` is None or the last axis here.

>>> import numpy as np
>>> from codec.numcodecs import Cae
>>> coder = Cae(quality=70)
>>> coder.decode(coder.encode(np.zeros((1, 40, 60, 3), np.uint8))).shape
(40, 60, 3)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ndarray_copy
from numcodecs.registry import register_codec

from . import chunks
from .errors import CaeError
from .format.buffers import as_bytes


class Cae(Codec):
    """Codes chunks of uint8 or uint16 as pictures, by `ChunkCoding`; CaeError for options and chunks that it refuses."""

    codec_id = "cae"

    def __init__(self, **configuration: Any) -> None:
        self._coding = chunks.ChunkCoding.of(configuration)
        if self._coding.channel_axis not in ("auto", None, -1):
            raise CaeError(f"channel_axis {self._coding.channel_axis} is not 'auto', None or -1, which numcodecs allows")

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id, **self._coding.configuration}

    def encode(self, buf: Any) -> bytes:
        chunk = np.asarray(buf)
        if chunk.flags.f_contiguous and not chunk.flags.c_contiguous:
            raise CaeError("the chunk is not in C order; make the array with order='C'")
        return self._coding.encode(chunk)

    def decode(self, buf: Any, out: Any = None) -> Any:
        pixels = chunks.decode_as_stored(as_bytes(buf))
        if isinstance(out, np.ndarray) and out.dtype.newbyteorder() == pixels.dtype:
            pixels = pixels.astype(out.dtype)  # `ndarray_copy` would copy bytes, and swap them
        return ndarray_copy(pixels, out)


register_codec(Cae)
