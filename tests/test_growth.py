"""Models that grow from trained ones: what is kept codes as before, and what is new begins as nothing."""

import dataclasses

import numpy as np
import pytest
import skimage.data
import torch

from codec import CaeError
from codec.training.autoencoder import Autoencoder
from codec.training.data.patches import random_patches
from codec.training.export import restore
from codec.training.growth import grow

from .conftest import TINY


@pytest.fixture(scope="module")
def patches() -> torch.Tensor:
    images = [torch.from_numpy(skimage.data.astronaut().copy())]
    return random_patches(images, 16, 64, [np.random.default_rng(0)] * 16)


@pytest.fixture(scope="module")
def plain() -> Autoencoder:
    """A model without wide blocks."""
    model = restore(TINY)
    config = dataclasses.replace(model.config, analysis_wide_blocks=0, synthesis_wide_blocks=0)
    without = Autoencoder(config)
    state = {name: value for name, value in model.state_dict().items() if "wide" not in name}
    without.load_state_dict(state)
    return without.eval()


def decoded(model: Autoencoder) -> list[torch.Tensor]:
    x = torch.from_numpy(skimage.data.coffee()[None, :128, :128].copy()).float() / 255
    with torch.inference_mode():
        return list(model(x, torch.tensor([1.5])))


@pytest.mark.parametrize(
    "changes",
    [
        {"analysis_wide_blocks": 2, "synthesis_wide_blocks": 3},
        {"analysis_wide_blocks": 1, "analysis_wide_expansion": 3},
        {"analysis_blocks": 4},
        {"synthesis_blocks": 3},
    ],
)
def test_more_blocks_change_nothing_at_first(plain, patches, changes):
    grown = grow(plain, dataclasses.replace(plain.config, **changes), patches)
    assert len(list(grown.parameters())) > len(list(plain.parameters()))
    for actual, expected in zip(decoded(grown), decoded(plain), strict=True):
        assert torch.allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_further_levels_go_on_from_the_last_two(plain, patches):
    before = plain.config
    grown = grow(plain, dataclasses.replace(before, levels=before.levels + 2), patches)
    for level in (0.5, before.levels - 1, before.levels + 0.25):
        x, level = patches[:1].float() / 255, torch.tensor([float(level)])
        assert torch.allclose(grown(x, level)[0], plain(x, level)[0], atol=1e-5)
    assert len(grown.entropy.log_gain) == before.levels + 2


def test_the_units_that_move_least_go(plain, patches):
    """Half of the feed-forward part costs less than leaving it away."""
    half = grow(plain, dataclasses.replace(plain.config, synthesis_expansion=1), patches)
    assert half.synthesis.blocks[0].down.in_features == plain.config.channels
    without = grow(plain, plain.config, patches)
    for block in without.synthesis.blocks:
        block.down.weight.data.zero_()
    before = decoded(plain)[0]
    assert (decoded(half)[0] - before).square().mean() < (decoded(without)[0] - before).square().mean()


def test_other_differences_are_refused(plain, patches):
    with pytest.raises(CaeError, match="cannot grow"):
        grow(plain, dataclasses.replace(plain.config, latent_channels=64), patches)
