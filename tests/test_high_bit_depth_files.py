"""Image files of 16 bits a channel, read and written to the last bit; what holds fewer bits says so."""

import sys
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

import codec
from codec import CaeError
from codec.commands.encode import main
from codec.images import streams
from codec.images.metadata import orientation
from codec.images.samples import scaled
from codec.images.streams import bands

from .conftest import TINY
from .test_depth import png as png_of_zeros

CAT = skimage.data.chelsea()[:90, :77].astype(np.uint16)
DEEP = np.concatenate([CAT * 251 + np.arange(77, dtype=np.uint16)[:, None], CAT[..., :1] * 257], -1)
"""(90, 77, 4) whose low bytes are not the high ones."""
PICTURES = {1: DEEP[..., :1], 2: DEEP[..., [0, 3]], 3: DEEP[..., :3], 4: DEEP}


def read(path: Path) -> np.ndarray:
    with streams.open_picture(path) as source:
        pixels = np.concatenate(list(source.bands))
    assert (source.depth, pixels.dtype, pixels.shape) == (16, np.uint16, (source.height, source.width, source.channels))
    return pixels


@pytest.fixture(params=[False, True], ids=["one band", "many bands"])
def small_bands(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(bands, "BAND_PIXELS", 1000)


@pytest.mark.parametrize("channels", PICTURES)
@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_what_is_written_is_read_again_by_all(small_bands, tmp_path, channels, suffix):
    path, pixels = tmp_path / f"x.{suffix}", PICTURES[channels]
    metadata = {} if suffix == "npy" else {"iccp": b"profile"}
    streams.write_bands(path, (77, 90), channels, metadata, np.split(pixels, [1, 40]), depth=16)
    reader = {"png": lambda path: imagecodecs.png_decode(path.read_bytes()), "tif": tifffile.imread, "npy": np.load}[suffix]
    assert np.array_equal(reader(path).reshape(pixels.shape), pixels)
    assert np.array_equal(read(path), pixels)
    with streams.open_picture(path) as source:
        assert source.metadata == metadata
    assert streams.count_pixels(path) == 2 * 77 * 90


@pytest.mark.parametrize("channels", [1, 3])
def test_pnm(small_bands, tmp_path, channels):
    path, pixels = tmp_path / "x.ppm", PICTURES[channels]
    streams.write_bands(path, (77, 90), channels, {}, [pixels], depth=16)
    assert path.read_bytes() == f"P{5 + channels // 3}\n77 90\n65535\n".encode() + pixels.astype(">u2").tobytes()
    assert np.array_equal(read(path), pixels)


def test_few_levels_of_pnm_reach_from_black_to_white(tmp_path):
    (tmp_path / "x.pgm").write_bytes(b"P5 4 1 1023\n" + np.array([0, 1, 512, 1023], ">u2").tobytes())
    assert read(tmp_path / "x.pgm").ravel().tolist() == [0, 64, 32800, 65535]


@pytest.mark.parametrize("channels", PICTURES)
def test_png_of_another_writer(small_bands, tmp_path, channels):
    pixels = PICTURES[channels]
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels.squeeze())))
    assert np.array_equal(read(tmp_path / "x.png"), pixels)


@pytest.mark.parametrize(("colour", "key"), [(0, bytes(2)), (2, bytes(6))])
def test_png_with_a_transparent_colour(tmp_path, colour, key):
    plain = png_of_zeros(16, colour, len(key) // 2)
    chunk = b"tRNS" + key
    chunk = len(key).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    (tmp_path / "x.png").write_bytes(plain[:33] + chunk + plain[33:])
    assert not read(tmp_path / "x.png")[..., -1].any()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 16},
        {"tile": (32, 32)},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 16},
        {"compression": "zstd", "tile": (32, 48), "predictor": True},
        {"compression": "packbits"},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "tile": (32, 32), "compression": "zlib", "predictor": True},
        {"bigtiff": True, "compression": "lzma"},
    ],
    ids=str,
)
def test_tiff_of_another_writer(small_bands, tmp_path, byteorder, options):
    for channels, pixels in PICTURES.items():
        if (channels <= 2 and options.get("planarconfig")) or (byteorder == ">" and options.get("bigtiff")):
            continue  # Pillow reads no such BigTIFF
        more = {"photometric": "rgb" if channels > 2 else "minisblack", "extrasamples": ["unassalpha"] * (channels in (2, 4))}
        planes = np.moveaxis(pixels, -1, 0) if options.get("planarconfig") else pixels
        path = tmp_path / f"{channels}.tif"
        tifffile.imwrite(path, planes[..., 0] if channels == 1 else planes, byteorder=byteorder, **more, **options)
        assert np.array_equal(read(path), pixels), channels


def test_tiff_with_black_and_white_exchanged(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", ~PICTURES[1][..., 0], photometric="miniswhite")
    assert np.array_equal(read(tmp_path / "x.tif"), PICTURES[1])


def test_tiff_with_premultiplied_alpha(tmp_path):
    alpha = np.array([0, 1, 1000, 65535], np.uint16)
    colour = np.array([0, 1, 250, 1234], np.uint16)
    pixels = np.stack([colour, colour, colour, alpha], -1)[None]
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    assert read(tmp_path / "x.tif")[0, :, 0].tolist() == [0, 65535, 16384, 1234]


def test_tiff_that_is_turned_says_so_in_its_metadata(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", DEEP[..., :3], photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    assert np.array_equal(read(tmp_path / "x.tif"), DEEP[..., :3])
    with streams.open_picture(tmp_path / "x.tif") as source:
        assert orientation(source.metadata) == 6


MANY = {"photometric": "minisblack", "planarconfig": "contig"}
FLOAT = np.linspace(0, 1, 77 * 90, dtype=np.float32).reshape(90, 77)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (FLOAT, {}, "floating-point numbers; scale them to 0 … 65535"),
        (np.stack([FLOAT] * 3, -1), {"photometric": "rgb"}, "floating-point numbers; scale them"),
        (FLOAT.astype(np.float16), {}, "floating-point numbers; scale them"),
        (DEEP[..., 0].astype(np.int16), {}, "signed or complex numbers"),
        (DEEP[..., 0].astype(np.uint32), {}, "have 32 bits; save them with 8 or 16"),
        (np.zeros((9, 9, 5), np.uint16), MANY, "5 channels; save one or three of them"),
        (np.zeros((9, 9, 5), np.uint8), MANY, "5 channels; save one or three of them"),
        (DEEP, {"photometric": "separated"}, r"colour space \(CMYK\) is taken with 8 bits a sample alone; convert it"),
        (DEEP[..., :3], {"photometric": "rgb", "compression": "jpeg2000"}, "compressed in a way|damaged"),
    ],
)
def test_what_else_tiff_may_hold_is_told_with_what_to_do(tmp_path, pixels, options, message):
    tifffile.imwrite(tmp_path / "x.tif", pixels, **options)
    with pytest.raises(CaeError, match=message) as error, streams.open_picture(tmp_path / "x.tif"):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["png", "tif", "npy", "ppm"])
def test_every_cut_is_told_of(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    streams.write_bands(path, (77, 90), 3, {}, [DEEP[..., :3]], depth=16)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 12, len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(CaeError):
            read(path)


def test_formats_that_pillow_rounds_are_read_by_imagecodecs(tmp_path, monkeypatch):
    ten_bits = (CAT * 4 + 3).astype(np.uint16)
    files = {
        "x.avif": imagecodecs.avif_encode(ten_bits, level=100, bitspersample=10, pixelformat="444"),
        "x.jp2": imagecodecs.jpeg2k_encode(ten_bits, bitspersample=10, reversible=True),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        error = np.abs(read(tmp_path / name).astype(int) - scaled(ten_bits, 1023, 16))
        assert error.max() < (1 if name == "x.jp2" else 1500), name
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for name in files:
        with pytest.raises(
            CaeError, match=r"needs imagecodecs; install the extra from a checkout of cae-codec: pip install '\.\[deep\]'"
        ):
            read(tmp_path / name)


TWELVE = (DEEP[..., :3] >> 4).astype(np.uint16)
"""(90, 77, 3) of 12 bits."""
NAMED = {
    "gray.jp2": imagecodecs.jpeg2k_encode(TWELVE[..., 0], bitspersample=12, reversible=True),
    "gray.j2k": imagecodecs.jpeg2k_encode(TWELVE[..., 0], bitspersample=12, reversible=True, codecformat="j2k"),
    "rgb.jp2": imagecodecs.jpeg2k_encode(TWELVE, bitspersample=12, reversible=True),
    "gray.pgm": b"P5 77 90 4095\n" + TWELVE[..., 0].astype(">u2").tobytes(),
    "rgb.ppm": b"P6 77 90 4095\n" + TWELVE.astype(">u2").tobytes(),
}
"""Files that say that their samples have 12 bits."""


@pytest.mark.parametrize("name", NAMED)
def test_a_depth_that_the_file_names(tmp_path, name):
    """White is white in 16 bits, not shifted, and samples come as they are where their own depth is asked for."""
    path = tmp_path / name
    path.write_bytes(NAMED[name])
    pixels = TWELVE if name.startswith("rgb") else TWELVE[..., :1]
    assert np.array_equal(read(path), scaled(pixels, 4095, 16))
    for depth, expected in ((12, pixels), (16, scaled(pixels, 4095, 16))):
        with streams.open_picture(path) as source:
            source = source.in_own_depth(depth)
            assert source.depth == depth and np.array_equal(np.concatenate(list(source.bands)), expected)
    with (
        streams.open_picture(path) as source,
        pytest.raises(CaeError, match="depth 10: the file says that its samples have 12"),
    ):
        source.in_own_depth(10)


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("name", ["gray.jp2", "gray.j2k", "rgb.ppm"])
def test_an_image_whose_file_names_a_depth(tiny, tmp_path, name, loaded):
    path = tmp_path / name
    path.write_bytes(NAMED[name])
    pixels = TWELVE if name.startswith("rgb") else TWELVE[..., 0]
    with Image.open(path) as image:
        if loaded and name != "rgb.ppm":  # of which Pillow keeps 8 bits
            image.load()
        assert np.array_equal(tiny.decode(tiny.encode(image, lossless=True)), scaled(pixels, 4095, 16))
    with Image.open(path) as image:
        assert np.array_equal(tiny.decode(tiny.encode(image, lossless=True, depth=12)), pixels)


def test_levels_that_are_no_depth_keep_their_error(tiny, tmp_path):
    (tmp_path / "x.pgm").write_bytes(b"P5 1 1 1000\n" + (1000).to_bytes(2))
    with streams.open_picture(tmp_path / "x.pgm") as source:
        assert source.in_own_depth(10) is source


def test_command_takes_the_depth_that_the_file_names(tmp_path, capsys):
    path, out = tmp_path / "gray.jp2", tmp_path / "x.cae"
    path.write_bytes(NAMED["gray.jp2"])
    for options in (["--lossless"], ["--target-size", "500"]):
        main([str(path), str(out), "--weights", str(TINY), "--depth", "12", *options])
        assert codec.info(out.read_bytes()).depth == 12
    with pytest.raises(SystemExit) as stop:
        main([str(path), str(out), "--weights", str(TINY), "--depth", "10"])
    assert str(stop.value.code).startswith(f"cae-encode: {path}: depth 10: the file says")
