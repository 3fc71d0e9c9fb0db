"""Decoders that enlarge: trained beside finished weights, which stay as they are."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import codec
from codec.networks.enlarging import EnlargedSynthesis
from codec.networks.weights import Weights
from codec.training.decoders.enlarging import EnlargingDecoder, average_rounded
from codec.training.export import restore
from codec.training.gradients import Gradients
from codec.training.initialisation import initialise_enlarged
from codec.training.loss import validate
from codec.training.options import Options
from codec.training.processes import Processes
from codec.training.run import Run
from codec.training.train import train

from .conftest import TINY


def learn(folder, run, **more):
    choices = {"steps": 1, "patch": 128, "batch": 1, "start_from": TINY, "quiet": True, "enlarge": 2} | more
    return train(Options(folder, run, **choices), Weights.read(TINY).config)


def test_they_are_added_to_the_weights(folder, tmp_path):
    path = tmp_path / "enlarging.safetensors"
    learn(folder, tmp_path / "run", export=path)
    before, after = load_file(TINY), load_file(path)
    assert Weights.read(path).id == Weights.read(TINY).id
    assert all(torch.equal(after.pop(name), value) for name, value in before.items())
    assert {"/".join(name.split("/")[:2]) for name in after} == {"enlarged/2"}
    assert "training of 2" in Weights.read(path).metadata


def test_it_goes_on_from_what_the_weights_hold(folder, tmp_path):
    path, run = tmp_path / "more.safetensors", tmp_path / "run"
    first = learn(folder, run, export=path, steps=3)
    second = Run(Options(folder, tmp_path / "second", steps=1, start_from=path, enlarge=2, patch=128), first.model.config)
    for name, value in first.average.state_dict().items():
        assert torch.allclose(second.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    fresh = Run(Options(folder, tmp_path / "fresh", steps=1, start_from=TINY, enlarge=2, patch=128), first.model.config)
    assert not torch.allclose(fresh.model.network.patch_out.direct.bias, first.average.network.patch_out.direct.bias)


def test_the_start_is_the_decoder_enlarged(astronaut):
    """Each pixel of the ordinary decode is about the mean of its four."""
    model = restore(TINY)
    network = EnlargedSynthesis(model.config, 2)
    initialise_enlarged(network, model.synthesis)
    level = torch.tensor([6.0])
    with torch.inference_mode():
        y = model.analysis(torch.from_numpy(astronaut[None, :128, :64] / np.float32(255)) - 0.5, level)
        small, large = model.synthesis(y, level), network(y, level)
    assert large.shape == (1, 256, 128, 3)
    assert (average_rounded(large + 0.5, 2) - 0.5 - small).abs().mean() < 0.02


def test_the_model_sees_halves_and_the_loss_the_whole(astronaut):
    model = EnlargingDecoder(restore(TINY), 2)
    x = torch.from_numpy(astronaut[None, :128, :128] / np.float32(255))
    half = torch.from_numpy(np.asarray(Image.fromarray(astronaut[:128, :128]).reduce(2)) / np.float32(255))
    assert (255 * (average_rounded(x, 2)[0] - half)).abs().max() <= 1.01
    level = torch.tensor([6.0])
    with torch.no_grad():
        decoded, *bits = model(x, level)
        expected = restore(TINY)(average_rounded(x, 2), level)[1:]
    assert decoded.shape == x.shape
    assert [each.item() for each in bits] == [each.item() for each in expected]
    assert validate(model, [astronaut[:200, :130]], "cpu", torch.float32) > 0


def test_it_learns(astronaut):
    torch.manual_seed(0)
    gradients = Gradients(EnlargingDecoder(restore(TINY), 2), 1, 0, torch.float32, Processes())
    x = torch.from_numpy(astronaut[None, :128, :128] / np.float32(255))
    optimizer = torch.optim.Adam(gradients.parameters, 2e-3)
    measured = []
    for _ in range(8):
        measured.append(gradients(x, 0).tolist())
        optimizer.step()
    assert measured[-1][2] < 0.95 * measured[0][2] and measured[-1][1] == measured[0][1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enlarge": 3}, "enlarge 3"),
        ({"patch": 64}, "a multiple of 128"),
        ({"start_from": None}, "--start-from"),
        ({"reduced": 2}, "without other kinds"),
        ({"freeze": "decoder"}, "without other kinds"),
    ],
)
def test_bad_options(folder, tmp_path, changes, message):
    with pytest.raises(codec.CaeError, match=message):
        learn(folder, tmp_path, **changes)
