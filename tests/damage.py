"""Damaged files, and what a decode makes of them."""

import warnings

import numpy as np

import codec
from codec.format import container
from codec.format.header import Kind, Plane
from codec.format.payload import Payload


def damaged(data: bytes, *parts: tuple[int, Plane]) -> bytes:
    """A file in which a bit of each part is flipped."""
    out, file = bytearray(data), container.read(data)
    planes = file.header.planes
    for tile, plane in parts:
        entry = file.index[tile * len(planes) + planes.index(plane)]
        out[entry.offset + entry.length // 2] ^= 1
    return bytes(out)


def replaced(data: bytes, tile: int, content: bytes) -> bytes:
    """A file in which a tile's payload is another, with sound checksums."""
    file = container.read(data)
    payloads = [container.read_payload(data, file, number) for number in range(file.header.tile_count)]
    payloads[tile] = Payload(Kind.TRANSFORM, content)
    return container.write(file.header, file.metadata, payloads)


def decode_filled(decoder: codec.Codec, data: bytes, **options) -> tuple[np.ndarray, list[str]]:
    """Decodes a damaged file with concealment; returns its pixels and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels = decoder.decode(data, on_error="fill", **options)
    assert all(warning.category is RuntimeWarning for warning in caught)
    return pixels, [str(warning.message) for warning in caught]
