"""The benchmark of denoising encoders: noises, non-local means, and the table."""

import csv

import numpy as np
import pytest
from PIL import Image

from benchmarks import __main__ as command
from benchmarks.quality import denoising
from codec.networks.weights import DENOISING, ENCODER, Weights
from codec.training.export import export_part, restore

from .conftest import TINY, psnr


def test_table_and_files(tmp_path, capsys, monkeypatch, astronaut):
    """With the model's own encoder: what it makes of the noisy picture equals what coding the noise makes."""
    (folder := tmp_path / "images").mkdir()
    Image.fromarray(astronaut[:80, :96]).save(folder / "astronaut.png")
    encoder = tmp_path / "own.safetensors"
    export_part(restore(TINY), ENCODER, Weights.read(TINY).id, encoder, {DENOISING: "true"})
    noises = denoising.Noise(0), denoising.Noise(25), denoising.Noise(5, 100)
    monkeypatch.setattr(denoising, "NOISES", noises)
    words = [
        "denoising",
        str(folder),
        "--weights",
        str(TINY),
        "--encoder",
        str(encoder),
        "--side",
        "64",
        "--qualities",
        "40,80",
    ]
    command.main([*words, "--csv", str(tmp_path / "rows.csv"), "--save", str(tmp_path / "pictures")])
    table = capsys.readouterr().out.splitlines()
    assert (
        len(table) == 2 + 3 * 2 * 3 + 1 + 3
        and table[-1].endswith("at equal SSIM fewer than 4 points, each better than those of lower rate")
        and table[2].startswith("| none | 40 | as it is |")
    )
    assert table[18].startswith("| Poisson 100, Gaussian 5 | 80 | non-local means |") and table[18].endswith("| 0 of 1 |")
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18 and len(list((tmp_path / "pictures").iterdir())) == 3 + 18
    psnrs = {(row["noise"], row["way"], row["quality"]): float(row["psnr"]) for row in rows}
    for noise in map(str, noises):
        assert (
            psnrs[noise, denoising.WITHIN, "80"]
            == psnrs[noise, denoising.ORDINARY, "80"]
            != psnrs[noise, denoising.BEFORE, "80"]
        )
    assert psnrs["none", denoising.ORDINARY, "80"] > psnrs["Gaussian 25", denoising.ORDINARY, "80"]
    assert all(0 < float(row["ssim"]) <= 1 and float(row["bpp"]) > 0 for row in rows)
    for wrong, message in ((["--qualities", "a"], "not integers"), (["--side", "8"], "11 pixels")):
        with pytest.raises(SystemExit, match=message):
            command.main([*words, *wrong])


def test_noise_is_as_strong_as_it_says(astronaut):
    flat = np.full((64, 64, 3), 64, np.uint8)
    rng = np.random.default_rng(0)
    assert np.array_equal(denoising.Noise(0).added(flat, rng), flat)
    assert denoising.Noise(10).added(flat, rng).std() == pytest.approx(10, rel=0.05)
    both = np.sqrt(5**2 + 64 * 255 / 100)
    assert denoising.Noise(5, 100).added(flat, rng).std() == pytest.approx(both, rel=0.05)


def test_non_local_means(astronaut):
    clean = astronaut[:96, :96]
    noisy = denoising.Noise(25).added(clean, np.random.default_rng(0))
    assert psnr(denoising.non_local_means(noisy), clean) > psnr(noisy, clean) + 3
    flat = np.full((64, 64, 3), 64, np.uint8)
    assert np.array_equal(denoising.non_local_means(flat), flat)


def test_who_is_smaller_and_better():
    def row(way, quality, bpp, psnr):
        return denoising.DenoisingRow("a", "none", way, quality, bpp, psnr, psnr / 50)

    ways = {denoising.BEFORE: 1.0, denoising.WITHIN: 0.8}
    rows = [
        row(way, quality, factor * quality / 10, 30 + quality / 10)
        for way, factor in ways.items()
        for quality in (10, 20, 40, 80)
    ]
    rows += [row(denoising.ORDINARY, quality, 9, 20) for quality in (10, 20, 40, 80)]
    table = list(denoising.summary(rows))
    assert table[3].endswith("| 0 of 1 |") and denoising.BEFORE in table[3]
    assert list(denoising.rates(rows)) == [
        "bits beside non-local means, noise none: at equal PSNR -20.0 %; at equal SSIM -20.0 %"
    ]
    better = [*rows, row(denoising.WITHIN, 15, 0.9, 31.5)]
    assert list(denoising.summary([*better, *(row(way, 15, 9, 9) for way in (denoising.BEFORE, denoising.ORDINARY))]))[
        3
    ].endswith("| 1 of 1 |")
