"""Payloads that a decoder takes: any symbols coded as the tiny weights would have it, and planes of alpha."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

import numpy as np

from codec.coding.lossless import encode_colour, encode_gray
from codec.entropy.coder import VALUE_LIMIT
from codec.format.geometry import Rect
from codec.format.header import NO_MODEL, Kind
from codec.format.payload import join_mixed, length_min
from codec.networks.model import Files, Model, load

from ..forging import transform_payload
from .draft import Draft
from .mutator import Mutator, flipped
from .targets import TINY

_SIDES = (1, 1, 1, 2, 5, 15, 16, 16, 17, 20, 33, 64, 65, 70, 128)
_TILES = (1, 1, 1, 1, 2, 32)
_MAGNITUDES = (0, 0, 1, 1, 2, 5, 50, 600, 2**15, 2**15 + 1, 2**23 // 64, VALUE_LIMIT)


def mutator(rng: random.Random, bytes_of: Callable[[bytes, random.Random], bytes] = flipped) -> Mutator:
    """Changes of small pictures that the tiny weights decode."""
    return Mutator(rng, (NO_MODEL, _model().id, _model().id), _SIDES, _TILES, bytes_of, sound, lies=0.15)


@functools.cache
def _model() -> Model:
    return load(Files(TINY))


def sound(draft: Draft, number: int, rng: random.Random) -> bytes:
    """A payload for a part of a draft whose header is sound."""
    header = draft.sound_header()
    tile, plane = divmod(number, len(draft.planes))
    place, kind = header.place(tile), draft.parts[number].kind
    if place.height * place.width > 2**14:
        return draft.parts[number].data
    random_numbers = np.random.default_rng(rng.randrange(2**32))
    if kind == Kind.TRANSFORM:
        return _transform(place, header.quality, rng, random_numbers)
    shape = place.height, place.width
    end = rng.choice((1, 2, header.largest + 1))
    noise = random_numbers.integers(0, end, (*shape, 1 if plane else header.colours)).astype(header.dtype)
    depth = rng.choice((header.depth, 16))  # now and then beyond what the header allows
    if plane:
        return encode_gray(noise[..., 0], depth)
    shown = None if rng.random() < 0.4 else random_numbers.random(shape) < rng.random()
    lossless = encode_colour(noise, shown, depth)
    return (
        lossless if kind == Kind.LOSSLESS else join_mixed(lossless, _transform(place, header.quality, rng, random_numbers)).data
    )


def _transform(place: Rect, quality: int, rng: random.Random, random_numbers: np.random.Generator) -> bytes:
    def symbols(*shape: int) -> np.ndarray:
        largest = rng.choice(_MAGNITUDES)
        return random_numbers.integers(-largest, largest + 1, shape, np.int32)

    payload = transform_payload(symbols, place, quality, _model())
    return payload.ljust(length_min(Kind.TRANSFORM, place), b"\0")
