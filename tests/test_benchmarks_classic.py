"""The classic autoencoder: its shapes, STL-10's files, splits, over-fitting, and files that hold what was rounded."""

import csv

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from benchmarks import __main__ as command
from benchmarks.training.classic import network
from benchmarks.training.classic.coding import STEPS, ClassicCodec, load_trained
from benchmarks.training.classic.network import VARIANTS, Classic, planes
from benchmarks.training.classic.photographs import from_folder, from_stl10, read_stl10
from benchmarks.training.classic.training import ClassicSettings, Trained, train
from codec import CaeError

SETTINGS = ClassicSettings(epochs=2, batch=4, learning_rate=1e-3, seed=0, device="cpu")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(network, "STAGE_CHANNELS", (4, 4, 8, 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "coffee", "chelsea"):
        Image.fromarray(getattr(skimage.data, name)()[:200, :250]).save(made / f"{name}.png")
    return made


def test_sizes():
    with torch.device("meta"):
        model = Classic(*VARIANTS["normalised-dropout"])
        assert model.encode(torch.zeros(2, 3, 96, 96)).shape == (2, 200)
        assert model(torch.zeros(2, 3, 96, 96)).shape == (2, 3, 96, 96)
    channels = [layer.out_channels for layer in model.encoder if isinstance(layer, torch.nn.Conv2d)]
    assert channels == [48, 96, 192, 384]
    assert sum(isinstance(layer, torch.nn.Dropout) for layer in model.modules()) == 8


@pytest.mark.parametrize("name", VARIANTS)
def test_pictures_are_in_the_unit_interval(small, name):
    model = network.untrained(name, 0).eval()
    with torch.no_grad():
        model.decoder[-2].weight.mul_(1e4)
        lowest, highest = model(torch.rand(2, 3, 96, 96)).aminmax()
    assert 0 <= lowest < 0.1 and 0.9 < highest <= 1


def write_stl10(folder, count):
    """Pictures by rows, and the files of them."""
    pictures = np.random.default_rng(count).integers(0, 256, (count, 96, 96, 3), np.uint8)
    for part in ("train", "test"):
        pictures.transpose(0, 3, 2, 1).tofile(folder / f"{part}_X.bin")
    return pictures


def test_stl10(tmp_path):
    (tmp_path / "stl10_binary").mkdir()
    pictures = write_stl10(tmp_path / "stl10_binary", 20)
    assert np.array_equal(read_stl10(tmp_path / "stl10_binary" / "test_X.bin"), pictures)
    photographs = from_stl10(tmp_path, 15, 0)
    assert [len(part) for part in (photographs.train, photographs.validation, photographs.test)] == [15, 2, 3]
    assert not {item.tobytes() for item in photographs.train} & {item.tobytes() for item in photographs.validation}
    assert len(photographs.held_out) == 5
    (tmp_path / "short.bin").write_bytes(bytes(1000))
    for name, message in (("short.bin", "no file of STL-10"), ("none.bin", "train_X.bin")):
        with pytest.raises(CaeError, match=message):
            read_stl10(tmp_path / name)


def test_parts_come_from_different_photographs(tmp_path):
    for level in range(5):
        Image.new("RGB", (120, 100), (50 * level,) * 3).save(tmp_path / f"{level}.png")
    photographs = from_folder(tmp_path, 30, 8, 1)
    levels = [set(np.unique(part)) for part in (photographs.train, photographs.validation, photographs.test)]
    assert [len(part) for part in levels] == [3, 1, 1] and len(set.union(*levels)) == 5
    assert [len(part) for part in (photographs.train, photographs.validation, photographs.test)] == [30, 6, 6]
    assert {level for item in photographs.held_out for level in np.unique(item.load())} == levels[2]
    with pytest.raises(CaeError, match="need 3"):
        (tmp_path / "4.png").rename(tmp_path / "4")
        (tmp_path / "3.png").rename(tmp_path / "3")
        (tmp_path / "2.png").rename(tmp_path / "2")
        from_folder(tmp_path, 30, 8, 0)


def test_over_fitting(tmp_path):
    course = [(0.3, 0.3, 0.3), (0.2, 0.25, 0.3), (0.1, 0.27, 0.3)]
    trained = Trained("plain", tmp_path, course)
    assert trained.best == 2 and trained.over_fits
    assert not Trained("plain", tmp_path, course[:2]).over_fits
    assert not Trained("plain", tmp_path, [*course[:2], (0.2, 0.3, 0.3)]).over_fits


def test_files(small, folder, tmp_path):
    """A file holds the latent in the steps that its setting says, and finer steps take more bytes."""
    photographs = from_folder(folder, 40, 1, 0)
    trained = train("normalised", tmp_path / "normalised.safetensors", photographs, SETTINGS)
    assert len(trained.losses) == 2 and trained.losses[-1][0] < 0.2
    codec = ClassicCodec("normalised", trained.path)
    pixels = skimage.data.coffee()[:100, :200]
    files = [codec.encode(pixels, setting) for setting in STEPS]
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    loaded = load_trained(trained.path)
    with torch.inference_mode():
        latents = loaded.network.encode(planes(torch.from_numpy(pixels[None, :96, :96].copy())))
        for setting, data in zip(STEPS, files, strict=True):
            rounded = ((latents - loaded.mean) / loaded.deviation * setting).round() / setting
            expected = 255 * loaded.network.decode(rounded * loaded.deviation + loaded.mean)[0].permute(1, 2, 0).numpy()
            decoded = codec.decode(data)
            assert decoded.shape == pixels.shape and np.abs(decoded[:96, :96] - expected).max() < 0.6
    with pytest.raises(CaeError, match="no setting 3"):
        codec.encode(pixels, 3)


def test_command(small, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.training.classic.command.BESIDE", ("jpeg",))
    words = ["classic", str(folder), "--out", str(tmp_path), "--variants", "plain,dropout", "--epochs", "2", "--crops", "8"]
    words += ["--batch", "4"]
    command.main(words)
    shown = capsys.readouterr().out
    assert "| plain |" in shown and "classic, dropout" in shown
    with open(tmp_path / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["epoch"]) for row in rows] == [(name, n) for name in ("plain", "dropout") for n in "12"]
    for name in ("losses.png", "psnr_rgb.png", "results.json", "bd_rates.md"):
        assert (tmp_path / name).stat().st_size > 100
    before = (tmp_path / "plain.safetensors").stat().st_mtime_ns
    command.main(words)
    assert (tmp_path / "plain.safetensors").stat().st_mtime_ns == before
    (tmp_path / "plain.safetensors").write_bytes(b"none")
    with pytest.raises(SystemExit, match="no finished training"):
        command.main(words)


@pytest.mark.parametrize("wrong", [["--variants", "deep"], ["--epochs", "0"], ["--stl10", "none"], ["none"]])
def test_bad_arguments(tmp_path, wrong):
    with pytest.raises(SystemExit, match="benchmarks: "):
        command.main(["classic", "--out", str(tmp_path), *wrong])
