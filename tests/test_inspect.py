"""Pictures with something in them that good samples have not stand out, and the command says where."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

from codec import CaeError, Codec
from codec.coding.jobs import EncodeJob
from codec.coding.settings import Settings
from codec.coding.windowed_analysis import features
from codec.commands import inspect
from codec.inspection import MAPS, Statistics
from codec.inspection.heat_maps import smooth
from codec.options import EncodeOptions

from .conftest import TINY

SIDE = 96
QUALITY = 60


def sample(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 20, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)


def with_hole(seed: int) -> np.ndarray:
    pixels = sample(seed)
    pixels[32:56, 48:72] = 128
    return pixels


@pytest.fixture(scope="module")
def known(tiny) -> Statistics:
    return Statistics.from_samples([tiny.inspect(sample(seed), QUALITY) for seed in range(8)])


@pytest.fixture
def files(tmp_path):
    (tmp_path / "good").mkdir()
    for seed in range(6):
        Image.fromarray(sample(seed)).save(tmp_path / "good" / f"{seed}.png")
    Image.fromarray(sample(20)).save(tmp_path / "whole.png")
    Image.fromarray(with_hole(21)).save(tmp_path / "hole.png")
    return tmp_path


def test_traces(tiny, chelsea):
    """They are those of the real coding: its errors, and about its bits."""
    pixels = chelsea[:150, :203]
    traces = tiny.inspect(pixels, 40)
    assert traces.error.shape == (150, 203) and traces.bits.shape == (10, 13) and traces.features.shape[:2] == (19, 26)
    data = tiny.encode(pixels, 40)
    errors = np.square(tiny.decode(data) / 255.0 - pixels / 255.0).mean(2)
    assert np.allclose(traces.error, errors, atol=1e-5)
    with_codec = 8 * len(data)
    assert 0.5 * with_codec < traces.bits.sum() < 1.02 * with_codec
    alpha = np.dstack([pixels, np.full(pixels.shape[:2], 9, np.uint8)])
    assert np.array_equal(tiny.inspect(alpha, 40).error, traces.error)


@pytest.mark.parametrize("maps", [("error",), ("surprise",), ("distance",), ("error", "surprise", "distance")])
def test_a_hole_stands_out(tiny, known, maps):
    """Though it costs less and loses less than what is around it."""
    traces = tiny.inspect(with_hole(30), QUALITY)
    assert traces.error[36:52, 52:68].mean() < traces.error.mean()
    assert known.score(traces, maps) > known.threshold(maps)
    heat = known.heat(traces, maps)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 24 <= row < 64 and 40 <= column < 80
    assert known.score(tiny.inspect(sample(31), QUALITY), maps) < known.score(traces, maps) / 2


def test_a_texture_at_another_place_is_no_fault(tiny):
    """Stripes of the same width, wherever they begin, are nearer than wider ones; both have the same colours."""
    x = np.arange(SIDE)
    stripes = {width: [np.where((x + shift) // width % 2, 90, 160) for shift in range(12)] for width in (4, 6)}
    noise = np.random.default_rng(0).normal(0, 4, (SIDE, SIDE))
    traces = {width: [tiny.inspect((row + noise).astype(np.uint8)) for row in rows] for width, rows in stripes.items()}
    known = Statistics.from_samples(traces[4][:6])
    assert max(map(known.score, traces[4][6:])) < min(map(known.score, traces[6]))


def test_windows_do_not_show(tiny_model, chelsea):
    """Features are those of the whole picture at once, whatever the windows."""
    pixels = chelsea[:144, :176]
    whole, parts = (
        features(pixels, EncodeJob.of(tiny_model, Settings(1, bf16=False, window=side), (176, 144), 3, EncodeOptions())).numpy()
        for side in (1024, 64)
    )
    assert np.allclose(whole, parts, atol=1e-4) and np.ptp(whole) > 0.1


def test_statistics_of_other_traces(tiny, known):
    with pytest.raises(CaeError, match="quality 60"):
        known.score(tiny.inspect(sample(0), QUALITY + 1))
    with pytest.raises(CaeError, match="3 good samples"):
        Statistics.from_samples([tiny.inspect(sample(seed)) for seed in range(3)])
    with pytest.raises(CaeError, match="there are error, surprise, distance"):
        tiny.inspect(sample(0), maps=("errors",))


@pytest.mark.parametrize("maps", [*((name,) for name in MAPS), MAPS])
def test_the_threshold_is_the_highest_score_of_a_good_sample(tiny, maps):
    """Of each half by the statistics of the other: low distances do not count."""
    traces = [tiny.inspect(sample(seed), QUALITY) for seed in range(8)]
    known = Statistics.from_samples(traces)
    tops = []
    for learnt, others in ((traces[:4], traces[4:]), (traces[4:], traces[:4])):
        half = dataclasses.replace(Statistics.from_samples(learnt), levels=known.levels, peaks=known.peaks)
        tops += [half.score(each, maps) for each in others]
    assert known.threshold(maps) == pytest.approx(max(tops), rel=1e-3)


def test_samples_belong_together(tiny):
    with pytest.raises(CaeError, match="several qualities"):
        Statistics.from_samples([tiny.inspect(sample(seed), QUALITY + seed % 2) for seed in range(4)])


@pytest.mark.parametrize("name", MAPS)
def test_traces_of_one_map_are_those_of_all(tiny, known, name):
    alone, every = tiny.inspect(with_hole(30), QUALITY, maps=(name,)), tiny.inspect(with_hole(30), QUALITY)
    assert np.array_equal(known.heat(alone, (name,)), known.heat(every, (name,)))
    assert name in alone.maps and every.maps == MAPS
    with pytest.raises(CaeError, match="inspect it for these maps"):
        known.score(alone, MAPS)
    with pytest.raises(CaeError, match="without their maps named"):
        Statistics.from_samples([every] * 7 + [alone])


def saved_with(known: Statistics, path, facts: str | None = None, **arrays: np.ndarray):
    """A file of statistics with other facts or arrays."""
    known.save(path)
    with safe_open(path, "numpy") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    path.write_bytes(save(tensors | arrays, metadata if facts is None else {"good_samples": facts}))
    return path


def test_statistics_that_are_forged(tmp_path, tiny, known):
    """Nested facts, qualities that are none, numbers that are none, files without end: an error each, and soon."""
    path = tmp_path / "forged.safetensors"
    for facts in ("[" * 100_000, '{"quality": Infinity, "model_id": "00"}', '{"quality": true, "model_id": "00"}', "3"):
        with pytest.raises(CaeError, match="no statistics"):
            Statistics.load(saved_with(known, path, facts))
    for arrays in ({"mean": np.full_like(known.mean, np.nan)}, {"levels": known.levels.astype(np.int8)}):
        with pytest.raises(CaeError, match="other numbers"):
            Statistics.load(saved_with(known, path, **arrays))
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(CaeError, match="more than any"):
        Statistics.load(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CaeError, match="not a regular file"):
        Statistics.load(tmp_path / "pipe")
    less = Statistics.from_samples(
        [dataclasses.replace(t, features=t.features[..., :20]) for t in map(tiny.inspect, map(sample, range(4)))]
    )
    less.save(path)
    with pytest.raises(CaeError, match="20 features, not"):
        Statistics.load(path).score(tiny.inspect(sample(0)))


def test_smooth():
    """A Gaussian of its deviation, which keeps the sum and constants."""
    point = np.zeros((41, 41), np.float32)
    point[20, 20] = 1
    smoothed = smooth(point, 2.0)
    offsets = np.arange(-20, 21)
    assert smoothed.sum() == pytest.approx(1, abs=1e-5)
    assert (smoothed.sum(0) * offsets**2).sum() == pytest.approx(4, rel=0.05)
    assert np.allclose(smooth(np.full((1, 3), 7, np.float32), 5.0), 7)


def test_smallest_pictures(tiny):
    traces = tiny.inspect(np.zeros((1, 1, 3), np.uint8))
    assert np.isfinite(Statistics.from_single(traces).heat(traces, MAPS)).all()
    with pytest.raises(CaeError, match="limit of 1000"):
        Codec(weights=TINY, device="cpu", pixels_max=1000).inspect(sample(0))


def test_command(files, capsys):
    saved, heats = files / "good.safetensors", files / "heats"
    inspect.main([str(TINY), "--good", str(files / "good"), "--save", str(saved)])
    pictures = [str(files / "whole.png"), str(files / "hole.png")]
    inspect.main([str(TINY), *pictures, str(heats), "--statistics", str(saved), "--json"])
    whole, hole = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert hole["above"] and hole["score"] > hole["threshold"] and whole["score"] < hole["score"]
    heat = np.asarray(Image.open(heats / "hole.png"))
    assert heat.shape == (SIDE, SIDE, 3)
    colourful = np.ptp(heat.astype(int), axis=2)
    assert colourful[36:52, 52:68].mean() > 5 * colourful[:, :24].mean()
    words = [str(TINY), pictures[1], str(files / "heat.png"), "--good", str(files / "good")]
    with pytest.raises(SystemExit) as ended:
        inspect.main([*words, "--check", "--map", "error"])
    assert ended.value.code == 1 and "hole.png: score " in capsys.readouterr().out
    inspect.main([*words, "--threshold", "1000", "--check", "--force"])
    assert "not above the threshold" in capsys.readouterr().out


def test_a_heat_map_is_turned_as_the_picture_is(files):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(with_hole(21)).crop((0, 0, SIDE, 64)).save(files / "turned.png", exif=turned)
    inspect.main([str(TINY), str(files / "turned.png"), str(files / "heat.png")])
    with Image.open(files / "heat.png") as heat:
        assert heat.size == (SIDE, 64) and heat.getexif()[0x0112] == 6


@pytest.mark.parametrize("gray", [0, 128, 255])
@pytest.mark.parametrize("name", [*MAPS, "all"])
def test_plain_pictures_are_not_above_plain_samples(tmp_path, capsys, gray, name):
    """A picture that equals its samples has their score."""
    (tmp_path / "good").mkdir()
    for number in range(6):
        Image.new("L", (SIDE, SIDE), gray).save(tmp_path / "good" / f"{number}.png")
    good = tmp_path / "good"
    words = [TINY, good / "0.png", tmp_path / "heat.png", "--good", good, "--map", name, "--check", "--json"]
    inspect.main(list(map(str, words)))
    assert json.loads(capsys.readouterr().out)["above"] is False


@pytest.mark.parametrize("options", [("heats",), ("-o", "heats")])
def test_folders_of_pictures(files, monkeypatch, capsys, options):
    """Heat maps go to a folder, which need not exist, with the names and the tree of the pictures."""
    monkeypatch.chdir(files)
    (files / "in" / "sub").mkdir(parents=True)
    for name in ("whole.png", "sub/hole.png"):
        Image.fromarray(sample(20)).save(files / "in" / name)
    (files / "in" / "notes.txt").touch()
    inspect.main([str(TINY), "in", "-r", *options, "--map", "error"])
    assert capsys.readouterr().out.count(": score ") == 2
    heats = files / "heats"
    assert sorted(path.relative_to(heats).as_posix() for path in heats.rglob("*.png")) == ["sub/hole.png", "whole.png"]
    inspect.main([str(TINY), "whole.png", "new", "--map", "error"])
    assert (files / "new" / "whole.png").exists()


def test_a_broken_picture_does_not_end_the_run(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    (files / "in").mkdir()
    for name in ("a", "c"):
        Image.fromarray(sample(20)).save(f"in/{name}.png")
    Path("in/b.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match="cae-inspect: 1 of 3 files failed"):
        inspect.main([str(TINY), "in", "heats", "--map", "error"])
    output = capsys.readouterr()
    assert output.out.count(": score ") == 2 and output.err.startswith("cae-inspect: in/b.png: not an image")
    assert sorted(path.name for path in Path("heats").iterdir()) == ["a.png", "c.png"]


def test_command_without_good_samples(files, capsys):
    inspect.main([str(TINY), str(files / "hole.png"), str(files / "heat.png"), "--map", "all"])
    assert "threshold" not in capsys.readouterr().out and (files / "heat.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hole.png", "heat.xyz"], "pictures cannot be written as .xyz"),
        (["hole.png", "hole.png"], "own source"),
        (["hole.png", "whole.png"], "may be a picture"),
        (["hole.png", "heat.png", "--threshold", "nan"], "not a finite number"),
        (["hole.png", "heat.png", "--good", "nowhere"], "is not a folder"),
        (["hole.png", "heat.png", "--statistics", "hole.png"], "no statistics of good samples"),
        (["hole.png", "heat.png", "--statistics", "nowhere"], "No such file"),
        (["hole.png", "heat.png", "--quality", "0"], "0 is out of range"),
        (["nowhere.png", "heat.png"], "No such file"),
        (["hole.png"], "required"),
        (["hole.png", "heat.png", "--check"], "needs a threshold"),
        (["--save", "good.safetensors"], "--good FOLDER"),
    ],
)
def test_command_refuses(files, monkeypatch, capsys, words, message):
    monkeypatch.chdir(files)
    before = sorted(path.name for path in files.iterdir())
    with pytest.raises(SystemExit) as ended:
        inspect.main([str(TINY), *words])
    said = str(ended.value.code) if isinstance(ended.value.code, str) else capsys.readouterr().err
    assert message in said and said.startswith("cae-inspect: ") and "\n" not in said.strip()
    assert sorted(path.name for path in files.iterdir()) == before
