"""Reduced sizes: areas' averages of what a whole decode gives, region by region the same, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest

import codec
from codec.images.downscale import cover, reduce

from .conftest import TINY
from .forging import smallest_file


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(1, 1, 1), (16, 24, 3), (17, 5, 4), (7, 33, 2)])
def test_reduction_is_the_rounded_average(factor, shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    pixels[:8, :8] = 255
    reduced = reduce(pixels, factor)
    assert reduced.shape == (-(-shape[0] // factor), -(-shape[1] // factor), shape[2])
    for y, x in np.ndindex(reduced.shape[:2]):
        square = pixels[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].astype(float)
        assert np.array_equal(reduced[y, x], np.floor(square.mean((0, 1)) + 0.5))


@pytest.mark.parametrize("scale", [1 / 2, Fraction(1, 4), np.float32(1 / 8), 1.0, Fraction(1)])
@pytest.mark.parametrize("channels", [1, 4])
def test_reduced_sizes(tiny, chelsea, scale, channels):
    pixels = np.tile(np.dstack([chelsea, chelsea[..., 1]]), (1, 3, 1))[..., :channels]
    data, factor = tiny.encode(pixels, 60, tile=192), round(1 / scale)
    whole = reduce(tiny.decode(data).reshape(300, 1353, channels), factor, has_alpha=channels == 4)
    whole = whole[..., 0] if channels == 1 else whole
    assert np.array_equal(tiny.decode(data, scale=scale), whole)
    assert np.array_equal(np.asarray(tiny.decode_image(data, scale=scale)), whole)
    with tiny.open(data) as picture:
        assert np.array_equal(np.concatenate(list(picture.bands(scale=scale))), whole)
        for x, y, width, height in ((0, 0, 1, 1), (1352, 299, 1, 1), (1003, 63, 50, 90), (1016, 64, 8, 8)):
            rows, columns = (slice(first // factor, -(-(first + size) // factor)) for first, size in ((y, height), (x, width)))
            region = x, y, width, height
            assert np.array_equal(picture.read(region, scale), whole[rows, columns])
            assert np.array_equal(tiny.decode(data, region=region, scale=scale), whole[rows, columns])


def test_more_pixels_than_the_limit_at_a_reduced_size():
    limited = codec.Codec(weights=TINY, device="cpu", threads=1, pixels_max=2**24)
    data = smallest_file(128, 2**18, limited._model.id)
    assert limited.decode(data, scale=1 / 8).shape == (2**15, 16, 3)
    with pytest.raises(codec.CaeError, match="more than the limit"):
        limited.decode(data, scale=1)


@pytest.mark.parametrize("scale", [0.3, 3, 4, 0, "1", "1/2", None, (1, 1), np.ones(2), float("nan"), 1 / 16, -0.5, True + 1j])
def test_other_scales(tiny, chelsea, scale):
    data = tiny.encode(chelsea[:20, :20])
    with tiny.open(data) as picture, pytest.raises(codec.CaeError, match="is not 2, 1, 1/2, 1/4 or 1/8"):
        picture.read(scale=scale)


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 452, 5), (450, 0, 2, 5)])
def test_bad_regions_are_named_as_they_were_given(tiny, chelsea, region):
    with pytest.raises(codec.CaeError, match=f"x {region[0]}, y {region[1]}, {region[2]} x {region[3]}"):
        tiny.decode(tiny.encode(chelsea), region=region, scale=1 / 8)


@pytest.mark.parametrize("factor", [1, 2, 8])
def test_what_is_seen_of_a_layer_covers_a_reduced_picture(factor):
    """As if the reduced pixels had been as large as their squares."""
    rng = np.random.default_rng(2)
    layer, seen = rng.integers(0, 256, (21, 30, 3)).astype(np.uint8), rng.random((21, 30, 1)) < 0.5
    seen[:8, :8] = True
    pixels = rng.integers(0, 256, reduce(layer, factor).shape).astype(np.uint8)
    large = pixels.repeat(factor, 0).repeat(factor, 1)[:21, :30]
    expected = reduce(np.where(seen, layer, large), factor)
    cover(pixels, layer, seen, factor)
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("scale", [2, 1 / 2, 1 / 4, 1 / 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_hidden_colours_do_not_show(tiny, scale, dtype, channels):
    """Visible pixels of one colour keep it at any size, whatever colour lies beneath transparent ones beside them."""
    largest = np.iinfo(dtype).max
    pixels = np.zeros((48, 64, channels), dtype)
    pixels[..., -2], pixels[..., -1] = largest, largest
    pixels[:, ::3] = [largest] * (channels == 4) + [0] * (channels - 1)  # red, or black, and alpha 0
    pixels[40:, :16, -1] = 0
    shown = tiny.decode(tiny.encode(pixels, lossless=True), scale=scale)
    seen = shown[..., -1] > 0
    assert seen.mean() > 0.5 and (shown[seen][:, -2] == largest).all() and (shown[seen][:, :-2] == 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reduction_weights_colours_by_alpha(dtype):
    largest = np.iinfo(dtype).max
    pixels = (np.random.default_rng(3).random((17, 21, 4)) * largest).astype(dtype)
    pixels[:8, :8, 3] = 0
    for factor in (2, 8):
        reduced = reduce(pixels, factor, has_alpha=True)
        for y, x in np.ndindex(reduced.shape[:2]):
            square = pixels[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].reshape(-1, 4).astype(float)
            weights = square[:, 3:] if square[:, 3].any() else np.ones((len(square), 1))
            expected = np.floor((square[:, :3] * weights).sum(0) / weights.sum() + 0.5)
            assert np.array_equal(reduced[y, x, :3], expected) and reduced[y, x, 3] == np.floor(square[:, 3].mean() + 0.5)


def test_layers_are_weighted_by_alpha():
    """A layer's hidden pixels do not show in a reduced picture, nor do those beneath it that its visible ones replace."""
    rng = np.random.default_rng(4)
    layer, seen = rng.integers(0, 256, (21, 30, 3)).astype(np.uint8), rng.random((21, 30, 1)) < 0.5
    alpha = rng.integers(0, 3, (21, 30, 1)).astype(np.uint8) * np.uint8(127)
    pixels = rng.integers(0, 256, reduce(layer, 4).shape).astype(np.uint8)
    large = pixels.repeat(4, 0).repeat(4, 1)[:21, :30]
    expected = reduce(np.concatenate([np.where(seen, layer, large), alpha], -1), 4, has_alpha=True)[..., :3]
    cover(pixels, layer, seen, 4, alpha)
    assert np.array_equal(pixels, expected)
