"""Geometry: grids cover everything once, regions touch what they should."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codec.format.geometry import Rect, bands, grid

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(1, 100))
def test_grid_covers_once(height, width, step):
    cover = np.zeros((height, width), int)
    numbers = []
    for number, cell in grid(Rect(0, 0, height, width), step):
        cover[cell.slices] += 1
        numbers.append(number)
    assert (cover == 1).all()
    assert numbers == list(range(len(numbers)))


@given(SIDES, SIDES, st.integers(1, 100), st.data())
def test_touching_is_just_what_overlaps(height, width, step, data):
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    region = Rect(top, left, data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width)))
    bounds = Rect(0, 0, height, width)
    overlapping = [(n, cell) for n, cell in grid(bounds, step) if (cell & region).height > 0 and (cell & region).width > 0]
    assert list(grid(bounds, step, touching=region)) == overlapping


@given(SIDES, SIDES, st.integers(1, 100), st.integers(1, 20))
def test_bands_hold_whole_rows_of_cells(height, width, step, cells):
    bounds = Rect(0, 0, height, width)
    all_bands = list(bands(bounds, step, cells))
    assert [cell for band in all_bands for _, cell in grid(band, step)] == [cell for _, cell in grid(bounds, step)]
    assert all(len(list(grid(band, step))) >= cells for band in all_bands[:-1])
    assert all(len(list(grid(band, step))) < cells + -(-width // step) for band in all_bands)
