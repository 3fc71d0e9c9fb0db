"""Ways to enlarge: weights and ids of the usual one, halos, checkerboards, and models of each from training to pictures."""

import dataclasses
import json

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import codec
from benchmarks import __main__ as command
from benchmarks.complexity import enlarging_macs
from benchmarks.upsampling import at_the_start, checkerboard_energy, repeating_variance
from codec.networks import config as configuration
from codec.networks.config import UPSAMPLINGS, Config, checked, described
from codec.networks.reduced import ReducedSynthesis, start_from_synthesis
from codec.networks.transforms import Synthesis, receptive_field
from codec.networks.upsampling import upsampler
from codec.networks.weights import Weights
from codec.training.export import export
from codec.training.gradients import Gradients
from codec.training.processes import Processes

from .conftest import TINY, psnr
from .make_tiny_weights import CONFIG

LIMITS = {"pixel-shuffle": (6, 12), "transposed": (6, 12), "nearest": (1e-4, 0.02)}
"""Most energy of checkerboards at the start, where components that are rounded away leave some, and after 20 steps."""
WAYS = pytest.mark.parametrize("name", UPSAMPLINGS)


def chosen(name: str) -> Config:
    return dataclasses.replace(CONFIG, upsampling=name)


@pytest.fixture(scope="module")
def photographs():
    return [skimage.data.astronaut(), skimage.data.coffee()]


def test_the_usual_way_is_not_named():
    """Files from before there was a choice, and their ids, stay as they are."""
    config = Weights.read(TINY).config
    assert config.upsampling == "pixel-shuffle" and "upsampling" not in described(config)
    assert described(chosen("nearest"))["upsampling"] == "nearest"
    with pytest.raises(ValueError, match="none of pixel-shuffle"):
        checked(chosen("magic"))


@WAYS
def test_reach(name):
    """A pixel depends on no position beyond the reach, and where that is 1, on the neighbours."""
    torch.manual_seed(0)
    layer = upsampler(chosen(name), 5, 3, 8, 8)
    x = torch.zeros(1, 7, 7, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x)[:, 24:32, 24:32].square().sum(), x)
    rows = gradient.abs().sum((0, 2, 3)).nonzero().flatten().tolist()
    assert rows == list(range(3 - layer.reach, 4 + layer.reach))


@WAYS
def test_windows_with_halo_are_the_crop(name):
    torch.manual_seed(0)
    synthesis = Synthesis(chosen(name)).eval()
    with torch.no_grad():
        for block in (*synthesis.wide_blocks, *synthesis.blocks):
            block.mix_out.weight.normal_(0, 0.1)
    y, level = torch.randn(1, 12, 14, CONFIG.latent_channels), torch.tensor([1.0])
    margin = receptive_field(synthesis) // 16
    with torch.inference_mode():
        whole = synthesis(y, level)
        for top, left, bottom, right in ((0, 0, 4, 5), (5, 6, 7, 8), (8, 0, 12, 14), (1, 1, 11, 13)):
            first, last = (max(0, top - margin), max(0, left - margin)), (min(12, bottom + margin), min(14, right + margin))
            halo = (top - first[0], left - first[1], last[0] - bottom, last[1] - right)
            part = synthesis(y[:, first[0] : last[0], first[1] : last[1]].clone(), level, halo=halo)
            assert torch.allclose(part, whole[:, 16 * top : 16 * bottom, 16 * left : 16 * right], atol=1e-5)


@WAYS
def test_macs(name):
    """Each weight of a layer counts once for each position that it is applied at."""
    counted = {
        "pixel-shuffle": 32 * 3 * 64,
        "transposed": 32 * 3 * 16**2,
        "nearest": 4 * 9 * 32 * 16 + 16 * 9 * 16 * 8 + 64 * 9 * 8 * 3,
    }
    assert enlarging_macs(name, 32, 3, 8) == counted[name]


def test_transposed_starts_as_pixel_shuffle(photographs):
    models = [at_the_start(chosen(name), photographs, 0) for name in ("pixel-shuffle", "transposed")]
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
    model = at_the_start(chosen(name), photographs, 0)
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


@WAYS
def test_models_of_each_decode(name, photographs, tmp_path):
    """Exported, tiled and by regions as any model; its files name it."""
    model = at_the_start(chosen(name), photographs, 0)
    path = tmp_path / "weights.safetensors"
    export(model, [photographs[0][:256, :256]], path, {})
    fields = json.loads(Weights.read(path).metadata["config"])
    assert fields.get("upsampling", "pixel-shuffle") == name
    held = codec.Codec(weights=path, device="cpu", threads=1)
    pixels = photographs[1][:200, :300]
    data = held.encode(pixels, 80, tile=128)
    whole = held.decode(data)
    assert psnr(whole, pixels) > (25 if name != "nearest" else 15)
    assert np.array_equal(held.decode(data, region=(100, 50, 150, 100)), whole[50:150, 100:250])


@WAYS
def test_small_decoders_begin_near_each(name, photographs):
    model = at_the_start(chosen(name), photographs, 0)
    network, level = ReducedSynthesis(model.config, 8), torch.tensor([1.0])
    start_from_synthesis(network, model.synthesis, level)
    x = torch.from_numpy(photographs[0][None, :128, :128].copy()).float() / 255
    with torch.inference_mode():
        y = model.analysis(x - 0.5, level)
        small = network(y, level)
        expected = torch.nn.functional.avg_pool2d(model.synthesis(y, level).permute(0, 3, 1, 2), 8).permute(0, 2, 3, 1)
    assert (small - expected).abs().mean() < 0.02


def test_command(tmp_path, monkeypatch):
    monkeypatch.setitem(configuration.MODELS, "default", CONFIG)
    (tmp_path / "images").mkdir()
    Image.fromarray(skimage.data.coffee()[:128, :192]).save(tmp_path / "images" / "coffee.png")
    images = str(tmp_path / "images")
    given = ["upsampling", images, "--validation", images, "--steps", "3", "--points", "1", "--batch", "2", "--patch", "64"]
    command.main([*given, "--out", str(tmp_path / "out")])
    text = (tmp_path / "out" / "upsampling.md").read_text()
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == list(UPSAMPLINGS)
