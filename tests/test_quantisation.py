"""Rate-distortion-optimised rounding: never further than one step from the nearest, never worse than plain rounding."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.entropy import Table
from codec.quantisation import bit_costs, choose_symbols, distortion_weight
from codec.training.export import frequencies, gaussian_mass

SCALES = (0.2, 1.0, 5.0)
TABLES = [Table(frequencies(gaussian_mass(scale, 30), np.zeros(62))) for scale in SCALES]
COSTS = bit_costs(TABLES)


@given(st.lists(st.tuples(st.floats(-25, 25), st.integers(0, 2)), min_size=1, max_size=30), st.floats(1, 100))
def test_choice_minimises_the_cost(values, weight):
    deviation = torch.tensor([value for value, _ in values], dtype=torch.float64)
    index = torch.tensor([table for _, table in values], dtype=torch.uint8)
    chosen = choose_symbols(deviation, index, COSTS, weight)
    nearest = deviation.round()

    def cost(symbols: torch.Tensor) -> torch.Tensor:
        return COSTS[index.long(), symbols.abs().long()] + weight * (symbols - deviation).square()

    towards_zero = nearest - nearest.sign()
    assert torch.equal(chosen, torch.where(cost(towards_zero) < cost(nearest), towards_zero, nearest))


def test_costs_are_those_of_the_tables():
    for row, table in zip(COSTS, TABLES, strict=True):
        for magnitude in (0, 1, 7):
            assert abs(row[magnitude].item() - table.ideal_bits(np.array([magnitude]))) < 1e-4
        assert row[-1] > row[0]


def test_weight_rises_with_quality():
    weights = [distortion_weight(quality) for quality in range(1, 101)]
    assert sorted(weights) == weights
