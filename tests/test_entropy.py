"""The entropy coder: round trips, exact words, and lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import CaeError
from codec.entropy import Decoder, Table, encode, group_values
from codec.training.calibration import frequencies, gaussian_mass

TABLES = [Table(np.array([1, 900, 1, 1])), Table(np.array([10, 100, 700, 100, 10, 1])), Table(np.arange(1, 43))]
INT32 = st.integers(-(2**31) + 1, 2**31 - 1)


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.one_of(st.integers(-3, 3), INT32), max_size=20)), max_size=6))
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
    table = Table(frequencies(gaussian_mass(scale, radius), np.zeros(2 * radius + 2)))
    assert 8 * len(encode([(table, values)])) < 1.002 * table.ideal_bits(values) + 64


def test_left_over_words_are_refused():
    payload = encode([(TABLES[1], np.array([1, 2, -2, 1] * 50, np.int32))])
    decoder = Decoder(payload)
    decoder.decode(TABLES[1], 100)
    with pytest.raises(CaeError, match="more than"):
        decoder.finish()


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
