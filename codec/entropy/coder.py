"""Entropy coding of integers under tables, with constriction's ANS coder. Knows NumPy only.

Symbols are grouped by table, so that each group is one call under one fixed model. ANS is a stack: symbols that are decoded
first must be encoded last, so `encode` takes the groups in decoding order and pushes them in reverse.
"""

from __future__ import annotations

from collections.abc import Sequence

import constriction
import numpy as np

from ..errors import CaeError

VALUE_LIMIT = 2**23 - 1
"""Largest magnitude of a value that a file may hold."""

_LENGTHS = constriction.stream.model.Uniform(32)
_SIGNS = constriction.stream.model.Uniform(2)
_BITS = constriction.stream.model.Uniform()
_LOW_BITS = 16


class FrequencyTable:
    """Frequencies of the values -m to m and, as the last entry, of the escape for any other value.

    `frequencies` holds 2m + 2 positive integers. Source of the coder: Bamler, 2022, arXiv:2201.01741.

    >>> table = FrequencyTable(np.array([1, 6, 1, 1]))
    >>> words = encode([(table, np.array([0, 0, -1, 1, 700]))])
    >>> Decoder(words).decode(table, 5)
    array([  0,   0,  -1,   1, 700], dtype=int32)
    """

    def __init__(self, frequencies: np.ndarray) -> None:
        self.radius = (len(frequencies) - 2) // 2
        self.model = constriction.stream.model.Categorical(np.asarray(frequencies, np.float64), perfect=False)
        self.frequencies = np.asarray(frequencies)

    def ideal_bits(self, values: np.ndarray) -> float:
        """Code length of values under the frequencies, in bits, escapes included."""
        total = float(np.log2(self.frequencies.sum()))
        symbols, escaped = self.symbols(values)
        excess = np.abs(escaped.astype(np.int64)) - self.radius
        return float((total - np.log2(self.frequencies[symbols])).sum() + (5 + np.floor(np.log2(excess)) + 1).sum())

    def symbols(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Looks up the table entries (int32) of values; returns them and the escaped values."""
        symbols = values.astype(np.int32) + np.int32(self.radius)
        outside = (values < -self.radius) | (values > self.radius)
        symbols[outside] = 2 * self.radius + 1
        return symbols, values[outside]


def tables_from_arrays(frequencies: np.ndarray, lengths: np.ndarray) -> list[FrequencyTable]:
    """Makes tables of their concatenated frequencies and their lengths."""
    return [FrequencyTable(part) for part in np.split(frequencies, np.cumsum(lengths)[:-1])]


def group(index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the stable order that sorts table numbers `index` (flat, uint8), and the uses of each of `count` tables."""
    return np.argsort(index, kind="stable"), np.bincount(index, minlength=count)


Groups = Sequence[tuple[FrequencyTable, np.ndarray]]
"""Values (int32), each group under its table."""


def encode(groups: Groups, least: int = 0) -> bytes:
    """Codes groups to a payload that `Decoder` reads in the same order, padded with zeros to at least `least` bytes."""
    coder = constriction.stream.stack.AnsCoder()
    for table, values in reversed(groups):
        symbols, escaped = table.symbols(values)
        if len(escaped):
            _push_escapes(coder, np.abs(escaped.astype(np.int64)) - table.radius, escaped < 0)
        coder.encode_reverse(symbols, table.model)
    return coder.get_compressed().astype("<u4").tobytes().ljust(least, b"\0")


def group_values(
    values: np.ndarray, index: np.ndarray, tables: Sequence[FrequencyTable]
) -> list[tuple[FrequencyTable, np.ndarray]]:
    """Groups values (flat, int32) for `encode` by the table numbers `index` (flat, uint8)."""
    order, counts = group(index, len(tables))
    parts = np.split(values[order], np.cumsum(counts)[:-1])
    return [(table, part) for table, part in zip(tables, parts, strict=True) if len(part)]


class Decoder:
    """Reads a payload, padded to at least `least` bytes; CaeError where `encode` cannot have written it."""

    def __init__(self, payload: bytes | memoryview, least: int = 0) -> None:
        words = np.frombuffer(payload, "<u4").astype(np.uint32)
        if len(payload) == least:
            words = np.trim_zeros(words, "b")
        if len(words) and words[-1] == 0:
            raise CaeError("a tile's payload ends with a zero word, which no encoder writes")
        self._coder = constriction.stream.stack.AnsCoder(words)

    @property
    def bits(self) -> int:
        """Bits that are left, up to a whole word."""
        return self._coder.num_bits()

    def decode(self, table: FrequencyTable, count: int) -> np.ndarray:
        """Reads the next `count` values (int32), all under one table."""
        values = self._coder.decode(table.model, count)
        escapes = np.flatnonzero(values == 2 * table.radius + 1)
        values -= table.radius
        if len(escapes):
            values[escapes] = self._pop_escapes(len(escapes), table.radius)
        return values

    def decode_groups(self, index: np.ndarray, tables: Sequence[FrequencyTable]) -> np.ndarray:
        """Reads the values (int32) that `group_values` has grouped by `index` (flat, uint8), and puts them in their order."""
        order, counts = group(index, len(tables))
        parts = [self.decode(table, int(count)) for table, count in zip(tables, counts, strict=True) if count]
        values = np.empty(len(index), np.int32)
        values[order] = np.concatenate(parts)
        return values

    def finish(self) -> None:
        """CaeError where a part of the payload has not been read."""
        if not self._coder.is_empty():
            raise CaeError("a tile's payload holds more than the tile's symbols")

    def _pop_escapes(self, count: int, radius: int) -> np.ndarray:
        bits = self._coder.decode(_LENGTHS, count)
        negative = self._coder.decode(_SIGNS, count) == 1
        excess = np.ones(count, np.int64)
        for shift, width in _bit_fields(bits):
            chosen = width > 0
            if chosen.any():
                field = self._coder.decode(_BITS, (1 << width[chosen]).astype(np.int32))
                excess[chosen] += field.astype(np.int64) << shift
        excess += (1 << bits.astype(np.int64)) - 1
        values = np.where(negative, -1, 1) * (radius + excess)
        if np.abs(values).max() > VALUE_LIMIT:
            raise CaeError("a tile's payload holds a value beyond 24 bits, which no encoder writes")
        return values.astype(np.int32)


def _bit_fields(bits: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Splits the bits below the top one of numbers with `bits` + 1 bits: (position, widths), the low 16 first."""
    return [(0, np.minimum(bits, _LOW_BITS)), (_LOW_BITS, np.maximum(bits - _LOW_BITS, 0))]


def _push_escapes(coder: constriction.stream.stack.AnsCoder, excess: np.ndarray, negative: np.ndarray) -> None:
    """Inverse of `Decoder._pop_escapes`: excess >= 1 as its bit length, sign, and the bits below the top one."""
    bits = np.frexp(excess.astype(np.float64))[1].astype(np.int32) - 1
    rest = excess - (np.int64(1) << bits.astype(np.int64))
    for shift, width in reversed(_bit_fields(bits)):
        chosen = width > 0
        if chosen.any():
            field = (rest[chosen] >> shift) & ((1 << width[chosen].astype(np.int64)) - 1)
            coder.encode_reverse(field.astype(np.int32), _BITS, (1 << width[chosen]).astype(np.int32))
    coder.encode_reverse(negative.astype(np.int32), _SIGNS)
    coder.encode_reverse(bits, _LENGTHS)
