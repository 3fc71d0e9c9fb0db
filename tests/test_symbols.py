"""Symbols of tiles: round trips through payloads, and payloads that no encoder writes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import CaeError
from codec.entropy.coder import VALUE_LIMIT, Decoder, encode
from codec.entropy.scale_model import STAGES
from codec.entropy.symbols import SYMBOL_PARTS, Priors, Symbols, decode_symbols

from .scale_models import HYPER, LATENT, PRIORS, entropy_tables, prior_tensors

MODEL = entropy_tables()


def symbols_of(latent: np.ndarray, hyper: np.ndarray, priors: np.ndarray, quality: int) -> Symbols:
    """Symbols with the scale indices that the model gives them."""
    scales = MODEL.scales.coding(hyper, quality, *latent.shape[:2])
    index = np.empty(latent.shape, np.uint8)
    for stage in range(STAGES):
        for place, part in list(scales.stage(stage)):
            index[place] = part
            scales.add(place, latent[place], part)
    return Symbols(priors, hyper, latent, index)


def random_symbols(rng: np.random.Generator, height: int, width: int, quality: int, spread: float = 2) -> Symbols:
    hyper_shape = -(-height // 4), -(-width // 4)
    latent = (rng.standard_cauchy((height, width, LATENT)) * spread).clip(-VALUE_LIMIT, VALUE_LIMIT).astype(np.int32)
    hyper = (rng.standard_cauchy((*hyper_shape, HYPER)) * spread).clip(-VALUE_LIMIT // 2, VALUE_LIMIT // 2).astype(np.int32)
    return symbols_of(latent, hyper, rng.integers(0, PRIORS, hyper_shape), quality)


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.integers(1, 100))
def test_round_trip(seed, height, width, quality):
    """Of every size, also where stages are empty, and with values far beyond the tables."""
    symbols = random_symbols(np.random.default_rng(seed), height, width, quality)
    payload = encode(list(symbols.groups(MODEL, quality)))
    decoded = decode_symbols(Decoder(payload), MODEL, quality, height, width)
    for name in ("priors", "hyper", "latent", "index"):
        assert np.array_equal(getattr(decoded, name), getattr(symbols, name))


def test_bits_of_the_parts_add_up():
    symbols = random_symbols(np.random.default_rng(5), 8, 8, 50)
    payload = encode(list(symbols.groups(MODEL, 50)))
    bits = Counter()
    decoder = Decoder(payload)
    whole = decoder.bits
    decode_symbols(decoder, MODEL, 50, 8, 8, bits)
    assert sum(bits.values()) == whole and set(bits) == set(SYMBOL_PARTS)


def test_words_are_pinned():
    """The payload of fixed symbols, which no version may change."""
    latent = np.arange(-12, 12).reshape(1, 3, LATENT).astype(np.int32) % 5 - 2
    symbols = symbols_of(latent, np.array([[[1, -2, 0, 3]]], np.int32), np.array([[4]]), 50)
    assert encode(list(symbols.groups(MODEL, 50))).hex() == "4e53fd9be87ffd4f878dbe6dcca37fbd13e59efa91371c1d"


def test_a_prior_that_is_not_there_is_refused():
    symbols = random_symbols(np.random.default_rng(6), 4, 4, 50)
    table, names = MODEL.priors.encode(symbols.priors, 50)
    groups = list(symbols.groups(MODEL, 50))
    payload = encode([(table, np.full_like(names, PRIORS // 2)), *groups[1:]])
    with pytest.raises(CaeError, match="names a prior"):
        decode_symbols(Decoder(payload), MODEL, 50, 4, 4)


def test_a_payload_of_more_symbols_is_refused():
    symbols = random_symbols(np.random.default_rng(7), 4, 4, 50)
    groups = list(symbols.groups(MODEL, 50))
    with pytest.raises(CaeError, match="more than the tile's symbols"):
        decode_symbols(Decoder(encode([*groups, groups[-1]])), MODEL, 50, 4, 4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mean", lambda values: values[:, 1:]),
        ("mean", lambda values: values.astype(np.int32) + 2**16),
        ("index", lambda values: values + 64),
        ("frequencies", lambda values: values * 0),
        ("frequencies", lambda values: values.astype(np.float32)),
    ],
)
def test_bad_priors_are_refused(name, change):
    tensors = prior_tensors(np.random.default_rng(0))
    with pytest.raises(ValueError, match="prior"):
        Priors(tensors | {name: change(tensors[name])}, HYPER)
