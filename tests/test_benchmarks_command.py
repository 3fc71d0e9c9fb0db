"""The command as a user runs it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from benchmarks import __main__ as command
from benchmarks.core import curves, images, runner


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(5).normal(size=(2, 170, 180, 3))
    for name, part in zip(("one", "two"), noise, strict=True):
        smooth = ndimage.gaussian_filter(part, (3, 3, 0)) * 12 + part * 0.1
        Image.fromarray(np.clip(128 + 40 * smooth, 0, 255).astype(np.uint8)).save(made / f"{name}.png")
    return made


def run(*arguments):
    command.main(["run", *map(str, arguments)])


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    """The output of one run."""
    made = tmp_path_factory.mktemp("out")
    run(folder, "--codecs", "webp,jpeg,jpeg-444", "--settings", "webp=5,30,60,90", "--out", made, "--jobs", 1)
    return made


def test_points(out):
    with open(out / "points.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (4 + 11 + 11)
    for row in rows:
        size = int(row["width"]) * int(row["height"])
        assert float(row["bpp"]) == pytest.approx(int(row["bytes"]) * 8 / size)
        assert 10 < float(row["psnr_rgb"]) < 60
        assert 0 < float(row["ms_ssim_rgb"]) < 1
        assert row["clean_timing"] == "False"


def test_the_middle_of_a_few_images(folder, tmp_path):
    options = ("--codecs", "jpeg", "--settings", "jpeg=10,30,60,90", "--out", tmp_path, "--jobs", 1, "--no-page")
    run(folder, "--images", 1, "--side", 64, *options)
    facts = json.loads((tmp_path / "results.json").read_text())
    assert {(point["image"], point["width"], point["height"]) for point in facts["points"]} == {("one", 64, 64)}
    with pytest.raises(SystemExit, match="use at least 1"):
        run(folder, "--side", 0, *options)


def test_json_and_csv_agree(out):
    everything = json.loads((out / "results.json").read_text())
    assert [codec["name"] for codec in everything["codecs"]] == ["webp", "jpeg", "jpeg-444"]
    assert len(everything["points"]) == 52
    assert everything["bd_rate"]["anchor"] == "jpeg"
    assert everything["bd_rate"]["method"] == "pchip"
    with open(out / "bd_rates.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(everything["bd_rate"]["comparisons"]) == 2 * 3
    for row, comparison in zip(rows, everything["bd_rate"]["comparisons"], strict=True):
        for name in ("mean_of_image_bd_rates", "bd_rate_of_mean_curve"):
            assert float(row[name]) == pytest.approx(comparison[name])
    fine = next(row for row in rows if row["codec"] == "jpeg-444" and row["metric"] == "psnr_y")
    assert float(fine["bd_rate_of_mean_curve"]) > 2, "full chroma costs bits and does nothing for luma"
    with open(out / "curves.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 4 + 11 + 11


def test_table_names_both_averages(out):
    text = (out / "bd_rates.md").read_text()
    assert "against JPEG 4:2:0" in text
    assert "mean of the images' BD-rates / BD-rate of the mean curve" in text
    assert "method pchip" in text


def test_plots(out):
    for name in ("psnr_rgb", "psnr_y", "ms_ssim_rgb"):
        with Image.open(out / f"{name}.png") as image:
            assert min(image.size) > 500
            assert len(image.convert("RGB").getcolors(2**24)) > 50
        assert "JPEG 4:4:4" in (out / f"{name}.svg").read_text()


def test_second_run_measures_nothing(out, folder, capsys):
    before = (out / "points.jsonl").read_bytes(), (out / "results.json").read_bytes()
    run(folder, "--codecs", "webp,jpeg,jpeg-444", "--settings", "webp=5,30,60,90", "--out", out, "--jobs", 1)
    assert ((out / "points.jsonl").read_bytes(), (out / "results.json").read_bytes()) == before
    assert "| WebP |" in capsys.readouterr().out


def test_our_codec(folder, tmp_path):
    run(folder, "--codecs", "cae", "--settings", "cae=10,30,60,90", "--out", tmp_path, "--jobs", 1, "--metrics", "psnr_rgb")
    everything = json.loads((tmp_path / "results.json").read_text())
    ours = [point for point in everything["points"] if point["codec"] == "cae"]
    assert len(ours) == 8
    assert "weights" in ours[0]["version"]


def test_missing_things_are_reported(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setenv("PATH", "")
    metrics = "psnr_rgb,butteraugli"
    run(folder, "--codecs", "jpeg,heic", "--out", tmp_path, "--jobs", 1, "--metrics", metrics)
    text = capsys.readouterr().out
    assert "- heic: needs the package pillow-heif" in text
    assert "- butteraugli: needs the program butteraugli_main" in text
    assert set(json.loads((tmp_path / "results.json").read_text())["missing"]) == {"heic", "butteraugli"}


def test_published_curves_on_kodak(folder, tmp_path, monkeypatch):
    known = {path.stem: images.sample(path).digest for path in folder.iterdir()}
    monkeypatch.setattr(images, "kodak_digests", lambda: known)
    run(folder, "--codecs", "jpeg", "--out", tmp_path, "--jobs", 1, "--published", "VVC VTM intra,WebP")
    everything = json.loads((tmp_path / "results.json").read_text())
    assert everything["dataset"] == "Kodak"
    drawn = [curve for curve in everything["mean_curves"] if curve["source"]]
    assert [curve["name"] for curve in drawn] == ["VVC VTM intra", "WebP"]
    assert "WebP (published)" in (tmp_path / "psnr_rgb.svg").read_text()
    assert "| WebP (published) |" in (tmp_path / "bd_rates.md").read_text()
    compared = [row for row in everything["bd_rate"]["comparisons"] if row["published"]]
    assert {row["metric"] for row in compared} == {"psnr_rgb", "ms_ssim_rgb"}
    assert all(row["mean_of_image_bd_rates"] is None for row in compared)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--codecs", "jpg"], "there is no codec 'jpg'; there are cae, cae-psnr, cae-e1,"),
        (["--anchor", "h264"], "there is no codec 'h264'"),
        (["--metrics", "ssim"], "metric 'ssim' is unknown"),
        (["--metrics", ""], "none of the metrics"),
        (["--settings", "jpeg=high"], "'high' is not a list of numbers"),
        (["--settings", "jpeg="], "name at least one setting"),
        (["--settings", "jpeg=5,nan"], "none that is infinite"),
        (["--settings", "jpg=5"], "there is no codec 'jpg'"),
        (["--jobs", "0"], "--jobs 0: use at least 1"),
        (["--codecs", "jpeg", "--published", "all"], "the published curves are of the 24 Kodak images"),
        (["--dataset", "kodak"], "kodim01.png: is missing; get"),
        (["--weights", "no.safetensors", "--anchor", "cae-no"], "the weights file no.safetensors does not exist"),
    ],
)
def test_errors_are_one_line(folder, tmp_path, arguments, message):
    with pytest.raises(SystemExit) as error:
        run(folder, "--out", tmp_path, *arguments)
    assert str(error.value).startswith("benchmarks: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_failed_points_end_with_an_error(folder, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2 points failed"):
        run(folder, "--codecs", "cae,jpeg", "--settings", "cae=500", "--out", tmp_path, "--jobs", 1, "--metrics", "psnr_rgb")
    text = capsys.readouterr().out
    assert "- cae at 500 on one: " in text
    assert (tmp_path / "results.json").is_file()


def test_interruption_is_told(folder, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "measure", interrupt)
    with pytest.raises(SystemExit) as end:
        run(folder, "--codecs", "jpeg", "--out", tmp_path, "--jobs", 1)
    assert end.value.code == 130
    assert "goes on where it stopped" in capsys.readouterr().err


def test_list(capsys):
    command.main(["list"])
    text = capsys.readouterr().out
    assert "jpeg-progressive" in text
    assert "psnr_y" in text
    for name in curves.published():
        assert name in text


def test_check_jpeg_needs_the_images(tmp_path):
    with pytest.raises(SystemExit, match="is missing; get kodim01"):
        command.main(["check-jpeg", str(tmp_path)])


def test_check_jpeg_tells_other_images_apart(folder, tmp_path, monkeypatch, capsys):
    known = {path.stem: images.sample(path).digest for path in folder.iterdir()}
    monkeypatch.setattr(images, "kodak_digests", lambda: known)
    with pytest.raises(SystemExit, match="differ by more than 2%"):
        command.main(["check-jpeg", str(folder), "--out", str(tmp_path), "--jobs", "1"])
    assert "greatest difference in rate at equal quality" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["check-jpeg", "--help"], ["list", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert end.value.code == 0
    assert "usage: python -m benchmarks" in capsys.readouterr().out


def test_help_imports_little():
    script = "import sys; sys.argv[1:] = ['--help']\ntry:\n import runpy; runpy.run_module('benchmarks', run_name='__main__')\n"
    script += "except SystemExit: pass\nprint(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    root = Path(command.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert "complexity" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_missing_module_is_one_line(monkeypatch):
    monkeypatch.setitem(command.COMMANDS, "run", ("no_such_module", "x"))
    with pytest.raises(SystemExit, match="no_such_module is missing"):
        command.main(["run"])
