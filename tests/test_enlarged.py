"""Decodes at twice the size: by a decoder that enlarges, or by a filter where the weights have none."""

import itertools
import json
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

import codec
from codec.coding import decoder
from codec.coding.jobs import DecodeJob
from codec.coding.settings import Settings
from codec.commands import decode
from codec.format import container
from codec.format.geometry import Rect
from codec.format.header import Kind, Plane
from codec.images.upscale import MARGIN, enlarge, enlarge_bands, squares
from codec.networks.weights import Weights
from codec.options import DecodeOptions
from codec.training.decoders.enlarging import EnlargingDecoder
from codec.training.decoders.frozen_latent import export_beside
from codec.training.export import restore

from .conftest import TINY, psnr
from .damage import damaged
from .forging import smallest_file


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The tiny weights with a decoder that enlarges, at its start."""
    path = tmp_path_factory.mktemp("weights") / "enlarging.safetensors"
    export_beside(EnlargingDecoder(restore(TINY), 2), TINY, path, "{}")
    return path


@pytest.fixture(scope="module")
def enlarging(weights) -> codec.Codec:
    return codec.Codec(weights=weights, device="cpu", threads=2)


@pytest.fixture(params=["decoder", "filter"])
def enlarger(request, enlarging, tiny) -> codec.Codec:
    return enlarging if request.param == "decoder" else tiny


def lanczos(pixels: np.ndarray) -> np.ndarray:
    """Across, then down."""
    height, width = pixels.shape[:2]
    wide = Image.fromarray(pixels).resize((2 * width, height), Image.Resampling.LANCZOS)
    return np.asarray(wide.resize((2 * width, 2 * height), Image.Resampling.LANCZOS))


def drawing(height: int, width: int) -> np.ndarray:
    rows, columns = np.indices((height, width)) // 7
    return np.where((rows + columns) % 3 == 0, 30, 230).astype(np.uint8)[..., None].repeat(3, 2)


def check_parts(enlarger: codec.Codec, data: bytes, regions, **options) -> np.ndarray:
    """Regions and bands are those of the whole picture, which is what comes back."""
    whole = enlarger.decode(data, scale=2, **options)
    with enlarger.open(data, **options) as picture:
        assert np.array_equal(np.concatenate(list(picture.bands(scale=2))), whole)
        for x, y, width, height in regions:
            expected = whole[2 * y : 2 * (y + height), 2 * x : 2 * (x + width)]
            assert np.array_equal(picture.read((x, y, width, height), 2), expected)
            assert np.array_equal(np.concatenate(list(picture.bands((x, y, width, height), Fraction(2)))), expected)
    return whole


@pytest.mark.parametrize(("channels", "deep"), [(1, False), (3, True), (4, False), (2, True)])
def test_parts_are_those_of_the_whole(enlarger, chelsea, channels, deep):
    pixels = np.dstack([chelsea, chelsea[..., 1]])[..., 4 - channels :].squeeze()
    pixels = pixels * np.uint16(257) if deep else pixels
    data = enlarger.encode(pixels, 60, tile=128)
    whole = check_parts(enlarger, data, [(0, 0, 1, 1), (450, 299, 1, 1), (100, 60, 200, 130), (127, 0, 2, 300)])
    assert whole.shape == (600, 902, *pixels.shape[2:]) and whole.dtype == pixels.dtype
    unit = 257 if deep else 1
    assert psnr(squares(enlarger.decode(data), 2) / unit, whole / unit) > 27


def test_a_filter_stands_for_a_missing_decoder(tiny, enlarging, chelsea):
    data = tiny.encode(chelsea, 60, tile=128)
    filtered, own = tiny.decode(data, scale=2), enlarging.decode(data, scale=2.0)
    assert np.array_equal(filtered, lanczos(tiny.decode(data)))
    assert not np.array_equal(own, filtered) and psnr(own, filtered) > 30
    with tiny.open(data) as without, enlarging.open(data) as having:
        assert without.scales == (1,) and having.scales == (1, 2)
    assert np.array_equal(np.asarray(enlarging.decode_image(data, scale=2)), own)


@pytest.mark.parametrize("channels", [3, 4])
def test_windows_leave_no_seam(tiny_model, enlarging, tiny, chelsea, channels):
    """In windows of 64 pixels, each a band, it is what one window makes; the decoder's sums differ in their order."""
    pixels = np.dstack([chelsea, chelsea[..., 1]])[:, :200, :channels]
    data = tiny.encode(pixels, 60, tile=128)
    file = container.read(data)
    for enlarger, apart in ((tiny, 0), (enlarging, 1)):
        job = DecodeJob(enlarger._model, Settings(1, window=64), file.header, DecodeOptions(scale=2))
        banded = np.concatenate(list(decoder.decode_bands(data, file, job)))
        assert np.abs(banded.astype(int) - enlarger.decode(data, scale=2)).max() <= apart


def test_screen_content_becomes_squares(enlarger, astronaut):
    """Beside a photograph, whose alpha is filtered while the drawing's is not."""
    pixels = np.tile(astronaut, (1, 2, 1))[:256]
    pixels[:, :512] = drawing(256, 512)
    pixels = np.dstack([pixels, drawing(256, 1024)[..., 0]])
    data = enlarger.encode(pixels, 60, tile=256)
    assert [container.read(data).kind(number) for number in range(4)] == [Kind.LOSSLESS] * 2 + [Kind.TRANSFORM] * 2
    whole = check_parts(enlarger, data, [(0, 0, 30, 40), (500, 20, 30, 40), (511, 255, 1, 1)])
    assert np.array_equal(whole[:, :1024], squares(pixels[:, :512], 2))
    assert np.array_equal(whole[:, 1030:, 3], lanczos(pixels[..., 3].astype(np.float32)).round().clip(0, 255)[:, 1030:])


def test_files_without_loss_are_filtered_unless_screen_content(enlarger, chelsea):
    data = enlarger.encode(chelsea, lossless=True, tile=128)
    assert np.array_equal(check_parts(enlarger, data, [(120, 120, 20, 20)]), lanczos(chelsea))
    with enlarger.open(data) as picture:
        assert picture.scales == (1,)
    data = enlarger.encode(drawing(100, 120), lossless=True)
    assert np.array_equal(check_parts(enlarger, data, [(3, 7, 20, 20)]), squares(drawing(100, 120), 2))


def test_transparent_colours_do_not_show(tiny, chelsea):
    """Black where nothing is seen, which without weights would darken the rim of what is."""
    pixels = np.dstack([chelsea, np.full(chelsea.shape[:2], 255, np.uint8)])[:120, :120]
    pixels[..., :3] = 200 + pixels[..., :3] % 8
    pixels[30:60, 40:80] = 0
    for depth in (8, 16):
        whole = tiny.decode(tiny.encode(pixels if depth == 8 else pixels * np.uint16(257), lossless=True), scale=2)
        colours, alpha = whole[..., :3] // (1 if depth == 8 else 257), whole[..., 3]
        assert colours[alpha > 0].min() > 190 and colours[alpha > 0].max() < 220
        assert 0 < (alpha == 0).mean() < 0.2


def test_deep_pictures_keep_their_bits(tiny, chelsea):
    deep = chelsea.astype(np.uint16) * 256 + np.arange(256, dtype=np.uint16)[: chelsea.shape[0], None, None].repeat(2, 0)[:300]
    whole = tiny.decode(tiny.encode(deep, lossless=True), scale=2)
    eight = lanczos((deep >> 8).astype(np.uint8))
    assert np.abs(whole / 257 - eight).max() < 2 and len(np.unique(whole)) > 10_000


def test_damage_is_filled(enlarger, astronaut):
    data = damaged(enlarger.encode(astronaut, 60, tile=128), (5, Plane.COLOUR))
    with pytest.raises(codec.CaeError, match="tile 5"):
        enlarger.decode(data, scale=2)
    with enlarger.open(data) as picture, pytest.raises(codec.CaeError, match="tile 5"):
        picture.bands((120, 120, 5, 5), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        whole = check_parts(enlarger, data, [(100, 100, 60, 60), (0, 384, 100, 100)], on_error="fill")
    assert psnr(squares(astronaut, 2)[600:], whole[600:]) > 25


def test_the_limit_is_of_what_comes_out(weights, tiny):
    data = smallest_file(300, 300, tiny._model.id)
    for path in (weights, TINY):
        assert codec.Codec(weights=path, device="cpu", pixels_max=600 * 600).decode(data, scale=2).shape == (600, 600, 3)
        limited = codec.Codec(weights=path, device="cpu", pixels_max=600 * 600 - 1)
        assert limited.decode(data, region=(0, 0, 299, 300), scale=2).shape == (600, 598, 3)
        with pytest.raises(codec.CaeError, match="600 x 600 pixels are more than the limit"):
            limited.decode(data, scale=2)
        with limited.open(data) as picture, pytest.raises(codec.CaeError, match="600 x 600 pixels are more than the limit"):
            picture.bands(scale=2)


@pytest.mark.parametrize("by", ["decoder", "filter"])
def test_the_command(weights, tiny, enlarging, chelsea, tmp_path, capsys, by):
    (source := tmp_path / "a.cae").write_bytes(tiny.encode(chelsea[:90, :70], 60))
    options = ["--scale", "2", "--weights", str(weights if by == "decoder" else TINY), "--json"]
    expected = (enlarging if by == "decoder" else tiny).decode(source.read_bytes(), scale=2)
    for name in ("a.png", "a.npy"):
        decode.main([str(source), str(tmp_path / name), *options])
        facts = json.loads(capsys.readouterr().out)
        assert (facts["width"], facts["height"], facts["resized_by"]) == (140, 180, by)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), expected)
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected)
    decode.main([str(source), str(tmp_path / "b.png"), *options, "--region", "10,20,30,40"])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), expected[40:120, 20:80])
    with pytest.raises(SystemExit, match="140 x 180 pixels are more than the limit of 25199"):
        decode.main([str(source), str(tmp_path / "c.png"), *options, "--max-pixels", "25199"])
    assert not (tmp_path / "c.png").exists()


def test_forged_ones_are_refused(weights, tmp_path):
    tensors = load_file(weights)
    tensors["enlarged/2/patch_out.direct.weight"] = tensors["enlarged/2/patch_out.direct.weight"][:-1].clone()
    save_file(tensors, tmp_path / "forged.safetensors", Weights.read(weights).metadata)
    with pytest.raises(codec.CaeError, match="not a whole weights file"):
        codec.Codec(weights=tmp_path / "forged.safetensors", device="cpu")


@given(st.lists(st.integers(1, 90), max_size=5), st.tuples(*[st.integers(0, 89)] * 4), st.booleans())
def test_bands_of_any_heights(cuts, corners, has_alpha):
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (90, 90, 4 if has_alpha else 3)).astype(np.uint8)
    mask = squares(rng.random((6, 6, 1)) < 0.3, 15)
    bounds = Rect(0, 0, 90, 90)
    whole = enlarge((pixels, mask), bounds, 2, 255, has_alpha=has_alpha)
    target = Rect(min(corners[:2]), min(corners[2:]), max(corners[:2]) + 1, max(corners[2:]) + 1)
    place = target.grow(MARGIN, bounds)
    rows = sorted({cut for cut in cuts if place.top < cut < place.bottom} | {place.top, place.bottom})
    arriving = (
        (pixels[a:b, place.left : place.right], mask[a:b, place.left : place.right]) for a, b in itertools.pairwise(rows)
    )
    enlarged = np.concatenate(list(enlarge_bands(arriving, place, target, 2, 255, has_alpha=has_alpha)))
    assert np.array_equal(enlarged, whole[target.scaled(2).slices])
