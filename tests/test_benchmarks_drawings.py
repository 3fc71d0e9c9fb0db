"""Drawn pictures are the same every time, and the table says what each codec takes for the same quality."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.codecs import registry
from benchmarks.core.metrics import psnr_rgb
from benchmarks.core.synthetic_pictures import PICTURES
from benchmarks.rate.drawings import ground_off, least_bytes

from .conftest import TINY


def test_pictures():
    assert len(PICTURES) >= 12
    for name in ("terminal", "sprites", "checkerboard", "noise", "gradients", "few-colours", "product"):
        pixels = PICTURES[name]()
        assert pixels.dtype == np.uint8 and pixels.ndim in (2, 3) and np.array_equal(PICTURES[name](), pixels)


def test_least_bytes(chelsea):
    """The file before the smallest that does is not good enough."""
    jpeg, pixels = registry()["jpeg"], chelsea[:128, :128]
    sizes = [least_bytes(jpeg, pixels, target) for target in (20, 30, 35, 60)]
    assert sizes[0] < sizes[1] < sizes[2] and sizes[3] is None
    quality = next(q for q in range(1, 96) if len(jpeg.encode(pixels, q)) == sizes[1])
    reached = [psnr_rgb(pixels, jpeg.decode(jpeg.encode(pixels, q))) for q in (quality - 1, quality)]
    assert reached[0] < 30 <= reached[1]


def test_ground_off(chelsea):
    """Of a picture half of which is white, the share of the white that is off by two levels."""
    pixels = chelsea[:100, :100].copy()
    pixels[:50] = 255
    decoded = pixels.copy()
    decoded[:5], decoded[5:10], decoded[60:] = 253, 254, 0
    assert ground_off(pixels, decoded) == 0.1 and ground_off(pixels[..., 0], decoded[..., 0]) == 0.1
    assert ground_off(chelsea, chelsea) is None


def test_command(capsys, tmp_path):
    words = ["drawings", "--pictures", "checkerboard", "--weights", str(TINY)]
    command.main([*words, "--save", str(tmp_path)])
    assert "| checkerboard | 50 | exact | 0.0 % |" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkerboard-q50.png", "checkerboard.png"]
    command.main([*words, "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert row["psnr"] is None and row["others"]["AVIF"] is None and row["others"]["PNG"] > row["others"]["WebP exact"]
    for wrong in (["--pictures", "cat"], ["--qualities", "high"]):
        with pytest.raises(SystemExit, match="benchmarks: "):
            command.main(["drawings", *wrong])
