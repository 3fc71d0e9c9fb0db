"""Pictures side by side."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import __main__ as command


@pytest.fixture
def files(tmp_path, astronaut):
    Image.fromarray(astronaut).save(tmp_path / "whole.png")
    Image.fromarray(astronaut[::2, ::2]).save(tmp_path / "half.png")
    return [f"whole={tmp_path / 'whole.png'}", f"half = small={tmp_path / 'half.png'}"]


@pytest.mark.parametrize(("columns", "size"), [(2, (2 * 128 + 8, 84)), (1, (128, 2 * 84))])
def test_parts_stand_side_by_side_pixel_by_pixel(tmp_path, astronaut, files, columns, size):
    words = ["panel", str(tmp_path / "out.png"), *files, "--crop", "200,100,64,30", "--columns", str(columns)]
    command.main(words)
    shown = Image.open(tmp_path / "out.png").convert("RGB")
    assert shown.size == size
    pixels = np.asarray(shown)
    expected = astronaut[100:130, 200:264].repeat(2, 0).repeat(2, 1)
    assert np.array_equal(pixels[24:84, :128], expected)
    smaller = astronaut[::2, ::2][50:65, 100:132].repeat(4, 0).repeat(4, 1)
    assert np.array_equal(pixels[-60:, -128:], smaller)


def test_sizes_that_do_not_fit(tmp_path, files, astronaut):
    Image.fromarray(astronaut[:341, :341]).save(tmp_path / "two-thirds.png")
    words = ["panel", str(tmp_path / "out.png"), *files, f"x={tmp_path / 'two-thirds.png'}", "--crop", "0,0,64,64"]
    with pytest.raises(SystemExit, match="'x' is no whole number of times smaller"):
        command.main(words)
    with pytest.raises(SystemExit, match=r"written as \.png"):
        command.main(["panel", str(tmp_path / "out.xyz"), *files, "--crop", "0,0,64,64"])


@pytest.mark.parametrize(
    ("crop", "more", "message"),
    [
        ("500,0,64,64", [], "beyond the picture 'whole'"),
        ("0,0,64,64", ["--zoom", "0"], "one pixel or more"),
        ("0,0,64,64", ["x.png"], "CAPTION=FILE"),
    ],
)
def test_bad_options(tmp_path, files, crop, more, message):
    with pytest.raises(SystemExit, match=message):
        command.main(["panel", str(tmp_path / "out.png"), *files, *more, f"--crop={crop}"])
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("crop", ["1,2,3", "-1,0,64,64"])
def test_a_crop_that_is_none(tmp_path, files, crop, capsys):
    with pytest.raises(SystemExit):
        command.main(["panel", str(tmp_path / "out.png"), *files, f"--crop={crop}"])
    assert f"'{crop}' is not x,y,width,height" in capsys.readouterr().err
