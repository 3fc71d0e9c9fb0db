"""Bands in, bands out: however the rows arrive, the file is the same, and however they leave, so is the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec.coding import decoder, encoder
from codec.coding.jobs import DecodeJob, EncodeJob
from codec.coding.settings import Settings
from codec.format import container
from codec.format.header import Header
from codec.options import DecodeOptions, EncodeOptions

from .conftest import TINY

SMALL = Settings(1, bf16=False, window=64)


def coded(bands, header, model) -> bytes:
    return container.write(header, {}, list(encoder.encode_bands(bands, EncodeJob(model, SMALL, header, EncodeOptions()))))


@settings(max_examples=15)
@given(st.lists(st.integers(0, 300), max_size=6), st.sampled_from([1, 2, 3, 4]))
def test_heights_of_arriving_bands_do_not_matter(tiny_model, chelsea, cuts, channels):
    pixels = np.concatenate([chelsea, chelsea[..., :1]], -1)[:, :150, :channels]
    header = Header(150, 300, channels, 50, 64, tiny_model.id)
    whole = coded([pixels], header, tiny_model)
    assert coded(np.split(pixels, sorted(cuts)), header, tiny_model) == whole


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(100, 50, 3)], "only 100 of the picture's 120 rows"),
        ([], "only 0 of the picture's 120 rows"),
        ([(100, 50, 3), (21, 50, 3)], "more rows than the picture's height of 120"),
        ([(120, 50, 3), (1, 50, 3)], "more rows than the picture's height of 120"),
        ([(120, 51, 3)], "for a picture of uint8"),
        ([(120, 50, 4)], "for a picture of uint8"),
        ([(120, 50)], "for a picture of uint8"),
    ],
)
def test_bands_that_do_not_fit(tiny_model, shapes, message):
    header = Header(50, 120, 3, 50, 64, tiny_model.id)
    with pytest.raises(codec.CaeError, match=message):
        coded([np.zeros(shape, np.uint8) for shape in shapes], header, tiny_model)


def test_bands_of_another_type(tiny_model):
    with pytest.raises(codec.CaeError, match="float64"):
        coded([np.zeros((64, 64, 3))], Header(64, 64, 3, 50, 64, tiny_model.id), tiny_model)


def test_an_encoder_asks_for_no_more_rows_than_it_needs(tiny_model, chelsea):
    """Tiles come out while rows still arrive."""
    asked = []

    def arriving():
        for top in range(0, 300, 10):
            asked.append(top)
            yield chelsea[top : top + 10]

    header = Header(451, 300, 3, 50, 64, tiny_model.id)
    next(encoder.encode_bands(arriving(), EncodeJob(tiny_model, SMALL, header, EncodeOptions())))
    assert max(asked) < 100


@pytest.mark.parametrize("window", [64, 128, 1024])
def test_leaving_bands_make_the_picture(tiny, tiny_model, chelsea, window):
    data = tiny.encode(np.concatenate([chelsea, chelsea[..., 1:2]], -1), 60, tile=128)
    file = container.read(data)
    job = DecodeJob(tiny_model, Settings(1, window=window), file.header, DecodeOptions())
    bands = list(decoder.decode_bands(data, file, job))
    assert len(bands) == -(-300 // window) if window < 1024 else 1
    assert np.array_equal(np.concatenate(bands), decoder.decode(data, file, job))


def test_a_region_out_of_place_is_refused_before_the_first_band(tiny, tiny_model, chelsea):
    data = tiny.encode(chelsea)
    file = container.read(data)
    with pytest.raises(codec.CaeError, match="not within the picture"):
        decoder.decode_bands(data, file, DecodeJob(tiny_model, SMALL, file.header, DecodeOptions((0, 0, 452, 300))))


def test_alpha_of_a_region_needs_its_tiles_alone(tiny, chelsea):
    """A region decodes beside a damaged piece of alpha, and equals the crop; one that needs the piece does not."""
    alpha = np.random.default_rng(2).integers(0, 256, chelsea.shape[:2], np.uint8)
    data = bytearray(tiny.encode(np.dstack([chelsea, alpha]), 50, tile=64))
    x, y, width, height = region = (10, 70, 300, 130)
    expected = tiny.decode(data)[y : y + height, x : x + width]
    assert np.array_equal(expected[..., 3], alpha[y : y + height, x : x + width])
    last = container.read(data).index[-1]
    data[last.offset + last.length // 2] ^= 1
    assert np.array_equal(tiny.decode(data, region=region), expected)
    with pytest.raises(codec.CaeError, match="the alpha of tile 39 is damaged"):
        tiny.decode(data)


def test_region_of_a_picture_with_alpha_above_the_limit(tiny, chelsea):
    data = tiny.encode(np.dstack([chelsea, chelsea[..., 0]]), 50, tile=64)
    limited = codec.Codec(weights=TINY, device="cpu", pixels_max=40_000)
    assert limited.decode(data, region=(200, 200, 1, 1)).shape == (1, 1, 4)
    with pytest.raises(codec.CaeError, match="limit"):
        limited.decode(data)
