"""Speed, coding and complexity: the counts are what the networks do, and the commands print what they measure."""

import argparse
import csv

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.__main__ import main
from benchmarks.core import images, operations
from benchmarks.rate import coding
from benchmarks.speed import speed
from codec import CaeError
from codec.networks import registry
from codec.networks.means import anchors
from codec.networks.weights import Weights

from .conftest import TINY


def count(work) -> float:
    """Multiply-accumulates of the matrix products and convolutions that `work` runs."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / 2


def test_macs_are_those_that_the_networks_run(tiny_model):
    """Counted by torch on a 256 x 256 picture; the means' sum over neighbours is no product that it sees."""
    config, level = tiny_model.config, tiny_model.level(50)
    claimed = {name: value * 256 * 256 for name, value in operations.macs_per_pixel(config).items()}
    y = torch.zeros(1, 16, 16, config.latent_channels)
    z = torch.zeros(1, 4, 4, config.hyper_channels)
    assert count(lambda: tiny_model.analysis(torch.zeros(1, 256, 256, 3), level)) == claimed["analysis"]
    assert count(lambda: tiny_model.synthesis(y, level)) == claimed["synthesis"]
    assert count(lambda: tiny_model.hyper_analysis(y)) == claimed["hyper analysis"]
    means = tiny_model.coder.means

    def mean_networks():
        features, mean = means.of_anchors(z, level, 16, 16)
        means.of_others(features, mean, torch.zeros_like(mean), anchors(16, 16, config.latent_channels))

    unseen = 4 * config.leading_channels * 256
    assert count(mean_networks) + unseen == claimed["hyper synthesis"] + claimed["means"]


def test_shipped_decoder_stays_within_its_budget():
    counts = operations.macs_per_pixel(Weights.read(registry.default_path()).config)
    assert sum(value for name, value in counts.items() if name not in operations.ENCODER_ONLY) <= 21_000


def test_complexity_command(capsys):
    main(["complexity", "--weights", str(TINY)])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("decoder") and "kMAC/px" in line for line in lines)
    assert any(line.startswith("parameters") for line in lines)


def test_coding_command(capsys, tmp_path, astronaut):
    from PIL import Image

    Image.fromarray(astronaut[:128, :128]).save(tmp_path / "a.png")
    main(["coding", str(tmp_path), "--weights", str(TINY)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(coding.CODED_QUALITIES)
    over_ideal = float(lines[-1].split()[3])
    assert 0 <= over_ideal < 2


@pytest.mark.parametrize("size", [(1, 1), (500, 301), (2000, 10)])
def test_mosaic(size):
    picture = speed.mosaic(*size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8


def test_speed_command(capsys, tmp_path):
    out = tmp_path / "speed.csv"
    main(["speed", "--sizes", "100x80", "--codecs", "webp", "--repeat", "1", "--out", str(out)])
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["codec"] for row in rows] == ["jpeg", "webp"]
    assert float(rows[0]["encode_ratio"]) == 1
    assert all(float(row["encode_mps"]) > 0 and float(row["peak_mb"]) > 10 and float(row["bpp"]) > 0 for row in rows)
    assert "encode_mps" in capsys.readouterr().out


def test_regions_command(capsys):
    main(["regions", "--size", "300x400", "--side", "64", "--count", "2", "--weights", str(TINY)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("64 x 64 pixels")
    cases = ["new process", "just opened", "half a side further", "again"]
    assert [(line[:20].strip(), line[20:].split()[0]) for line in lines[1:]] == [(c, s) for s in ("1", "1/2") for c in cases]
    assert all(float(line[20:].split()[1]) > 0 for line in lines[1:])


def test_regions_that_do_not_move():
    with pytest.raises(SystemExit, match="use a smaller --side"):
        main(["regions", "--size", "300x200", "--side", "128", "--weights", str(TINY)])


def test_scaling_command(capsys, tmp_path):
    out = tmp_path / "scaling"
    main(["scaling", "--sizes", "300x200", "500x400", "--weights", str(TINY), "--scratch", str(tmp_path), "--out", str(out)])
    with open(tmp_path / "scaling.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["command"], row["size"]) for row in rows] == [
        (command, size) for size in ("300x200", "500x400") for command in ("encode", "decode")
    ]
    assert all(float(row["peak_mb"]) > 20 and float(row["seconds"]) > 0 and int(row["cae_bytes"]) > 100 for row in rows)
    assert (tmp_path / "scaling.png").read_bytes()[:4] == b"\x89PNG"
    assert "peak_mb" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scaling.csv", "scaling.png"]


def test_patchwork(astronaut):
    bands = list(images.patchwork(700, 600, [astronaut]))
    assert [band.shape for band in bands] == [(256, 700, 3), (256, 700, 3), (88, 700, 3)]
    again = np.concatenate(list(images.patchwork(700, 600, [astronaut])))
    assert np.array_equal(np.concatenate(bands), again)
    with pytest.raises(CaeError, match="256 x 256"):
        next(images.patchwork(700, 600, [astronaut[:100]]))


@pytest.mark.parametrize("size", ["100", "0x5", "axb", "1x2x3"])
def test_bad_sizes_to_scale(size):
    with pytest.raises(SystemExit, match="WIDTHxHEIGHT"):
        main(["scaling", "--sizes", size])


@pytest.mark.parametrize(
    "changes", [{"sizes": ["100"]}, {"sizes": ["0x5"]}, {"codecs": ["mp3"]}, {"reference": "mp3"}, {"repeat": 0}]
)
def test_bad_options(changes):
    parser = argparse.ArgumentParser()
    speed.add_arguments(parser)
    arguments = argparse.Namespace(**vars(parser.parse_args([])) | {"sizes": ["9x9"], "codecs": ["jpeg"]} | changes)
    with pytest.raises(CaeError):
        speed.run(arguments)
