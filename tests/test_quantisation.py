"""Rate-distortion-optimised rounding: of the nearest integer and the next one towards zero, always the cheaper."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.format.entropy_coding import Table
from codec.networks.quantisation import DISTORTION_WEIGHT, Quantiser
from codec.training.calibration import frequencies, gaussian_mass

SCALES = (0.2, 1.0, 5.0)
TABLES = [Table(frequencies(gaussian_mass(scale, 30), np.zeros(62))) for scale in SCALES]
QUANTISER = Quantiser(TABLES)


@given(st.lists(st.tuples(st.floats(-25, 25), st.integers(0, 2)), min_size=1, max_size=30))
def test_choice_minimises_the_cost(values):
    deviation = torch.tensor([value for value, _ in values], dtype=torch.float64)
    index = torch.tensor([table for _, table in values], dtype=torch.uint8)
    nearest = deviation.round()

    def cost(symbols: torch.Tensor) -> torch.Tensor:
        magnitude = symbols.abs()
        bits = torch.tensor([TABLES[i].ideal_bits(np.array([int(k)])) for i, k in zip(index, magnitude, strict=True)])
        return bits + DISTORTION_WEIGHT * (deviation.abs() - magnitude).square()

    chosen = QUANTISER.choose(deviation, index)
    towards_zero = nearest - nearest.sign()
    assert ((chosen == nearest) | (chosen == towards_zero)).all()
    assert (cost(chosen) <= torch.minimum(cost(nearest), cost(towards_zero)) + 1e-3).all()


def test_huge_values_stay_close():
    deviation = torch.tensor([1e6, -3e5, 40.4], dtype=torch.float64)
    chosen = QUANTISER.choose(deviation, torch.zeros(3, dtype=torch.uint8))
    assert (chosen - deviation).abs().max() <= 1.5
