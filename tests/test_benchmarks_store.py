"""Points survive interruptions, and stale ones are not used."""

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.core.store import Point, Store

POINT = Point("a", "0" * 64, 10, 20, "jpeg", "1", 50, 100, {"psnr_rgb": 30.0, "psnr_y": None}, 0.1, 0.2)


def test_bits_per_pixel():
    assert POINT.bpp == 4.0


def test_points_come_back(tmp_path):
    with Store(tmp_path / "new" / "points.jsonl") as store:
        store.add(POINT)
    with Store(tmp_path / "new" / "points.jsonl") as store:
        assert store.find(POINT.key, ["psnr_rgb", "psnr_y"]) == POINT
        assert store.find(POINT.key, ["ms_ssim_rgb"]) is None, "a metric is missing"
        for change in ({"digest": "1" * 64}, {"codec": "webp"}, {"version": "2"}, {"setting": 51}):
            assert store.find(dataclasses.replace(POINT, **change).key, []) is None


def test_metrics_gather(tmp_path):
    with Store(tmp_path / "points.jsonl") as store:
        store.add(POINT)
        store.add(dataclasses.replace(POINT, metrics={"ms_ssim_rgb": 0.9, "psnr_rgb": 31.0}))
    with Store(tmp_path / "points.jsonl") as store:
        point = store.find(POINT.key, ["psnr_rgb", "psnr_y", "ms_ssim_rgb"])
        assert point.metrics == {"psnr_rgb": 31.0, "psnr_y": None, "ms_ssim_rgb": 0.9}


@given(cut=st.integers(0, 1000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_off_anywhere(tmp_path, cut):
    path = tmp_path / "points.jsonl"
    path.unlink(missing_ok=True)
    points = [dataclasses.replace(POINT, setting=setting) for setting in range(3)]
    with Store(path) as store:
        for point in points:
            store.add(point)
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    whole = data[:cut].count(b"\n")
    with Store(path) as store:
        assert [store.find(point.key, []) is not None for point in points] == [index < whole for index in range(3)]
        store.add(points[2])
    with Store(path) as store:
        assert store.find(points[2].key, []) == points[2]


def test_damaged_lines_are_told(tmp_path):
    path = tmp_path / "points.jsonl"
    with Store(path) as store:
        store.add(POINT)
    path.write_bytes(b'{"schema": 1}\n[]\n\xff\n' + path.read_bytes())
    with pytest.warns(UserWarning, match="3 damaged lines"), Store(path) as store:
        assert store.find(POINT.key, []) == POINT


def test_other_schema_is_stale(tmp_path):
    path = tmp_path / "points.jsonl"
    path.write_text(json.dumps({"schema": 0, **dataclasses.asdict(POINT)}) + "\n")
    with Store(path) as store:
        assert store.find(POINT.key, []) is None
