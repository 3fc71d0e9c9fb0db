"""Encoders that leave noise out: how they are trained, and what is coded with them."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

import codec
from codec.commands import encode
from codec.networks.weights import Weights
from codec.training.data.noise import CLEAN, add_camera_noise
from codec.training.export import restore
from codec.training.freezing import freeze
from codec.training.gradients import Gradients
from codec.training.loss import Objective, validate
from codec.training.options import Options
from codec.training.processes import Processes
from codec.training.train import train

from .conftest import TINY, psnr


def run_options(folder, run, steps=3, **more) -> Options:
    usual = {"patch": 64, "batch": 2, "start_from": TINY, "log_every": 1, "quiet": True, "freeze": "decoder", "denoise": True}
    return Options(folder, run, steps=steps, **(usual | more))


def learn(folder, run, steps=3, **more):
    return train(run_options(folder, run, steps, **more), Weights.read(TINY).config)


@pytest.fixture(scope="module")
def encoder(folder, tmp_path_factory):
    """A file as training writes it."""
    run = tmp_path_factory.mktemp("run")
    learn(folder, run, export=run / "quiet.safetensors", learning_rate=0.01)
    return run / "quiet.safetensors"


def test_noise_has_all_strengths_and_some_pictures_none():
    x = torch.full((500, 16, 16, 3), 0.5)
    noisy, clean = add_camera_noise(x, torch.Generator().manual_seed(0))
    assert torch.equal(clean, x)
    deviation = 255 * noisy.flatten(1).std(1)
    untouched = (noisy == x).flatten(1).all(1)
    assert untouched.float().mean() == pytest.approx(CLEAN, abs=0.06)
    assert deviation[~untouched].min() < 5 and 45 < deviation.max() < 60
    assert torch.allclose(255 * noisy[~untouched], (255 * noisy[~untouched]).round(), atol=1e-4)
    assert noisy.min() >= 0 and noisy.max() <= 1
    gray = (noisy[..., :1] == noisy).all(-1).flatten(1).all(1) & ~untouched
    assert 20 < gray.sum() < 150


def test_some_noise_depends_on_the_signal():
    """In a bright and a dark half, where nothing is clipped."""
    x = torch.full((400, 32, 16, 3), 0.1)
    x[:, 16:] = 0.6
    noise = (add_camera_noise(x, torch.Generator().manual_seed(0))[0] - x).unflatten(1, (2, 16)).flatten(2).std(2)
    ratio = noise[:, 1][noise[:, 1].lt(0.04) & noise[:, 1].gt(0.01)] / noise[:, 0][noise[:, 1].lt(0.04) & noise[:, 1].gt(0.01)]
    assert ratio.min() < 1.1 and 2 < ratio.max() < 2.6


def test_the_target_is_clean():
    """On pure noise over one gray, an encoder learns to come nearer to the gray, at fewer bits."""
    model = restore(TINY)
    freeze(model, "decoder")
    gradients = Gradients(model, 4, 0, torch.float32, Processes(), Objective(denoise=True))
    x = torch.full((4, 64, 64, 3), 0.5)
    optimizer = torch.optim.Adam(gradients.parameters, 0.01)
    measured = []
    for _ in range(8):
        measured.append(gradients(x, 0).tolist())
        optimizer.step()
    losses, bpp, mse, *_ = zip(*measured, strict=True)
    assert losses[-1] < 0.8 * losses[0] and mse[-1] < 0.8 * mse[0] and bpp[-1] < bpp[0]
    assert Gradients(model, 4, 0, torch.float32, Processes())(x, 0)[2] != mse[-1]


def test_validation_has_the_same_noise_every_time(astronaut):
    model = restore(TINY)
    held_out = [astronaut[:64, :64], astronaut[:64, :64]]
    first, again = (validate(model, held_out, "cpu", torch.float32, Objective(denoise=True)) for _ in range(2))
    assert first == again > validate(model, held_out, "cpu", torch.float32)
    assert validate(model, held_out[:1], "cpu", torch.float32, Objective(denoise=True)) != first


def test_training_keeps_what_decodes_and_marks_its_file(folder, tmp_path, encoder, tiny, chelsea):
    assert Weights.read(encoder).metadata["denoising"] == "true"
    assert '"noise"' not in Weights.read(encoder).metadata["training"]
    data = codec.Codec(weights=TINY, encoder=encoder, device="cpu").encode(chelsea, 50)
    assert data != tiny.encode(chelsea, 50) and psnr(tiny.decode(data), chelsea) > 15
    learn(folder, tmp_path, 1)
    with pytest.raises(codec.CaeError, match="run with denoise True, not False"):
        learn(folder, tmp_path, 2, denoise=False)


@pytest.mark.parametrize("changes", [{"freeze": None}, {"freeze": "encoder"}])
def test_only_an_encoder_learns_it(folder, tmp_path, changes):
    with pytest.raises(codec.CaeError, match="--freeze decoder"):
        learn(folder, tmp_path, **changes)


def test_nothing_is_coded_without_loss(encoder, tiny):
    """Clipped noise in black and white looks like screen content, and would be kept."""
    page = np.full((128, 128, 3), 255, np.uint8)
    page[40:60, 20:100] = 0
    assert codec.info(tiny.encode(page, 50)).kinds["lossless"]
    quiet = codec.Codec(weights=TINY, encoder=encoder, device="cpu")
    for options in ({"quality": 50}, {"target_bpp": 0.5}):
        assert codec.info(quiet.encode(page, **options)).kinds == {"transform": 1, "lossless": 0, "mixed": 0}


def test_the_command_takes_the_installed_encoder(encoder, folder, tmp_path, install_weights, capsys):
    source, out = folder / "astronaut.png", tmp_path / "out.cae"
    words = [str(source), str(out), "--device", "cpu", "--quiet"]
    with pytest.raises(SystemExit) as ended:
        encode.main([*words, "--weights", str(TINY), "--denoise"])
    advice = r"there is no encoder 'denoise' .*cae-train --freeze decoder --denoise.* and name its file with "
    assert re.fullmatch(f"cae-encode: {advice}--encoder", str(ended.value))
    with pytest.raises(codec.CaeError, match=f"^{advice}encoder=…$"):
        codec.Codec(weights=TINY, encoder="denoise")
    assert not out.exists()
    (tmp_path / "eye.safetensors").write_bytes(TINY.read_bytes())
    (tmp_path / "denoise.safetensors").write_bytes(encoder.read_bytes())
    install_weights(tmp_path)
    encode.main([*words, "--denoise"])
    assert out.read_bytes() == codec.Codec(encoder=encoder, device="cpu").encode(np.asarray(Image.open(source)))
    with pytest.raises(SystemExit):
        encode.main([*words, "--denoise", "--encoder", str(encoder)])
    assert "not allowed with" in capsys.readouterr().err
