"""Training for other distances than the mean squared error, and of an encoder or a decoder alone."""

import csv
import sys

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import codec
from benchmarks import __main__ as command
from benchmarks.core.metrics import ssimulacra2
from codec.commands import encode
from codec.distortion.distortions import DISTORTIONS, chroma_error, distortion_bits, luma_error, squared_error
from codec.networks import registry
from codec.networks.weights import Weights
from codec.training.export import restore
from codec.training.freezing import freeze
from codec.training.gradients import Gradients
from codec.training.loss import Objective, measure_losses
from codec.training.options import Options
from codec.training.processes import Processes
from codec.training.run import Run
from codec.training.train import train

from .conftest import TINY, psnr


def tuned(folder, run, steps=3, **more) -> Run:
    choices = {"patch": 64, "batch": 2, "start_from": TINY, "log_every": 1, "validation": folder, "quiet": True} | more
    return train(Options(folder, run, steps=steps, **choices), Weights.read(TINY).config)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distances(name):
    """Zero for equal pictures, more for worse ones, and a gradient even where nothing is alike."""
    measure = DISTORTIONS[name].distance
    x = torch.from_numpy(skimage.data.astronaut()[None, :192, :192].copy()).float() / 255
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    equal, near, far = (measure(x + amount * noise, x) for amount in (0, 0.02, 0.1))
    assert equal.shape == (1,) and abs(equal.item()) < max(1e-5, 1e-4 * near.item())
    assert 1e-5 < near.item() < far.item()
    negative = (1 - x).requires_grad_()
    (gradient,) = torch.autograd.grad(measure(negative, x).sum(), negative)
    assert gradient.isfinite().all()


LOSSES = pytest.mark.parametrize(("loss", "patch"), [("mae", 64), ("ssim", 64), ("ms-ssim", 192), ("eye", 192)])


@LOSSES
def test_the_gradient_lowers_the_chosen_loss(loss, patch):
    model = restore(TINY)
    freeze(model, "encoder")
    gradients = Gradients(model, 1, 0, torch.float32, Processes(), Objective(DISTORTIONS[loss]))
    x = torch.from_numpy(skimage.data.astronaut()[None, :patch, :patch].copy()).float() / 255
    optimizer = torch.optim.Adam(gradients.parameters, 1e-3)
    measured = []
    for _ in range(10):
        measured.append(gradients(x, 0).tolist())
        optimizer.step()
    losses, bpp, _, distances, *_ = zip(*measured, strict=True)
    assert losses[-1] < losses[0] and distances[-1] < 0.95 * distances[0] and bpp[-1] == bpp[0]


@LOSSES
def test_the_chosen_loss_is_logged(folder, tmp_path, loss, patch):
    tuned(folder, tmp_path, 2, loss=loss, patch=patch, validate_every=1)
    with open(tmp_path / "log.csv", newline="") as file:
        for row in csv.DictReader(file):
            assert (
                0 < float(row["distortion"]) < (100 if loss == "eye" else 1)
                and float(row["loss"]) > 0
                and float(row["validation_loss"]) > 0
            )


def test_the_terms_of_a_loss_add_up(astronaut):
    """Each with its own exponent of lambda; without weights, the first stands for all."""
    x = torch.from_numpy(astronaut[None, :192, :192].copy()).float() / 255
    decoded, eye = (x + 0.05 * torch.rand(x.shape)).clamp(0, 1), DISTORTIONS["eye"]
    low, high = torch.tensor([0.01]), torch.tensor([0.04])
    expected = sum(term.factor * high**term.exponent * term.measure(decoded, x) for term in eye.terms)
    weighted, distance = eye.weighted(decoded, x, high)
    assert torch.allclose(weighted, expected) and distance == eye.distance(decoded, x) == eye.terms[0].measure(decoded, x)
    assert 4**0.76 < (weighted / eye.weighted(decoded, x, low)[0]).item() < 4


def test_luma_and_colour_are_told_apart():
    """A gray error is of luma alone, and a local one counts more than a spread one."""
    x = torch.full((1, 64, 64, 3), 0.5)
    gray, colour, spot = x + 0.05, x + torch.tensor([0.05, 0.0, 0.0]), x.clone()
    spot[:, :8, :8] += 0.4
    assert chroma_error(gray, x).item() < 1e-9 and chroma_error(colour, x).item() > 1e-4
    assert luma_error(gray, x).item() == pytest.approx(0.05**2, rel=1e-4)
    assert squared_error(spot, x).item() == pytest.approx(squared_error(gray, x).item(), rel=1e-4)
    assert luma_error(spot, x) > 2 * luma_error(gray, x)


def test_a_run_keeps_its_loss(folder, tmp_path):
    tuned(folder, tmp_path, 1, loss="ssim")
    with pytest.raises(codec.CaeError, match="run with loss ssim, not mse"):
        tuned(folder, tmp_path, 2)
    tuned(folder, tmp_path, 2, loss="ssim")


def test_states_of_before_there_were_losses_go_on(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Run, "identity", {})
        tuned(folder, tmp_path, 1)
    assert tuned(folder, tmp_path, 2).step == 2
    with pytest.raises(codec.CaeError, match="run with freeze None, not encoder"):
        tuned(folder, tmp_path, 3, freeze="encoder")


def test_an_encoder_alone(folder, tmp_path, tiny, chelsea):
    """Its files say something else, and the model's own decoder reads them."""
    path = tmp_path / "sharp.safetensors"
    tuned(folder, tmp_path / "run", freeze="decoder", loss="ssim", export=path, learning_rate=0.01)
    data = codec.Codec(weights=TINY, encoder=path, device="cpu").encode(chelsea, 50)
    before = tiny.encode(chelsea, 50)
    assert data != before and codec.info(data).model_id == codec.info(before).model_id
    assert tiny.decode(data).shape == chelsea.shape


def test_the_command_takes_the_weights_of_a_purpose(folder, tmp_path):
    source, out = folder / "astronaut.png", tmp_path / "out.cae"
    encode.main([str(source), str(out), "--device", "cpu", "--quiet", "--tune", "psnr"])
    pixels = np.asarray(Image.open(source))
    assert out.read_bytes() == codec.encode(pixels, tune="psnr", device="cpu") != codec.encode(pixels, device="cpu")
    assert codec.info(out.read_bytes()).model_id == Weights.read(registry.find_model("psnr")).id.hex()


def test_a_purpose_that_there_is_not():
    with pytest.raises(codec.CaeError, match=r"^tune 'speed' is not eye or psnr$"):
        codec.Codec(tune="speed")
    with pytest.raises(codec.CaeError, match=r"tune and weights exclude each other"):
        codec.Codec(tune="psnr", weights=TINY)


def test_a_search_lowers_the_objective_of_the_weights(folder, tmp_path, astronaut):
    """Of the same symbols, those for the eye are others than those for the squared error, and better by its measure."""
    path = tmp_path / "eye.safetensors"
    tuned(folder, tmp_path / "run", freeze="decoder", loss="eye", patch=192, export=path, learning_rate=1e-9)
    pixels = astronaut[:192, :192]
    costs = {}
    for encoder in (None, path):
        coder = codec.Codec(weights=TINY, encoder=encoder, device="cpu")
        data = coder.encode(pixels, 50, effort=4)
        decoded, original = (torch.from_numpy(part.copy()).float() / 255 for part in (coder.decode(data), pixels))
        lambda_ = Weights.read(TINY).config.lmbda(Weights.read(TINY).config.level(50))
        costs[encoder] = 8 * len(data) + 0.6 * float(distortion_bits(decoded, original, "eye", lambda_))
    assert costs[path] < costs[None]


def test_each_of_the_weights_is_better_by_its_own_measure():
    """In as many bytes those for the eye score more, and those for PSNR have less squared error."""
    pixels = skimage.data.astronaut()[:256, 128:384]
    by_psnr = codec.encode(pixels, 60, tune="psnr", device="cpu")
    by_eye = codec.encode(pixels, target_size=len(by_psnr), device="cpu")
    first, second = (codec.decode(data, device="cpu") for data in (by_psnr, by_eye))
    assert ssimulacra2(pixels, second) > ssimulacra2(pixels, first) + 2
    assert psnr(pixels, first) > psnr(pixels, second)


def test_a_decoder_alone(folder, tmp_path, tiny, chelsea):
    """The files stay what they are, and show otherwise."""
    path = tmp_path / "soft.safetensors"
    tuned(folder, tmp_path / "run", freeze="encoder", loss="mae", export=path, learning_rate=0.01)
    other = codec.Codec(weights=TINY, decoder=path, device="cpu")
    data = other.encode(chelsea, 50)
    assert data == tiny.encode(chelsea, 50)
    assert not np.array_equal(other.decode(data), tiny.decode(data))


LAST = ("synthesis", "log_gain", "prior", "scales", "means")


@pytest.mark.parametrize(
    ("frozen", "trained"),
    [
        ("encoder", {"synthesis"}),
        ("decoder", {"analysis", "hyper_analysis"}),
        ("analysis", set(LAST)),
        ("entropy", {"analysis", "hyper_analysis", "synthesis"}),
    ],
)
def test_what_is_frozen_stays(folder, tmp_path, frozen, trained):
    before, after = restore(TINY).state_dict(), tuned(folder, tmp_path, freeze=frozen).average.state_dict()
    changed = {name.split(".")[0 if "entropy" not in name else 1] for name in before if not before[name].equal(after[name])}
    assert changed == trained


def test_the_last_stage_of_a_model(folder, tmp_path, tiny, chelsea):
    """All that decodes is trained on the symbols that the encoder chooses: another model, of the same analysis."""
    path = tmp_path / "last.safetensors"
    choices = {"freeze": "analysis", "choose_symbols": True, "export": path, "learning_rate": 0.001}
    tuned(folder, tmp_path / "run", **choices)
    other = codec.Codec(weights=path, device="cpu")
    data = other.encode(chelsea, 50)
    assert codec.info(data).model_id != codec.info(tiny.encode(chelsea, 50)).model_id
    assert psnr(other.decode(data), chelsea) > psnr(tiny.decode(tiny.encode(chelsea, 50)), chelsea) - 0.5
    with pytest.raises(codec.CaeError, match="choose_symbols True, not False"):
        tuned(folder, tmp_path / "run", **choices | {"choose_symbols": False})


def test_chosen_symbols_take_fewer_bits(astronaut):
    """And leave larger errors, in rate and distortion as in training's own."""
    x = torch.from_numpy(astronaut[None, :192, :192].copy()).float() / 255
    model, level = restore(TINY), torch.tensor([1.0])
    measured = []
    with torch.no_grad():
        for choose in (False, True):
            noise = torch.Generator().manual_seed(0)
            real, trained = (
                measure_losses(model, x, level, Objective(choose=choose), noise=random, compute_dtype=torch.float32)
                for random in (None, noise)
            )
            assert real.mse == trained.mse
            measured.append([real.bpp.item(), real.mse.item(), trained.bpp.item()])
    nearest, chosen = measured
    assert chosen[0] < 0.999 * nearest[0] and chosen[1] > nearest[1]
    # fitted to what is sent, noise or not
    assert chosen[2] == pytest.approx(chosen[0], rel=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "lpips"}, "there are mse"),
        ({"loss": "ms-ssim"}, "patches of 192"),
        ({"loss": "ms-ssim", "patch": 320, "reduced": 2}, "patches of 384"),
        ({"freeze": "all"}, "encoder, decoder, analysis, entropy"),
        ({"freeze": "encoder", "reduced": 2}, "without --grow and --reduced"),
        ({"freeze": "encoder", "start_from": None}, "--start-from"),
    ],
)
def test_bad_options(folder, tmp_path, changes, message):
    with pytest.raises(codec.CaeError, match=message):
        tuned(folder, tmp_path, **changes)


def test_without_the_extra_it_says_what_to_install(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(codec.CaeError, match=r"pip install .*\[torch\]"):
        tuned(folder, tmp_path, loss="ssim")


def test_weights_of_the_losses_are_measured(tmp_path, capsys):
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "astronaut.png")
    words = ["losses", str(tmp_path), "--weights", str(TINY), "--side", "192"]
    command.main(words)
    table = capsys.readouterr().out.split("\n")
    assert table[0] == "| lambda | bpp | mse | mae | ssim | ms-ssim | eye |" and "mse: 6.502e+04 * lambda ** 1.000" in table[5]
    with pytest.raises(SystemExit, match="squares of 161"):
        command.main([*words[:-1], "64"])
