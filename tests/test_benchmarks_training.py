"""Screening of training's options: every variant is trained, and times to a loss lie between its validations."""

import csv

import pytest
import skimage.data
from PIL import Image

from benchmarks import __main__ as command
from benchmarks.training.courses import Course
from benchmarks.training.training_options import variants
from codec.networks import config

from .make_tiny_weights import CONFIG


def test_minutes_to_a_loss():
    course = Course("a", ((10, 1.0, 3.0, 4.0), (20, 2.0, 2.0, 2.0), (30, 3.0, 2.0, 3.0)))
    assert [course.minutes_to(loss) for loss in (5, 4, 3, 2, 1)] == [1, 1, 1.5, 2, None]


def test_variants():
    made = variants(90, 256)
    assert len(made) >= 10 and made["default"] == {}
    assert made["small-first"]["patch_schedule"].stages == ((64, 30), (128, 60))
    assert made["small-and-low-first"]["resolution_schedule"].stages == ((4, 30), (2, 60))


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(config.MODELS, "default", CONFIG)
    (tmp_path / "images").mkdir()
    Image.fromarray(skimage.data.coffee()[:128, :192]).save(tmp_path / "images" / "coffee.png")
    images, out = str(tmp_path / "images"), tmp_path / "out"
    words = ["training-options", images, "--validation", images, "--steps", "3", "--points", "3", "--out", str(out)]
    words += ["--patch", "128", "--batch", "2", "--options", "default,small-first"]
    command.main(words)
    text = (out / "training_options.md").read_text()
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == ["default", "small-first"]
    with open(out / "training_options.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3] * 2
    assert (out / "training_options.png").stat().st_size > 10_000
    states = {path: path.stat().st_mtime_ns for path in out.rglob("state.safetensors")}
    capsys.readouterr()
    command.main([*words, "--target", "0"])
    assert "| minutes to 0.0000 |" in capsys.readouterr().out
    assert states == {path: path.stat().st_mtime_ns for path in states}
    with pytest.raises(SystemExit, match="other settings"):
        command.main([*words, "--seed", "1"])


@pytest.mark.parametrize("wrong", [["--options", "magic"], ["--steps", "2"], ["--points", "0"], ["--patch", "100"]])
def test_bad_arguments(tmp_path, wrong):
    with pytest.raises(SystemExit, match="benchmarks: "):
        command.main(["training-options", str(tmp_path), "--validation", str(tmp_path), "--steps", "5", *wrong])
