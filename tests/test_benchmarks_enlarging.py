"""The benchmark of decoders that enlarge."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import __main__ as command
from codec.training.decoders.enlarging import EnlargingDecoder
from codec.training.decoders.frozen_latent import export_beside
from codec.training.export import restore

from .conftest import TINY, psnr


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "enlarging.safetensors"
    export_beside(EnlargingDecoder(restore(TINY), 2), TINY, path, "{}")
    return path


def test_ways_to_enlarge(weights, tmp_path, capsys, astronaut):
    (folder := tmp_path / "images").mkdir()
    Image.fromarray(astronaut[:151, :133]).save(folder / "astronaut.png")
    words = ["enlarging", str(folder), "--weights", str(weights), "--qualities", "80"]
    command.main([*words, "--save", str(tmp_path / "pictures")])
    rows = re.findall(r"^\| 80 \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", capsys.readouterr().out, re.M)
    assert [row[0] for row in rows] == ["bicubic", "Lanczos", "decoder of its own"]
    assert len({row[1] for row in rows}) == 1 and 0 < float(rows[0][1]) < 3
    pictures = {path.stem.split(", ")[2]: np.asarray(Image.open(path)) for path in (tmp_path / "pictures").iterdir()}
    assert all(picture.shape == (150, 132, 3) for picture in pictures.values())
    # before training, it shows what the ordinary decoder does
    assert psnr(pictures["decoder of its own"], pictures["bicubic"]) > 25


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--weights", str(TINY)], "cae-train --enlarge 2"),
        (["--side", "9"], "sides of 22"),
        (["--qualities", "x"], "not integers"),
    ],
)
def test_bad_options(weights, more, message):
    with pytest.raises(SystemExit, match=message):
        command.main(["enlarging", "--weights", str(weights), "--images", "1", *more])
