"""The runner: points that are measured, points that are reused, and the traces of a failure."""

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from benchmarks.codecs import jpeg
from benchmarks.core import images, runner
from benchmarks.core.store import Store
from codec import CaeError


@dataclasses.dataclass(frozen=True)
class Raw:
    """Keeps the upper bits of each sample; counts its calls."""

    calls: list = dataclasses.field(default_factory=list)
    version: str = "1"
    name = "raw"
    label = "raw"
    settings = (1, 2)
    in_main_process = True

    def available(self):
        return None

    def encode(self, pixels, setting):
        self.calls.append(setting)
        if setting == 7:
            raise CaeError("seven is too much")
        if setting == 8:
            pixels = pixels[1:]
        return bytes([pixels.shape[0]]) + (pixels >> (8 - setting) << (8 - setting)).tobytes()

    def decode(self, data):
        return np.frombuffer(data[1:], np.uint8).reshape(data[0], -1, 3)


@pytest.fixture
def samples(tmp_path):
    generator = np.random.default_rng(3)
    for name in "ab":
        Image.fromarray(generator.integers(0, 256, (12, 20, 3), np.uint8)).save(tmp_path / f"{name}.png")
    return images.from_folder(tmp_path)


def tasks(samples, codec, settings):
    return [runner.PointTask(sample, codec, codec.version, setting) for sample in samples for setting in settings]


def run(path, *arguments, metrics=("psnr_rgb",), jobs=1):
    with Store(path) as store:
        return runner.run(*arguments, metrics, store, jobs)


def test_points(samples, tmp_path):
    points, failures = run(tmp_path / "points.jsonl", tasks(samples, Raw(), (1, 2)))
    assert not failures
    assert [(point.image, point.setting) for point in points] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    for point in points:
        assert point.bytes == 1 + 12 * 20 * 3
        assert point.metrics["psnr_rgb"] > 5
        assert not point.clean_timing


def test_reuse(samples, tmp_path):
    path, codec = tmp_path / "points.jsonl", Raw()
    first, _ = run(path, tasks(samples, codec, (1,)))
    second, _ = run(path, tasks(samples, codec, (1, 2)))
    assert sorted(codec.calls) == [1, 1, 2, 2]
    assert [point for point in second if point.setting == 1] == first


def test_new_version_is_measured_anew(samples, tmp_path):
    path, calls = tmp_path / "points.jsonl", []
    run(path, tasks(samples, Raw(calls), (1,)))
    points, _ = run(path, tasks(samples, Raw(calls, version="2"), (1,)))
    assert len(calls) == 4
    assert {point.version for point in points} == {"2"}


def test_new_metric_is_measured(samples, tmp_path):
    path, codec = tmp_path / "points.jsonl", Raw()
    run(path, tasks(samples, codec, (1,)))
    points, _ = run(path, tasks(samples, codec, (1,)), metrics=("psnr_y",))
    assert all(point.metrics.keys() == {"psnr_y"} for point in points)


def test_failures_are_told_and_tried_again(samples, tmp_path):
    path, codec = tmp_path / "points.jsonl", Raw()
    for _ in range(2):
        points, failures = run(path, tasks(samples[:1], codec, (1, 7, 8)))
        assert [point.setting for point in points] == [1]
        assert failures[0] == "raw at 7 on a: seven is too much"
        assert "decoded to uint8 (11, 20, 3), not uint8 (12, 20, 3)" in failures[1]
    assert sorted(codec.calls) == [1, 7, 7, 8, 8]


def test_interruption_keeps_what_was_measured(samples, tmp_path):
    class Interrupted(Raw):
        def encode(self, pixels, setting):
            if len(self.calls) == 3:
                raise KeyboardInterrupt
            return super().encode(pixels, setting)

    path = tmp_path / "points.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, tasks(samples, Interrupted(), (1, 2)))
    codec = Raw()
    points, _ = run(path, tasks(samples, codec, (1, 2)))
    assert (len(points), len(codec.calls)) == (4, 1)


@dataclasses.dataclass(frozen=True)
class Deadly(Raw):
    """Ends its process."""

    in_main_process = False

    def encode(self, pixels, setting):
        os._exit(1)


def test_death_of_a_process_is_told(samples, tmp_path):
    with pytest.raises(CaeError, match="a process died"):
        run(tmp_path / "points.jsonl", tasks(samples, Deadly(), (1,)), jobs=2)


def test_processes_give_the_same(samples, tmp_path):
    mixed = tasks(samples, jpeg.BASELINE, (10, 90)) + tasks(samples, Raw(), (4,))
    mixed.sort(key=lambda task: task.sample.name)
    alone, _ = run(tmp_path / "1.jsonl", mixed)
    together, failures = run(tmp_path / "2.jsonl", mixed, jobs=2)
    assert not failures
    untimed = {"encode_seconds": 0.0, "decode_seconds": 0.0}
    assert [dataclasses.replace(point, **untimed) for point in together] == [
        dataclasses.replace(point, **untimed) for point in alone
    ]
