"""Products of integer matrices: each kind equals 64-bit integer arithmetic, at the extremes too."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.networks.products import LIMIT, InBytes, InFloat64, bytes_are_fast, bytes_work, product

needs_bytes = pytest.mark.skipif(not bytes_are_fast(), reason="this CPU has no products of bytes")
KINDS = [InFloat64, pytest.param(InBytes, marks=needs_bytes)]


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(1, 70), st.integers(2, 400), st.integers(1, 40), st.booleans(), st.integers(0, 2**31))
def test_equals_integers(kind, rows, inputs, outputs, extreme, seed):
    chance = torch.Generator().manual_seed(seed)
    x = torch.randint(-LIMIT, LIMIT + 1, (rows, inputs), dtype=torch.int32, generator=chance)
    weight = torch.randint(-128, 128, (outputs, inputs), dtype=torch.int8, generator=chance)
    bias = torch.randint(-(2**24), 2**24, (outputs,), dtype=torch.int32, generator=chance)
    if extreme:
        x = torch.where(x < 0, -LIMIT, LIMIT).to(torch.int32)
        weight = torch.where(weight < 0, -128, 127).to(torch.int8)
    expected = x.long() @ weight.long().T + bias
    assert torch.equal(kind(weight, bias)(x).long(), expected)


@needs_bytes
def test_bytes_work_where_they_are_fast():
    assert bytes_work()


def test_other_types_are_refused():
    weight, bias = torch.zeros(2, 3, dtype=torch.int8), torch.zeros(2, dtype=torch.int32)
    for wrong in ((weight.int(), bias), (weight, bias.float()), (weight, bias.long())):
        with pytest.raises(ValueError, match="not int8 and int32"):
            product(*wrong)


def test_sums_beyond_32_bits_are_refused():
    weight, bias = torch.full((2, 512), 127, dtype=torch.int8), torch.zeros(2, dtype=torch.int32)
    product(weight, bias)
    with pytest.raises(ValueError, match="32 bits"):
        product(weight.repeat(1, 2), bias)
    with pytest.raises(ValueError, match="32 bits"):
        product(weight, bias + 2**27)
