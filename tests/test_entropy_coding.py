"""The entropy coder: round trips, exact words, and lengths."""

import bisect

import constriction
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import CaeError
from codec.entropy.coder import VALUE_LIMIT, Decoder, FrequencyTable, encode, group_values
from codec.training.calibration import frequencies, gaussian_mass

TABLES = [
    FrequencyTable(np.array([1, 900, 1, 1])),
    FrequencyTable(np.array([10, 100, 700, 100, 10, 1])),
    FrequencyTable(np.arange(1, 43)),
]
VALUES = st.integers(-VALUE_LIMIT, VALUE_LIMIT)


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.one_of(st.integers(-3, 3), VALUES), max_size=20)), max_size=6))
def test_round_trip(groups):
    payload = encode([(TABLES[number], np.array(values, np.int32)) for number, values in groups])
    decoder = Decoder(payload)
    for number, values in groups:
        assert decoder.decode(TABLES[number], len(values)).tolist() == values
    decoder.finish()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-100, 100)), min_size=1, max_size=200))
def test_groups_keep_order(pairs):
    index = np.array([number for number, _ in pairs], np.uint8)
    values = np.array([value for _, value in pairs], np.int32)
    decoder = Decoder(encode(group_values(values, index, TABLES)))
    assert decoder.decode_groups(index, TABLES).tolist() == values.tolist()
    decoder.finish()


def test_exact_words():
    """Coded output is part of the format: if these words change, the version of the format must."""
    values = np.array([0, 1, -1, 0, 2, 0, 0, -2, 5, -70000, 0, 1], np.int32)
    payload = encode([(TABLES[1], values), (TABLES[0], values[:6])])
    assert payload.hex() == "b06e117bbef4ffa3c0c897dc908d1f00"


@pytest.mark.parametrize("scale", [0.11, 0.3, 1.0, 4.0, 60.0])
def test_length_is_close_to_the_ideal(scale):
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(0, scale, 200_000)).astype(np.int32)
    radius = max(3, int(5 * scale) + 1)
    table = FrequencyTable(frequencies(gaussian_mass(scale, radius), np.zeros(2 * radius + 2)))
    assert 8 * len(encode([(table, values)])) < 1.002 * table.ideal_bits(values) + 64


class ReferenceCoder:
    """The coder of FORMAT.md, with Python's integers and nothing shared with `codec.entropy`."""

    def __init__(self, payload: bytes) -> None:
        self.words = [int.from_bytes(payload[i : i + 4], "little") for i in range(0, len(payload), 4)]
        self.state = 0
        while self.state < 2**32 and self.words:
            self.take()

    def take(self) -> None:
        self.state = self.state << 32 | self.words.pop()

    def pop(self, starts: list[int]) -> int:
        place = self.state % 2**24
        entry = bisect.bisect_right(starts, place) - 1
        self.state = (self.state >> 24) * (starts[entry + 1] - starts[entry]) + place - starts[entry]
        if self.state < 2**32 and self.words:
            self.take()
        return entry


def starts_of(frequencies: list[int]) -> list[int]:
    scale = (2**24 - len(frequencies)) / sum(frequencies)
    return [int(sum(frequencies[:i]) * scale) + i for i in range(len(frequencies))] + [2**24]


@given(
    st.lists(st.integers(1, 2**20), min_size=4, max_size=40).filter(lambda parts: len(parts) % 2 == 0),
    st.lists(st.integers(-VALUE_LIMIT, VALUE_LIMIT) | st.integers(-30, 30), max_size=60),
)
def test_equals_the_specified_coder(frequencies, values):
    """The coder, tables and escapes of FORMAT.md decode what the library encodes."""
    table = FrequencyTable(np.array(frequencies))
    coder = ReferenceCoder(encode([(table, np.array(values, np.int32))]))
    starts, radius = starts_of(frequencies), table.radius
    decoded = [coder.pop(starts) - radius for _ in values]
    escaped = [i for i, value in enumerate(decoded) if value > radius]
    bits = [coder.pop(range(0, 2**24 + 1, 2**19)) for _ in escaped]
    signs = [coder.pop([0, 2**23, 2**24]) for _ in escaped]
    excess = [2**b for b in bits]
    for low, width in ((0, lambda b: min(b, 16)), (16, lambda b: b - 16)):
        for i, b in enumerate(bits):
            if width(b) > 0:
                excess[i] += coder.pop(range(0, 2**24 + 1, 2 ** (24 - width(b)))) << low
    for i, e, sign in zip(escaped, excess, signs, strict=True):
        decoded[i] = -(radius + e) if sign else radius + e
    assert decoded == values
    assert coder.state == 0 and not coder.words


@given(st.binary(max_size=80).map(lambda data: data[: len(data) // 4 * 4]).filter(lambda data: any(data[-4:])))
def test_equals_the_specified_coder_on_arbitrary_payloads(payload):
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(payload, "<u4").astype(np.uint32))
    for table in TABLES * 3:
        reference = ReferenceCoder(coder.get_compressed().astype("<u4").tobytes())
        starts = starts_of(table.frequencies.tolist())
        assert coder.decode(table.model, 20).tolist() == [reference.pop(starts) for _ in range(20)]


def test_left_over_words_are_refused():
    payload = encode([(TABLES[1], np.array([1, 2, -2, 1] * 50, np.int32))])
    decoder = Decoder(payload)
    decoder.decode(TABLES[1], 100)
    with pytest.raises(CaeError, match="more than"):
        decoder.finish()


@pytest.mark.parametrize("value", [VALUE_LIMIT + 1, -VALUE_LIMIT - 1, 2**31 - 1])
def test_values_beyond_24_bits_are_refused(value):
    payload = encode([(TABLES[1], np.array([value], np.int32))])
    with pytest.raises(CaeError, match="24 bits"):
        Decoder(payload).decode(TABLES[1], 1)


def test_trailing_zero_word_is_refused():
    with pytest.raises(CaeError, match="zero word"):
        Decoder(bytes(8))


@given(st.binary(max_size=64).map(lambda data: data[: len(data) // 4 * 4]))
def test_arbitrary_payloads_decode_or_are_refused(data):
    try:
        decoder = Decoder(data)
        for table in TABLES:
            assert len(decoder.decode(table, 50)) == 50
        decoder.finish()
    except CaeError:
        pass
