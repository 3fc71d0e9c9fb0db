"""Regions: exactly the crop of the whole picture, from no more of the file than they need."""

import numpy as np
import pytest

import codec
from codec.format import container


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
