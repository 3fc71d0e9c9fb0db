"""Image files whose pixels other programs got wrong, by every door, and files that nothing reads."""

import struct
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import codec
import codec.pillow
from codec import CaeError
from codec.images import streams
from codec.images.jpeg_xl import bits_of_jpeg_xl
from codec.images.streams.png import make_chunk
from codec.images.unreadable import describe_unreadable

from .conftest import TINY
from .doors import by_bands, by_file, by_image, by_loaded_image, by_save, every_door, png, samples_of

pytestmark = pytest.mark.usefixtures("tiny_plugin")


@every_door
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_transparent_level_of_gray_png(tmp_path, bits, interlaced, door):
    gray = samples_of(bits, 1)
    level = int(gray[0, 0, 0])
    (tmp_path / "a.png").write_bytes(png(bits, 0, gray, transparent=level.to_bytes(2), interlaced=interlaced))
    largest = 65535 if bits == 16 else 255
    expected = np.concatenate([gray * largest // (2**bits - 1), (gray != level) * largest], -1)
    assert np.array_equal(door(tmp_path / "a.png"), expected)


@every_door
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_transparent_colour_of_png(tmp_path, bits, interlaced, door):
    colours = samples_of(bits, 3)
    level = tuple(colours[0, 0].tolist())
    (tmp_path / "a.png").write_bytes(png(bits, 2, colours, transparent=struct.pack(">HHH", *level), interlaced=interlaced))
    if bits == 16 and door in (by_loaded_image, by_save):  # Pillow has rounded them
        with pytest.raises((CaeError, OSError), match="more than 8 bits a channel"):
            door(tmp_path / "a.png")
        return
    alpha = (colours != level).any(-1, keepdims=True) * (2**bits - 1)
    assert np.array_equal(door(tmp_path / "a.png"), np.concatenate([colours, alpha], -1))


@pytest.mark.parametrize("door", [by_bands, by_file, by_image])
@pytest.mark.parametrize("size", [(11, 13), (1, 1), (3, 5), (8, 8), (2, 9)])
@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_interlaced_png_of_16_bits(tmp_path, colour, channels, size, door, capfd):
    samples = np.random.default_rng(1).integers(0, 65536, (*size, channels))
    (tmp_path / "a.png").write_bytes(png(16, colour, samples, interlaced=True))
    assert np.array_equal(door(tmp_path / "a.png").reshape(samples.shape), samples)
    assert capfd.readouterr().err == ""


@every_door
def test_predictor_that_its_compression_does_not_heed(tmp_path, door):
    samples = samples_of(16, 1)[..., 0]
    image = Image.fromarray(samples.astype(np.uint16))
    image.save(tmp_path / "a.tif", compression="packbits", tiffinfo={262: 1, 317: 2})
    assert np.array_equal(door(tmp_path / "a.tif").squeeze(), samples)


def test_further_pictures_of_a_file_are_told_of(tmp_path):
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "a.mpo", save_all=True, append_images=pictures[1:])
    with pytest.warns(RuntimeWarning, match="holds 2 frames"):
        by_file(tmp_path / "a.mpo")


def test_animated_png_of_16_bits(tmp_path):
    samples = samples_of(16, 3)
    control = struct.pack(">IIIIIHHBB", 0, 13, 11, 0, 0, 1, 1, 0, 0)
    others = make_chunk(b"acTL", struct.pack(">II", 2, 0)) + make_chunk(b"fcTL", control)
    (tmp_path / "a.png").write_bytes(png(16, 2, samples, others=others))
    for door in (by_bands, by_file, by_image):
        with pytest.warns(RuntimeWarning, match="2 frames; only the first"):
            assert np.array_equal(door(tmp_path / "a.png"), samples)


def test_another_frame_than_the_first_is_not_taken_for_it(tmp_path):
    deep = samples_of(16, 3).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([deep, deep[::-1]]), photometric="rgb")
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(1)
        with pytest.raises(CaeError, match="more than 8 bits a channel"):
            codec.encode(image, weights=TINY)


@every_door
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 4},
        {"tile": (16, 16)},
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": 2},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
    ids=str,
)
def test_white_is_zero(tmp_path, dtype, options, door):
    gray = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (40, 30), dtype)
    tifffile.imwrite(tmp_path / "a.tif", gray, photometric="miniswhite", **options)
    if dtype is np.uint16 and options == {"byteorder": ">"} and door not in (by_bands, by_file):
        return  # Pillow does not open it
    assert np.array_equal(door(tmp_path / "a.tif"), np.iinfo(dtype).max - gray)


@every_door
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("channels", [1, 3])
def test_signed_tiff_is_refused(tmp_path, dtype, channels, door):
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 30, channels), -1, dtype), photometric="rgb" if channels == 3 else None)
    with pytest.raises((CaeError, OSError), match=r"signed|32-bit integers|identify|that Pillow can read"):
        door(tmp_path / "a.tif")


def test_imagej_stack_of_one_directory(tmp_path):
    """Above 4 GB ImageJ writes the others behind the first, without directories."""
    text = "ImageJ=1.53t\nimages=3\nslices=3\n"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint16), description=text, metadata=None)
    for door in (by_bands, by_file):
        with pytest.warns(RuntimeWarning, match="3 frames; only the first"):
            door(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jpeg_xl_keeps_its_bits_or_says_so(tmp_path, bits, channels):
    pytest.importorskip("pillow_jxl")
    samples = np.random.default_rng(0).integers(0, 2**bits, (20, 30, channels)).astype(np.uint8 if bits == 8 else np.uint16)
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(samples.squeeze(), lossless=True, bitspersample=bits))
    assert bits_of_jpeg_xl(path.read_bytes()) == bits
    with streams.open_picture(path) as source:
        pixels = np.concatenate(list(source.in_own_depth(None if bits == 8 else bits).bands))
    assert np.array_equal(pixels.reshape(samples.shape), samples)
    if bits > 8 and channels > 1:  # which Pillow rounds
        for door in (by_image, by_loaded_image, by_save):
            with pytest.raises((CaeError, OSError), match="more than 8 bits a channel"):
                door(path)


def test_heic_is_read(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = Image.linear_gradient("L").convert("RGB")
    pillow_heif.from_pillow(picture).save(tmp_path / "a.heic", quality=100)
    assert np.abs(by_file(tmp_path / "a.heic").astype(int) - np.asarray(picture)).max() < 10
    assert {".heic", ".heif"} <= streams.suffixes()


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize(("mode", "channels"), [("I;16", 1), ("RGB;16", 3), ("RGBA;16", 4)])
def test_heic_of_high_bit_depth_keeps_its_bits_or_is_refused(tmp_path, monkeypatch, bits, mode, channels):
    pillow_heif = pytest.importorskip("pillow_heif")
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    levels = np.linspace(0, 2**bits - 1, 64).astype(np.uint16)
    pixels = np.stack([np.tile(levels, (64, 1))] * channels, -1)
    if channels == 4:
        pixels[..., 3] = levels[::-1]
    stored = (pixels << (16 - bits)).tobytes()
    pillow_heif.from_bytes(mode, (64, 64), stored).save(tmp_path / "a.heic", quality=-1)
    with streams.open_picture(tmp_path / "a.heic") as source:
        assert (source.depth, source.own_depth, source.channels) == (16, bits, channels)
        read = np.concatenate(list(source.bands))
    assert np.abs(read / 65535 - pixels / (2**bits - 1)).max() < 0.01
    assert len(np.unique(read[..., 0])) > 30 and read.max() == 65535
    pillow_heif.register_heif_opener()
    with Image.open(tmp_path / "a.heic") as image:
        if channels == 1:
            assert np.array_equal(codec.decode(codec.encode(image, lossless=True)), read[..., 0])
        else:
            with pytest.raises(CaeError, match="more than 8 bits a channel"):
                codec.encode(image, lossless=True)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\0\0\0\x18ftypheic", "pip install pillow-heif"),
        (b"\xff\x0a", "pip install pillow-jxl-plugin"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "pip install pillow-jxl-plugin"),
        (b"%PDF-1.7", "a PDF document"),
        (b"<?xml version='1.0'?>\n<svg xmlns=''/>", "an SVG drawing"),
        (b"<svg/>", "an SVG drawing"),
        (b"\x89CAE\1", "a .cae file already"),
        (b"text", "not an image that Pillow can read"),
    ],
)
def test_files_that_no_plugin_reads_are_named(monkeypatch, tmp_path, start, message):
    for package in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    (tmp_path / "a").write_bytes(start)
    assert message in describe_unreadable(tmp_path / "a")
