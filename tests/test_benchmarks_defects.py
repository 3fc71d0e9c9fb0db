"""The set of defects is the same every time, its masks say where pixels changed, and areas are those of the definition."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image
from scipy.stats import mannwhitneyu

from benchmarks import __main__ as command
from benchmarks.quality import defects
from benchmarks.quality.defective_textures import DEFECTS, PLACES, STEP, TEXTURE_SIDE, TEXTURES, crops, samples

from .conftest import TINY


def test_area():
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(2, 12, 40), rng.integers(0, 10, 70)
    assert defects.area(positive, negative) == pytest.approx(mannwhitneyu(positive, negative).statistic / (40 * 70))


@pytest.mark.parametrize("texture", ["gravel", "cloth"])
def test_samples(texture):
    made, again = samples(texture, "validation"), samples(texture, "validation")
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(made, again, strict=True))
    good, *others = made[: len(DEFECTS) + 1]
    assert good.kind is None and not good.mask.any() and [sample.kind for sample in others] == list(DEFECTS)
    for sample in others:
        changed = np.abs(sample.pixels.astype(int) - good.pixels).reshape(TEXTURE_SIDE, TEXTURE_SIDE, -1).max(-1)
        assert 20 < sample.mask.sum() < TEXTURE_SIDE * TEXTURE_SIDE / 4
        assert changed[sample.mask].mean() > 10 > 1 > changed[~sample.mask].mean()


def test_parts_share_no_pixels():
    ends = sorted(PLACES.values())
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ends)) and ends[-1][1] == 512
    assert all(len(crops("metal", part)) == 13 - 6 * (STEP[part] == 64) for part in ("validation", "test"))
    assert set(TEXTURES) >= {"brick", "grass", "gravel"}


def test_command(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(defects, "crops", lambda *arguments: crops(*arguments)[:4])
    monkeypatch.setattr(defects, "samples", lambda *arguments: samples(*arguments)[:10])
    words = ["defects", "--textures", "metal", "--weights", str(TINY), "--device", "cpu"]
    command.main([*words, "--json", "--save", str(tmp_path)])
    rows = json.loads(capsys.readouterr().out)
    assert [row["maps"] for row in rows] == 2 * list(defects.RANKINGS)
    assert all(0 <= row[name] <= 1 for row in rows for name in ("per_picture", "per_pixel", "found", "false_alarms"))
    assert [len(list((tmp_path / "metal" / name).iterdir())) for name in ("good", "test", "masks")] == [4, 10, 8]
    command.main([*words[:2], "metal,cloth", *words[3:], "--picture", str(tmp_path / "drawn.png")])
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.size == (2 * (2 * TEXTURE_SIDE + 4), 4 * TEXTURE_SIDE)
    for wrong in (["--textures", "cat"], ["--seed", "-1"]):
        with pytest.raises(SystemExit, match="benchmarks: "):
            command.main(["defects", *wrong])
