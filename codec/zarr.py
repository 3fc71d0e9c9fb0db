"""Zarr 3's chunk codec "cae": each chunk is a `.cae` file. Zarr finds it by its entry point, or after `import codec.zarr`.

It is lossy without `lossless=True` (which label images need). A chunk that is written in part is read, changed and coded
again as a whole, so write whole chunks. Each chunk is transformed alone: its borders, and the fill values beyond the array's,
cost some quality there, so make chunks large (512 x 512, say). `CaeCodec` takes the options of `codec.encode`, and
`channel_axis`, see `ChunkCoding`; they are stored in the array's metadata.

>>> import numpy as np, zarr
>>> from codec.zarr import CaeCodec
>>> image = np.zeros((3, 100, 150), np.uint8)
>>> array = zarr.create_array({}, data=image, chunks=(1, 64, 64), serializer=CaeCodec(quality=70), compressors=None)
>>> array[1, :50].shape
(50, 150)
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import parse_named_configuration
from zarr.registry import register_codec

from .chunks import ChunkCoding, check_dtype

NAME = "cae"


@dataclasses.dataclass(frozen=True, init=False)
class CaeCodec(ArrayBytesCodec):
    """Codes chunks as pictures; `ChunkCoding` describes their axes. CaeError for options and chunks that it refuses."""

    is_fixed_size = False
    coding: ChunkCoding

    def __init__(self, **configuration: Any) -> None:
        object.__setattr__(self, "coding", ChunkCoding.of(configuration))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CaeCodec:
        _, configuration = parse_named_configuration(data, NAME, require_configuration=False)
        return cls(**configuration or {})

    def to_dict(self) -> dict[str, Any]:
        return {"name": NAME, "configuration": self.coding.configuration}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        check_dtype(dtype.to_native_dtype())

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        data = await asyncio.to_thread(self.coding.encode, chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        chunk = await asyncio.to_thread(self.coding.decode, chunk_data.as_numpy_array(), chunk_spec.shape, dtype)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(chunk)


register_codec(NAME, CaeCodec)
