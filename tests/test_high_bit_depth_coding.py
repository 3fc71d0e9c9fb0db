"""Pictures of 9 to 16 bits a sample: coded from their full precision, by every way in and out of the codec."""

import io
import warnings

import numpy as np
import pytest
import torch
import zarr
from PIL import Image

import codec
import codec.pillow
from codec import CaeError
from codec.coding.lossless import decode_colour, decode_gray, encode_colour, encode_gray
from codec.commands import encode
from codec.dataset import CaeFolder
from codec.format import container
from codec.format.header import MODES, NO_MODEL, Header, Kind, Plane
from codec.format.payload import Payload, join_mixed
from codec.images.downscale import reduce
from codec.images.samples import scaled
from codec.numcodecs import Cae
from codec.zarr import CaeCodec

from .conftest import TINY
from .damage import damaged

ON_CPU = {"weights": TINY, "device": "cpu", "threads": 2}
RNG = np.random.default_rng(5)


def psnr(a: np.ndarray, b: np.ndarray, largest: int = 65535) -> float:
    return 10 * np.log10(largest**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.fixture(scope="module")
def deep(chelsea) -> np.ndarray:
    """A photograph of 300 x 451 averaged from 2 x 2 of its pixels and noise, so that its low bytes count: (150, 225, 4)."""
    mean = chelsea[:, :450].reshape(150, 2, 225, 2, 3).mean((1, 3)) * 257
    alpha = np.linspace(0, 65535, 225).round()[None, :, None].repeat(150, 0)
    return np.concatenate([mean + RNG.integers(0, 100, mean.shape), alpha], -1).clip(0, 65535).astype(np.uint16)


def ramp() -> np.ndarray:
    """A smooth gradient over a fifth of the range, in colour."""
    rows, columns = np.mgrid[:192, :192]
    course = 20000 + 40 * rows + 28.7 * columns
    return np.stack([course, 1.2 * course, 60000 - course], -1).astype(np.uint16)


def test_a_gradient_has_no_bands(default):
    """As 16 bits it has many times the levels, and more fidelity, than by way of 8 bits at the same quality."""
    picture = ramp()
    eight = np.rint(picture / 257).astype(np.uint8)
    out, by_eight = (default.decode(default.encode(pixels, 95)) for pixels in (picture, eight))
    assert (out.dtype, by_eight.dtype) == (np.uint16, np.uint8)
    assert len(np.unique(out[..., 0])) > 50 * len(np.unique(by_eight[..., 0]))
    assert psnr(picture, out) > psnr(picture, by_eight * 257.0) + 1.5


def test_a_photograph_has_the_fidelity_that_its_quality_gives(default, deep):
    picture = deep[..., :3]
    eight = np.rint(picture / 257).astype(np.uint8)
    for quality, gain in ((30, -0.05), (90, 0.02)):
        data, by_eight = default.encode(picture, quality), default.encode(eight, quality)
        assert abs(len(data) - len(by_eight)) < 0.01 * len(by_eight)
        assert psnr(picture, default.decode(data)) > psnr(picture, default.decode(by_eight) * 257.0) + gain


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_all_ways_give_the_same(tiny, deep, channels, lossless, tmp_path):
    """Of arrays, row by row, regions, tiles, bands; alpha and what is lossless come back to the last bit."""
    pixels = deep[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    mode, options = MODES[channels], {"quality": None if lossless else 80, "tile": 64, "lossless": lossless}
    data = tiny.encode(pixels, **options)
    with tiny.create(tmp_path / "a.cae", (225, 150), mode, depth=16, **options) as out:
        for rows in np.split(pixels, [1, 70, 71]):
            out.write(rows)
    assert (tmp_path / "a.cae").read_bytes() == data
    whole = tiny.decode(data)
    assert whole.dtype == np.uint16 and whole.shape == (pixels[..., 0] if channels == 1 else pixels).shape
    if lossless:
        assert np.array_equal(whole.reshape(pixels.shape), pixels)
    elif channels in (2, 4):
        assert np.array_equal(whole[..., -1], pixels[..., -1])
    assert np.array_equal(tiny.decode(data, region=(50, 30, 100, 90)), whole[30:120, 50:150])
    with tiny.open(tmp_path / "a.cae") as picture:
        assert (picture.depth, picture.mode) == (16, mode)
        assert np.array_equal(np.concatenate(list(picture.bands())), whole)
        for x, y, tile in picture.tiles():
            assert np.array_equal(tile, whole[y : y + 64, x : x + 64])
        expected = reduce(whole.reshape(pixels.shape), 4, has_alpha="A" in mode)
        assert np.array_equal(picture.read(scale=1 / 4).reshape(expected.shape), expected)
    facts = codec.info(data)
    assert (facts.depth, facts.mode, facts.kinds["mixed"]) == (16, mode, 0)


def test_reduced_sizes_do_not_overflow():
    assert (reduce(np.full((9, 17, 1), 65535, np.uint16), 8) == 65535).all()


def test_other_byte_orders_are_the_same(tiny, deep):
    expected, other, file = tiny.encode(deep[..., 0]), deep[..., 0].astype(">u2"), io.BytesIO()
    with tiny.create(file, (225, 150), "L", depth=16) as out:
        out.write(other)
    assert tiny.encode(other) == file.getvalue() == expected


def test_fewer_bits_reach_white_earlier(default, deep):
    """Of 12 bits, naming them gives the fidelity of 16 bits as a share of white; values come back in their own range."""
    picture = deep[..., 0] >> 4
    named = default.encode(picture, 60, depth=12)
    with pytest.warns(RuntimeWarning, match="if they have 12 bits, say depth=12"):
        unnamed = default.encode(picture, 60)
    out = default.decode(named)
    assert codec.info(named).depth == 12 and out.dtype == np.uint16 and out.max() <= 4095
    assert abs(psnr(picture, out, 4095) - psnr(deep[..., 0], default.decode(default.encode(deep[..., 0], 60)))) < 0.1
    assert psnr(picture, out) > psnr(picture, default.decode(unnamed)) + 6
    assert np.array_equal(default.decode(default.encode(picture, lossless=True, depth=12)), picture)


HINTED = pytest.mark.parametrize(("colour", "hinted"), [(4095, True), (65535, False), (200, False)])


def camera_gray(colour, hinted):
    """Gray and alpha; an image program's alpha reaches 65535 over a camera's 12 bits."""
    picture = np.full((9, 9, 2), colour, np.uint16)
    picture[..., 1] = 65535 if hinted else 4095
    return picture


@HINTED
def test_the_hint_looks_at_colours_alone(tiny, recwarn, colour, hinted):
    tiny.encode(camera_gray(colour, hinted))
    assert [str(each.message).startswith("no sample of its colours is above 4095") for each in recwarn] == [True] * hinted


@HINTED
@pytest.mark.parametrize("target", [(), ("--target-size", "500")])
def test_the_commands_hint_names_its_option(tmp_path, capsys, colour, hinted, target):
    np.save(tmp_path / "a.npy", camera_gray(colour, hinted))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        encode.main([str(tmp_path / "a.npy"), str(tmp_path / "a.cae"), "--weights", str(TINY), "--device", "cpu", *target])
    messages = capsys.readouterr().err
    hint = "a.npy: no sample of its colours is above 4095 of 65535; if they have 12 bits, pass --depth 12"
    assert messages.count(hint) == hinted
    assert "depth=" not in messages


@pytest.mark.parametrize(
    ("pixels", "depth", "message"),
    [
        (np.full((9, 9, 2), [4095, 4096], np.uint16), 12, "a sample of the alpha is 4096, but those of 12 bits reach 4095"),
        (np.full((9, 9), 4096, np.uint16), 12, "a sample is 4096, but those of 12 bits reach 4095"),
        (np.zeros((9, 9), np.uint16), 8, "depth 8: the picture has 16 bits"),
        (np.zeros((9, 9), np.uint8), 12, "depth 12: the picture has 8 bits; leave it out"),
        (np.zeros((9, 9), np.uint16), 17, "depth 17 is not 8 to 16"),
        (np.zeros((9, 9), np.float32), None, "if it reaches from 0 to 1, take"),
        (np.zeros((9, 9), np.uint32), None, "convert it to uint8, 0 to 255, or to uint16"),
        (np.zeros((9, 9, 5), np.uint16), None, "1 to 4 channels, which come last; encode each band"),
        (np.zeros((3, 9, 9), np.uint16), None, r"take numpy.moveaxis\(pixels, 0, -1\)"),
    ],
)
def test_what_does_not_fit_is_told(tiny, pixels, depth, message):
    with pytest.raises(CaeError, match=message):
        tiny.encode(pixels, depth=depth)


def test_targets_count_in_the_depth_of_the_file(default, deep):
    picture = deep[:96, :96, :3]
    out = default.decode(default.encode(picture, target_psnr=36))
    assert 35.95 <= psnr(picture, out) <= 36.06
    assert 0.98 * 3000 <= len(default.encode(picture, target_size=3000)) <= 3000


@pytest.mark.parametrize("effort", [2, 3])
def test_what_has_eight_bits_costs_the_same_in_sixteen(tiny, chelsea, effort):
    """The transform sees shares of white: 257 times the values of 8 bits are the same."""
    picture = chelsea[:64, :80]
    data, deep = (tiny.encode(each, 70, effort=effort) for each in (picture, picture * np.uint16(257)))
    assert container.read_payload(deep, container.read(deep), 0) == container.read_payload(data, container.read(data), 0)
    assert np.abs(tiny.decode(deep) / 257 - tiny.decode(data)).max() <= 0.5


def test_damage_is_filled(tiny, deep):
    for lossless in (False, True):
        data = tiny.encode(deep, None if lossless else 70, tile=64, lossless=lossless)
        whole = tiny.decode(data)
        for plane in Plane:
            broken = damaged(data, (5, plane))
            with pytest.raises(CaeError, match="damaged"):
                tiny.decode(broken)
            with pytest.warns(RuntimeWarning, match="tile 5"):
                decoded = tiny.decode(broken, on_error="fill")
            assert decoded.dtype == np.uint16
            if plane is Plane.ALPHA:
                assert (decoded[64:128, 64:128, 3] == 65535).all()
            else:
                assert abs(decoded[64:128, 64:128, :3].mean() - whole[64:128, 64:128, :3].mean()) < 8000


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (64, 65)])
def test_lossless_samples(shape):
    plane = RNG.integers(0, 65536, shape).astype(np.uint16)
    pixels = RNG.integers(0, 65536, (*shape, 3)).astype(np.uint16)
    assert np.array_equal(decode_gray(encode_gray(plane), *shape[::-1], 16), plane)
    decoded = decode_colour(encode_colour(pixels), *shape[::-1], 16)
    assert np.array_equal(decoded[..., :3], pixels) and (decoded[..., 3] == 65535).all()


@pytest.mark.parametrize("depth", range(9, 17))
def test_lossless_samples_of_each_depth(chelsea, depth):
    """Those that were made of 8 bits cost what these do, and a photograph's no more than its bits beyond 8 add."""
    eight = chelsea[:90, :120]
    made = scaled(eight, 255, depth)
    noise = RNG.integers(0, 2**depth, eight.shape).astype(np.uint16)
    fine = (eight.astype(np.uint16) << depth - 8) + RNG.integers(0, 2 ** (depth - 8), eight.shape).astype(np.uint16)
    for pixels in (made, noise, fine, np.full_like(made, 2**depth - 1)):
        decoded = decode_colour(encode_colour(pixels, depth=depth), 120, 90, depth)
        assert np.array_equal(decoded[..., :3], pixels) and (decoded[..., 3] == 2**depth - 1).all()
        assert np.array_equal(decode_gray(encode_gray(pixels[..., 0], depth), 120, 90, depth), pixels[..., 0])
    cost = len(encode_colour(eight))
    assert len(encode_colour(made, depth=depth)) < 1.05 * cost
    assert len(encode_colour(fine, depth=depth)) < 1.05 * (cost + (depth - 8) * eight.size / 8)


@pytest.mark.parametrize("depth", [9, 12, 16])
@pytest.mark.parametrize("colours", [1, 3])
def test_samples_left_out_are_transparent_in_the_first_file(depth, colours):
    pixels = RNG.integers(0, 2**depth, (30, 50, colours)).astype(np.uint16)
    shown = np.indices((30, 50))[1] < 20
    code = encode_colour(pixels, shown, depth)
    decoded = decode_colour(code, 50, 30, depth)
    assert decoded.dtype == np.uint16 and np.array_equal(decoded[..., 3], shown * np.uint16(2**depth - 1))
    assert (decoded[shown][:, :3] == pixels[shown]).all()
    # they cost nothing in the second either
    assert len(code) < 0.55 * len(encode_colour(pixels, depth=depth))
    assert (decode_colour(code, 50, 30, depth, opaque=True)[..., 3] == 2**depth - 1).all()


def test_a_mixed_tile_shows_what_its_first_file_does_not_leave_out(tiny, deep):
    """And what the second has for alpha is not heeded."""
    under = tiny.encode(deep[:64, :64, :3] >> 4, 50, tile=64, depth=12)
    parsed = container.read(under)
    pixels, shown = deep[64:128, :64, :3] >> 4, RNG.random((64, 64)) < 0.5
    halves = [encode_colour(half.astype(np.uint8), shown) for half in (pixels >> 4, np.zeros_like(pixels))]
    lossless = len(halves[0]).to_bytes(4, "little") + b"".join(halves)
    exact = decode_colour(lossless, 64, 64, 12)
    data = container.write(parsed.header, {}, [join_mixed(lossless, container.read_payload(under, parsed, 0).data)])
    whole = tiny.decode(data)
    assert np.array_equal(whole, np.where(shown[..., None], exact[..., :3], tiny.decode(under)))
    assert np.array_equal(tiny.decode(data, region=(5, 9, 20, 30)), whole[9:39, 5:25])


def test_a_deep_drawing_costs_what_one_of_8_bits_does():
    page = np.full((200, 300, 3), 255, np.uint8)
    page[20:180:9, 30:270:2] = page[30:170:20, 40:200] = (0, 0, 80)
    assert len(encode_colour(page * np.uint16(257))) < len(encode_colour(page)) + 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:3], "high bytes claim"),
        (lambda data: b"\xff\xff\xff\x7f" + data[4:], "high bytes claim"),
        (lambda data: data[:-8], "cut off"),
        (lambda data: data + bytes(8), "more than one chunk"),
        (lambda data: encode_gray(np.zeros((9, 8), np.uint16)), "another size"),
        (lambda data: encode_gray(np.full((8, 8), 4096, np.uint16)), "a sample has more than 12 bits"),
    ],
)
def test_forged_lossless_samples(tiny, change, message):
    forged = change(encode_gray(np.zeros((8, 8), np.uint16)))
    file = container.write(Header(8, 8, 1, 100, 64, NO_MODEL, 12), {}, [Payload(Kind.LOSSLESS, forged)])
    with pytest.raises(CaeError, match=message):
        tiny.decode(file)


def test_pillow_holds_gray(tiny, deep):
    gray = Image.fromarray(deep[..., 0])
    data = tiny.encode(gray, 70)
    assert gray.mode == "I;16" and data == tiny.encode(deep[..., 0], 70)
    image = tiny.decode_image(data)
    assert image.mode == "I;16" and np.array_equal(np.asarray(image), tiny.decode(data))
    colour = tiny.encode(deep, 70)
    expected = np.rint(tiny.decode(colour) / 257).astype(np.uint8)
    assert np.array_equal(np.asarray(tiny.decode_image(colour)), expected)


def test_the_plugin(deep, tiny_plugin):
    file = io.BytesIO()
    Image.fromarray(deep[..., 0] >> 4).save(file, "CAE", quality=70, depth=12)
    with Image.open(file) as image:
        assert image.mode == "I;16" and np.array_equal(np.asarray(image), codec.decode(file.getvalue(), **ON_CPU))
    with Image.open(file) as image:
        image.draft(None, (50, 30))
        assert np.array_equal(np.asarray(image), codec.decode(file.getvalue(), scale=1 / 4, **ON_CPU))
    data = codec.encode(deep, 70, **ON_CPU)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image), np.rint(codec.decode(data, **ON_CPU) / 257).astype(np.uint8))


def test_chunks_of_arrays(deep):
    pixels = deep[:64, :96, 0]
    for options in ({"quality": 80}, {"lossless": True}):
        array = zarr.create_array({}, data=pixels, chunks=(64, 64), serializer=CaeCodec(**options), compressors=None)
        decoded = array[:]
        assert decoded.dtype == np.uint16
        assert np.array_equal(decoded, pixels) if "lossless" in options else psnr(pixels, decoded) > 30
    coder = Cae(lossless=True)
    assert np.array_equal(coder.decode(coder.encode(pixels), np.empty_like(pixels)), pixels)
    with pytest.raises(CaeError, match="16 bits a sample is no chunk of uint8"):
        CaeCodec().coding.decode(coder.encode(pixels), pixels.shape, np.dtype(np.uint8))


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float32, 1), (torch.float16, 1), (torch.uint8, 255)])
def test_the_dataset(deep, tmp_path, dtype, largest):
    (tmp_path / "a.cae").write_bytes(codec.encode(deep[..., :3], lossless=True, **ON_CPU))
    tensor = CaeFolder(tmp_path, dtype=dtype, weights=TINY)[0]
    assert tensor.dtype == dtype
    expected = np.moveaxis(deep[..., :3], -1, 0) / 65535 * largest
    assert np.abs(tensor.numpy().astype(float) - expected).max() <= (0.5 if largest > 1 else 5e-4)


def test_limits_count_bytes(deep):
    data = codec.encode(deep[..., 0], **ON_CPU)
    limit = 150 * 225
    with pytest.raises(CaeError, match="of 16 bits a sample, which count twice"):
        codec.decode(data, pixels_max=2 * limit - 1, **ON_CPU)
    assert codec.decode(data, pixels_max=2 * limit, **ON_CPU).shape == (150, 225)
