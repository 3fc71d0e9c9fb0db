"""The command that measures the encoder's effort."""

import csv
import re

import pytest
from PIL import Image

from benchmarks import __main__ as command

from .conftest import TINY


@pytest.fixture
def pictures(tmp_path, chelsea):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(chelsea).save(folder / "cat.png")
    return folder


def measure(pictures, tmp_path, *more):
    words = ["--weights", TINY, "--qualities", "20,40,60,80", "--side", 96, "--out", tmp_path / "out"]
    command.main(["effort", *map(str, [pictures, *words, *more])])


def test_efforts_are_compared_with_the_default(pictures, tmp_path, capsys):
    """And what was measured is kept: the second run adds an effort to the table, and no row twice."""
    measure(pictures, tmp_path, "--efforts", "1")
    measure(pictures, tmp_path, "--efforts", "1,3")
    rows = re.findall(r"^\| (\d) \| ([\d.]+) \| ([+-][\d.]+) % \|", capsys.readouterr().out, re.M)
    assert [row[0] for row in rows] == ["1", "2", "1", "2", "3"] and rows[:2] == rows[2:4]
    gains = [float(row[2]) for row in rows[2:]]
    assert gains[0] > 0 == gains[1] > gains[2] and float(rows[4][1]) > float(rows[3][1]) > 0
    with open(tmp_path / "out" / "effort.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 12
    with Image.open(tmp_path / "out" / "effort.png") as plot:
        assert plot.width > 500


@pytest.mark.parametrize("more", [("--efforts", "0,1"), ("--efforts", "best"), ("--qualities", "20,40,60"), ("--side", "8")])
def test_bad_numbers(pictures, tmp_path, more):
    with pytest.raises(SystemExit, match=r"use 4 or more|are not integers of 1 to"):
        measure(pictures, tmp_path, *more)


def test_other_tables_are_refused(pictures, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "effort.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(SystemExit, match="no table of this benchmark"):
        measure(pictures, tmp_path)


def test_points_of_another_codec_are_measured_anew(pictures, tmp_path):
    measure(pictures, tmp_path, "--efforts", "2")
    measure(pictures, tmp_path, "--efforts", "2", "--side", "64")
    with open(tmp_path / "out" / "effort.csv", newline="") as file:
        assert sorted({row["pixels"] for row in csv.DictReader(file)}) == ["4096", "9216"]


def test_exact_pictures_have_no_rate(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (96, 96), (40, 90, 190)).save(tmp_path / "pictures" / "plain.png")
    measure(tmp_path / "pictures", tmp_path, "--efforts", "1")
    assert "| none | none |" in capsys.readouterr().out
