"""Ways to enlarge in the synthesis: reach, start, checkerboards, and the benchmark that compares them."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from benchmarks import __main__ as command
from benchmarks.core.operations import macs_per_pixel
from benchmarks.training.upsampling import checkerboard_energy, new_model, repeating_variance, synthesis_macs
from benchmarks.training.upsampling_layers import UPSAMPLINGS, macs_per_position
from codec.networks import config as configuration
from codec.networks.layers import PixelShuffle
from codec.training.gradients import Gradients
from codec.training.processes import Processes

from .make_tiny_weights import CONFIG

LIMITS = {"pixel-shuffle": (6, 12), "transposed": (6, 12), "nearest": (1e-4, 0.02)}
"""Most energy of checkerboards at the start, where components that are rounded away leave some, and after 20 steps."""
WAYS = pytest.mark.parametrize("name", UPSAMPLINGS)


@pytest.fixture(scope="module")
def photographs():
    return [skimage.data.astronaut(), skimage.data.coffee()]


@WAYS
def test_reach(name):
    """A pixel depends on no position beyond the reach, and where that is 1, on the neighbours."""
    torch.manual_seed(0)
    layer = UPSAMPLINGS[name](PixelShuffle(5, 3, 8))
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.zeros(1, 7, 7, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x)[:, 24:32, 24:32].square().sum(), x)
    rows = gradient.abs().sum((0, 2, 3)).nonzero().flatten().tolist()
    assert rows == list(range(3 - layer.reach, 4 + layer.reach))


@WAYS
def test_macs_of_a_layer(name):
    """Each weight of a layer counts once for each position that it is applied at."""
    counted = {
        "pixel-shuffle": 32 * 3 * 64,
        "transposed": 32 * 3 * 16**2,
        "nearest": 4 * 9 * 32 * 16 + 16 * 9 * 16 * 8 + 64 * 9 * 8 * 3,
    }
    assert macs_per_position(UPSAMPLINGS[name](PixelShuffle(32, 3, 8))) == counted[name]


def test_macs_of_the_synthesis(photographs):
    macs = {name: synthesis_macs(new_model(CONFIG, photographs, 0, name)) for name in UPSAMPLINGS}
    assert macs["pixel-shuffle"] == pytest.approx(macs_per_pixel(CONFIG)["synthesis"])
    assert macs["transposed"] > macs["pixel-shuffle"]


def test_transposed_starts_as_pixel_shuffle(photographs):
    models = [new_model(CONFIG, photographs, 0, name) for name in ("pixel-shuffle", "transposed")]
    y, level = torch.randn(1, 3, 4, CONFIG.latent_channels), torch.tensor([1.0])
    with torch.inference_mode():
        first, second = (model.synthesis(y, level) for model in models)
    assert torch.allclose(first, second, atol=1e-4)


def test_repeating_variance():
    board = torch.from_numpy(np.indices((64, 64)).sum(0) % 2).float()[None, :, :, None]
    assert repeating_variance(board) == pytest.approx(0.25)
    assert repeating_variance(torch.linspace(0, 1, 64)[None, :, None, None].expand(1, 64, 64, 1)) < 0.01


@WAYS
def test_checkerboards_of_plain_pictures_stay_faint(name, photographs):
    """Squared 8-bit levels; none at all where no layer knows a pixel's place."""
    model = new_model(CONFIG, photographs, 0, name)
    assert checkerboard_energy(model) < LIMITS[name][0]
    gradients = Gradients(model, 4, 0, torch.float32, Processes())
    optimizer = torch.optim.Adam(gradients.parameters, 3e-4)
    x = torch.from_numpy(np.stack([picture[:128, :128] for picture in photographs] * 2)).float() / 255
    before = gradients(x, 0)[0]
    for _ in range(20):
        optimizer.step()
        after = gradients(x, 0)[0]
    assert after < before
    assert checkerboard_energy(model.eval()) < LIMITS[name][1]


def test_command(tmp_path, monkeypatch):
    monkeypatch.setitem(configuration.MODELS, "default", CONFIG)
    (tmp_path / "images").mkdir()
    Image.fromarray(skimage.data.coffee()[:128, :192]).save(tmp_path / "images" / "coffee.png")
    images = str(tmp_path / "images")
    words = ["upsampling", images, "--validation", images, "--steps", "3", "--points", "1", "--batch", "2", "--patch", "64"]
    command.main([*words, "--out", str(tmp_path / "out")])
    text = (tmp_path / "out" / "upsampling.md").read_text()
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == list(UPSAMPLINGS)
