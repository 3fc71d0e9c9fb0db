"""The tile index: where each payload lies, and the rules that its entries follow."""

from __future__ import annotations

import dataclasses
import itertools
import struct
from collections.abc import Iterator, Sequence

from ..errors import CaeError
from .header import VERSION, Header, Kind
from .payload import WORD, length_min
from .sources import Data

ENTRY = struct.Struct("<QIBI")
"""Offset, length, kind and CRC."""
_LENGTH_AT = 8


@dataclasses.dataclass(frozen=True)
class Entry:
    """The place of a payload in the file, its kind and its CRC."""

    offset: int
    length: int
    kind: Kind
    crc: int


class Index(Sequence[Entry]):
    """The entries of a file's payloads, kept in the file's 17 bytes each."""

    def __init__(self, entries: Data) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries) // ENTRY.size

    def __getitem__(self, number: int) -> Entry:  # type: ignore[override]
        offset, length, kind, crc = ENTRY.unpack_from(self._entries, range(len(self))[number] * ENTRY.size)
        return Entry(offset, length, Kind(kind), crc)

    def total(self, step: int) -> int:
        """Bytes of every `step`-th payload, from the first on."""
        import numpy as np  # here: headers are read without it

        lengths = np.ndarray(len(self), "<u4", self._entries, _LENGTH_AT, (ENTRY.size,))
        return int(lengths[::step].sum(dtype=np.uint64))


class IndexChecker:
    """Collects entries that follow the rules, so that a forged index takes no more memory than it has of these.

    Args:
        start: where in the file the first payload begins.
    """

    def __init__(self, header: Header, start: int) -> None:
        self.entries = bytearray()
        self.end = start
        """End in the file of the last payload so far."""
        self._planes = header.planes
        self._least_lengths = _least_lengths(header)

    def add(self, piece: Data) -> None:
        """Adds entries; CaeError at the first that breaks a rule."""
        end = self.end
        for number, ((start, length, kind, _), least_lengths) in enumerate(
            # the iterator of least lengths comes second: it must not lose one at the end of the piece
            zip(ENTRY.iter_unpack(piece), self._least_lengths),  # noqa: B905
            len(self.entries) // ENTRY.size,
        ):
            least = least_lengths.get(kind)
            if start != end or least is None or length < least or (kind == Kind.TRANSFORM and length % WORD):
                self._refuse(number, start != end, kind, length, least)
            end += length
        self.end = end
        self.entries += piece

    def _refuse(self, number: int, misplaced: bool, kind: int, length: int, least: int | None) -> None:
        tile, plane = number // len(self._planes), self._planes[number % len(self._planes)]
        name = f"{plane.value} {tile}"
        if misplaced:
            raise CaeError(f"{name} does not begin where the part before it ends")
        if least is None:
            raise CaeError(f"{name} is of the kind {kind}, which version {VERSION} does not have there")
        if length < least:
            raise CaeError(f"{name} has {length} bytes, fewer than any of its size")
        raise CaeError(f"{name} has {length} bytes, which is no multiple of {WORD}")


def _least_lengths(header: Header) -> Iterator[dict[int, int]]:
    """Least lengths of each payload by its kind, in the order of the index."""
    columns = -(-header.width // header.tile)

    def of(tile: int) -> list[dict[int, int]]:
        place = header.place(tile)
        return [{int(kind): length_min(kind, place) for kind in header.kinds(plane)} for plane in header.planes]

    for first in range(0, header.tile_count, columns):
        inner = itertools.repeat(of(first), columns - 1)
        yield from itertools.chain.from_iterable(inner)
        yield from of(first + columns - 1)
