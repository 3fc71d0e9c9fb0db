"""Rate-distortion-optimised rounding: of the nearest integer and the next one towards zero, always the cheaper."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.entropy.coder import VALUE_LIMIT, FrequencyTable
from codec.networks.config import RDO_WEIGHT
from codec.networks.entropy_model import rdo_straight_through
from codec.networks.means import anchors
from codec.networks.quantisation import COUPLED, COUPLING, COUPLING_FLAT, Quantiser
from codec.training.calibration import frequencies, gaussian_mass

SCALES = (0.2, 1.0, 5.0)
TABLES = [FrequencyTable(frequencies(gaussian_mass(scale, 30), np.zeros(62))) for scale in SCALES]
QUANTISER = Quantiser(TABLES)


@given(st.lists(st.tuples(st.floats(-25, 25), st.integers(0, 2)), min_size=1, max_size=30))
def test_choice_minimises_the_cost(values):
    deviation = torch.tensor([value for value, _ in values], dtype=torch.float64)
    index = torch.tensor([table for _, table in values], dtype=torch.uint8)
    nearest = deviation.round()

    def cost(symbols: torch.Tensor) -> torch.Tensor:
        magnitude = symbols.abs()
        bits = torch.tensor([TABLES[i].ideal_bits(np.array([int(k)])) for i, k in zip(index, magnitude, strict=True)])
        return bits + RDO_WEIGHT * (deviation.abs() - magnitude).square()

    chosen = QUANTISER.rdo_quantise(deviation, index)
    towards_zero = nearest - nearest.sign()
    assert ((chosen == nearest) | (chosen == towards_zero)).all()
    assert (cost(chosen) <= torch.minimum(cost(nearest), cost(towards_zero)) + 1e-3).all()


def test_training_chooses_alike():
    """Under Gaussians, but for near ties, and with the gradient of the identity."""
    random = np.random.default_rng(0)
    index = random.integers(0, len(SCALES), 20000)
    scale = np.array(SCALES)[index]
    deviation = torch.tensor(random.normal(0, scale), dtype=torch.float32, requires_grad=True)
    chosen = rdo_straight_through(deviation, torch.tensor(scale, dtype=torch.float32).log())
    expected = QUANTISER.rdo_quantise(deviation.detach(), torch.from_numpy(index))
    assert (chosen.round() == expected).float().mean() > 0.999 > (deviation.round() == expected).float().mean()
    assert torch.autograd.grad(chosen.sum(), deviation)[0].eq(1).all()


def test_huge_values_stay_close():
    deviation = torch.tensor([1e6, -3e5, 40.4], dtype=torch.float64)
    chosen = QUANTISER.rdo_quantise(deviation, torch.zeros(3, dtype=torch.uint8))
    assert (chosen - deviation).abs().max() <= 1.5


def test_flat_tiles_take_the_nearest():
    index = np.zeros((2, 2, 100), np.uint8)
    index[..., 0] = 40
    assert QUANTISER.is_flat(index)
    index[..., :3] = 40
    assert not QUANTISER.is_flat(index)
    deviation = torch.tensor([0.6, -0.6, 0.4, 1e9])
    rounded = QUANTISER.rdo_quantise(deviation, torch.zeros(4, dtype=torch.uint8), rounding=True)
    assert rounded.tolist() == [1, -1, 0, VALUE_LIMIT]


@pytest.mark.parametrize(("flat", "coupling"), [(False, COUPLING), (True, COUPLING_FLAT)])
def test_non_anchors_make_up_for_their_neighbours(flat, coupling):
    """Each gains a share of the same channel's errors around it, in the coupled channels alone."""
    deviation = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(0))
    errors = (deviation - deviation.round()) * anchors(5, 6, 8)
    around = torch.nn.functional.pad(errors, (0, 0, 1, 1, 1, 1))
    around = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    around[..., COUPLED:] = 0
    expected = deviation + coupling * around
    assert torch.allclose(QUANTISER.diffuse_error(deviation.clone(), errors, flat), expected)
