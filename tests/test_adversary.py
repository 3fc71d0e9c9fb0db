"""Training against a network that tells decoded pictures from photographs."""

import csv
import math

import numpy as np
import pytest
import skimage.data
import torch
from scipy import ndimage

import codec
from codec.networks.weights import Weights
from codec.training.adversary import Adversary
from codec.training.options import Options
from codec.training.train import Run, train

from .conftest import TINY


def judged(folder, run, steps=3, **more) -> Run:
    told = {"patch": 64, "batch": 2, "start_from": TINY, "freeze": "encoder", "adversarial": 1.0, "log_every": 1, "quiet": True}
    return train(Options(folder, run, steps=steps, **told | more), Weights.read(TINY).config)


def patches(picture: np.ndarray) -> torch.Tensor:
    """Sixteen patches (16, 32, 32, 3) in [0, 1]."""
    x = torch.from_numpy(picture[:128, :128].copy()).float().div(255)
    return x.unfold(0, 32, 32).unfold(1, 32, 32).flatten(0, 1).movedim(1, -1)


def test_it_learns_what_is_a_photograph():
    """And a decoder could learn from it: what it takes for photographs has the smaller loss."""
    torch.manual_seed(0)
    photograph = skimage.data.astronaut()
    real, blurred = patches(photograph), patches(ndimage.gaussian_filter(photograph, (2, 2, 0)))
    adversary = Adversary(1.0, "cpu")
    place = torch.full((len(real),), 0.5)
    losses = []
    for _ in range(30):
        loss = adversary.loss(blurred, real, place).mean()
        losses.append(loss.item())
        adversary.step(torch.autograd.grad(loss, adversary.parameters))
    assert losses[0] == pytest.approx(math.log(4), abs=0.1) and losses[-1] < losses[0] - 0.015
    assert adversary.deceived(real, place).mean() < adversary.deceived(blurred, place).mean()


def test_its_layers_stay_normalised():
    torch.manual_seed(0)
    adversary = Adversary(1.0, "cpu")
    for _ in range(20):
        adversary.step([0.1 * torch.ones_like(parameter) for parameter in adversary.parameters])
    largest = torch.linalg.svdvals(adversary.network.layers[1].weight.detach().flatten(1))[0]
    assert largest == pytest.approx(1, abs=0.3)


def test_the_decoder_takes_it_in(folder, tmp_path):
    """Its share changes the decoder, and its loss is logged; nothing but the decoder changes."""
    with_it, without = (judged(folder, tmp_path / str(share), adversarial=share) for share in (1.0, 0.0))
    a, b = with_it.model.state_dict(), without.model.state_dict()
    changed = {name.split(".")[0] for name in a if not a[name].equal(b[name])}
    assert changed == {"synthesis"}
    with open(tmp_path / "1.0" / "log.csv", newline="") as file:
        assert all(0.5 < float(row["adversary"]) < 3 for row in csv.DictReader(file))


def test_a_run_goes_on_with_its_adversary(folder, tmp_path):
    """Bit for bit, and with the same share."""
    whole, half = judged(folder, tmp_path / "whole", 4), judged(folder, tmp_path / "half", 2)
    assert not half.adversary.network.judge.bias.equal(whole.adversary.network.judge.bias)
    half = judged(folder, tmp_path / "half", 4)
    for a, b in ((whole.model, half.model), (whole.adversary.network, half.adversary.network)):
        assert all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())
    with pytest.raises(codec.CaeError, match=r"run with adversarial 1\.0, not 0\.5"):
        judged(folder, tmp_path / "half", 5, adversarial=0.5)


@pytest.mark.parametrize("changes", [{"freeze": None}, {"freeze": "decoder"}, {"adversarial": -1.0}, {"adversarial": math.nan}])
def test_bad_options(folder, tmp_path, changes):
    with pytest.raises(codec.CaeError, match="adversar"):
        judged(folder, tmp_path, **changes)


def test_a_step_that_is_not_finite_leaves_the_adversary_as_it_is_finite(folder, tmp_path, monkeypatch):
    def broken(_decoded, _photographs, place):
        return torch.full_like(place, torch.nan) * sum(p.sum() for p in run.adversary.parameters)

    told = {"patch": 64, "batch": 2, "start_from": TINY, "freeze": "encoder", "adversarial": 1.0, "steps": 3, "quiet": True}
    run = Run(Options(folder, tmp_path, **told), Weights.read(TINY).config)
    monkeypatch.setattr(run.adversary, "loss", broken)
    run.train_step(torch.rand(2, 64, 64, 3))
    assert all(parameter.isfinite().all() for parameter in run.adversary.parameters)
