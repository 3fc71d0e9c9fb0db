"""Regions: exactly the crop of the whole picture, from no more of the file than they need."""

import dataclasses
from fractions import Fraction

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import codec
from codec.coding import windowed_synthesis, windows
from codec.format import container
from codec.format.geometry import Rect
from codec.networks.invariance import kernels_are_size_invariant
from codec.networks.layers import Pointwise
from codec.networks.transforms import Synthesis

from .forging import smallest_file


@pytest.mark.parametrize("region", [(0, 0, 1, 1), (450, 299, 1, 1), (63, 64, 130, 65), (100, 0, 7, 300), (0, 0, 451, 300)])
def test_region_is_the_crop(default, chelsea, region):
    data = default.encode(chelsea, 40, tile=128)
    x, y, width, height = region
    assert np.array_equal(default.decode(data, region=region), default.decode(data)[y : y + height, x : x + width])


@pytest.mark.parametrize("region", [(1024, 0, 128, 100), (0, 0, 1000, 100), (1000, 30, 40, 20)])
def test_region_is_the_crop_of_several_windows(default, astronaut, region):
    """A region within one window comes from as many threads as the window does in the whole picture."""
    wide = np.tile(astronaut[:100], (1, 3, 1))[:, :1152]
    data = default.encode(wide, 70)
    x, y, width, height = region
    assert np.array_equal(default.decode(data, region=region), default.decode(data)[y : y + height, x : x + width])


def test_pieces_of_windows_are_the_crop(default, astronaut):
    """Regions across four windows, of which no more is synthesised than is needed, beside borders and in the middle."""
    pixels = np.tile(astronaut, (3, 3, 1))[:1300, :1100]
    data = default.encode(pixels, 70)
    whole = default.decode(data)
    with default.open(data) as picture:
        for x, y, width, height in ((900, 900, 200, 200), (1020, 10, 3, 500), (0, 1299, 700, 1), (600, 400, 60, 70)):
            assert np.array_equal(picture.read((x, y, width, height)), whole[y : y + height, x : x + width])


def test_a_region_costs_what_it_shows(tiny, monkeypatch):
    """Of the four windows that meet, it synthesises a small part; where sizes might not agree, all of them."""
    data = smallest_file(3000, 3000, tiny._model.id)
    areas = []
    forward = Synthesis.forward

    def counting(self, y, *rest, **more):
        areas.append(y.shape[1] * y.shape[2] * 256)
        return forward(self, y, *rest, **more)

    monkeypatch.setattr(Synthesis, "forward", counting)
    tiny.decode(data, region=(0, 0, 1, 1))
    for agree, most in ((True, 400 * 400), (False, 5 * 1024 * 1024)):
        areas.clear()
        monkeypatch.setattr(windowed_synthesis, "kernels_are_size_invariant", lambda *_, agree=agree: agree)
        tiny.decode(data, region=(900, 900, 300, 300))
        assert most / 2 < sum(areas) <= most


def test_sizes_that_do_not_agree_are_found(tiny_model, monkeypatch):
    forward = Pointwise.forward
    monkeypatch.setattr(Pointwise, "forward", lambda self, x: forward(self, x) * (1 + 1e-6 * (x.shape[1] < 30)))
    # under another id, since each model is tried once
    other = dataclasses.replace(tiny_model, id=b"slightly")
    assert not kernels_are_size_invariant(other, Fraction(1), False)


@hypothesis.given(
    st.tuples(*[st.integers(1, 700)] * 2), st.tuples(*[st.integers(0, 699)] * 4), st.integers(1, 9), st.sampled_from([64, 256])
)
def test_pieces_hold_a_region_once(size, corners, count, side):
    bounds = Rect(0, 0, *size)
    region = Rect(min(corners[:2]), min(corners[2:]), max(corners[:2]) + 1, max(corners[2:]) + 1) & bounds
    hypothesis.assume(not region.is_empty)
    seen = np.zeros(size, int)
    narrow = {piece.core for piece in windows.whole(bounds, side, bounds) if min(piece.core.height, piece.core.width) < 3}
    for core, part in windows.parts(bounds, side, region, count, 3):
        seen[part.slices] += 1
        assert core.scaled(16) & part == part
        assert core & bounds.outward(16) == core
        assert core in narrow or 3 <= min(core.height, core.width) <= max(core.height, core.width) <= side // 16
    inside = np.zeros(size, int)
    inside[region.slices] = 1
    assert np.array_equal(seen, inside)


def test_region_reads_only_what_it_needs(tiny, astronaut):
    """With a damaged tile far away a region decodes; with a damaged tile beneath it, it does not."""
    data = bytearray(tiny.encode(astronaut, 50, tile=64))
    last = container.read(data).index[-1]
    data[last.offset + last.length // 2] ^= 1
    assert tiny.decode(data, region=(0, 0, 300, 300)).shape == (300, 300, 3)
    with pytest.raises(codec.CaeError, match="tile 63"):
        tiny.decode(data)


@pytest.mark.parametrize(
    "region",
    [
        (0, 0, 0, 5),
        (-1, 0, 5, 5),
        (0, 0, 452, 5),
        (450, 0, 2, 5),
        (0, 0, 5),
        "abcd",
        "1234",
        (0, 0, 5.0, 5),
        (0, 0, float("inf"), 5),
        5,
    ],
)
def test_bad_regions(tiny, chelsea, region):
    data = tiny.encode(chelsea)
    with pytest.raises(codec.CaeError, match="region"):
        tiny.decode(data, region=region)
