"""The benchmark of reduced sizes."""

import re

import pytest
from PIL import Image

from benchmarks import __main__ as command

from .conftest import TINY


def test_without_decoders_of_their_own_both_ways_agree(tmp_path, capsys, chelsea):
    (folder := tmp_path / "images").mkdir()
    Image.fromarray(chelsea).save(folder / "chelsea.png")
    command.main(["scales", str(folder), "--weights", str(TINY), "--qualities", "50,80", "--size", "300x256"])
    rows = re.findall(r"^\| 1/(\d) \| (.+?) \| (.+?) \| (\S+) \((\S+) s, (\S+) s\) \|$", capsys.readouterr().out, re.M)
    assert [row[0] for row in rows] == ["2", "4", "8"]
    assert all(float(row[3]) > 0 for row in rows)
    for row in rows:
        for shown in row[1:3]:
            shrunk, small, difference = re.fullmatch(r"(\S+), (\S+) dB \((\S+)\)", shown).groups()
            assert shrunk == small and 20 < float(small) < 50 and float(difference) == 0


@pytest.mark.parametrize(
    ("more", "message"), [(["--qualities", "0"], "integers of 1 to 100"), (["--size", "9"], "WIDTHxHEIGHT")]
)
def test_bad_options(more, message):
    with pytest.raises(SystemExit, match=message):
        command.main(["scales", "--weights", str(TINY), *more])
