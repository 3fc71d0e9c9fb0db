"""Payloads: the coded parts of tiles, and how a mixed one holds two."""

from __future__ import annotations

import dataclasses
import struct

from ..errors import CaeError
from .geometry import HYPER_STRIDE, Rect
from .header import Kind
from .sources import Data

WORD = 4
"""Bytes of one of the entropy coder's words."""
_LENGTH = struct.Struct("<I")
LENGTH_SIZE = _LENGTH.size
"""Bytes of a mixed payload that say how long its lossless part is."""


@dataclasses.dataclass(frozen=True)
class Payload:
    """One part of a tile, coded."""

    kind: Kind
    data: Data


def length_min(kind: Kind, place: Rect) -> int:
    """Fewest bytes of a payload for a tile that covers `place`.

    Decoding a transform-coded tile is much work for each pixel, so a few bytes must not be enough to ask for it.
    """
    if kind is Kind.LOSSLESS:
        return 1
    positions = place.outward(HYPER_STRIDE)
    transform = -(-positions.height * positions.width // WORD) * WORD
    return transform if kind is Kind.TRANSFORM else _LENGTH.size + 1 + transform


def join_mixed(lossless: bytes, transform: bytes) -> Payload:
    """Makes a mixed payload of its lossless part and the transform-coded part beneath."""
    return Payload(Kind.MIXED, _LENGTH.pack(len(lossless)) + lossless + transform)


def split_payload(payload: Payload, place: Rect) -> tuple[Data, Data]:
    """Returns the lossless and the transform-coded part of a colour payload; the one that it does not have is empty.

    Raises CaeError where a mixed payload's parts do not fit in, or are shorter than any for a tile that covers `place`.
    """
    if payload.kind is Kind.LOSSLESS:
        return payload.data, b""
    if payload.kind is Kind.TRANSFORM:
        return b"", payload.data
    length, start = lossless_length(payload.data), _LENGTH.size
    rest = len(payload.data) - start - length
    if length < 1 or rest < length_min(Kind.TRANSFORM, place) or rest % WORD:
        raise CaeError(f"its lossless part claims {length} of {len(payload.data)} bytes")
    return payload.data[start : start + length], payload.data[start + length :]


def lossless_length(mixed: Data) -> int:
    """Bytes that a mixed payload claims for its lossless part; the payload's first four bytes are enough."""
    return _LENGTH.unpack_from(mixed)[0]
