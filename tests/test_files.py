"""Image files: what they hold comes back, odd ones are refused, and nothing that is no file is ever replaced."""

import dataclasses
import io
import os
import struct

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageCms, ImageOps

from codec import CaeError
from codec.images.files import read_image, write_image
from codec.images.picture import from_pillow
from codec.outputs import check_target, replacing

from .conftest import DATA


@pytest.fixture
def cat() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea()[:40, :50])


def test_exif_is_kept_to_the_byte(cat, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0e\0\x02\0\0\0\x04cat\0\0\0\0\0"
    cat.save(tmp_path / "big_endian.jpg", exif=block)
    assert read_image(tmp_path / "big_endian.jpg").metadata["exif"] == block


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tif"])
def test_metadata_reaches_every_format(cat, tmp_path, suffix):
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cat.info.update(exif=exif.tobytes(), icc_profile=profile, xmp=b"<x:xmpmeta/>")
    path = tmp_path / f"cat.{suffix}"
    write_image(path, from_pillow(cat))
    again = read_image(path)
    assert again.metadata["iccp"] == profile
    assert again.metadata["xmp "].strip(b"\0") == b"<x:xmpmeta/>"
    with Image.open(path) as image:
        assert image.getexif()[0x010E] == "a cat"


@pytest.mark.parametrize("mode", ["CMYK", "P", "L", "RGB", "RGBA"])
def test_tiff_to_tiff(cat, tmp_path, mode):
    """Tags that say how a TIFF file's pixels are stored must not reach another file."""
    cat.convert(mode).save(tmp_path / "in.tif", compression="tiff_lzw", description="a cat")
    picture = read_image(tmp_path / "in.tif")
    write_image(tmp_path / "out.tif", picture)
    with Image.open(tmp_path / "out.tif") as image:
        assert image.size == cat.size
        assert image.getexif()[0x010E] == "a cat"
        image.load()


def test_profiles_of_other_colour_spaces_are_dropped(cat, tmp_path):
    cat.convert("CMYK").save(tmp_path / "in.tif", icc_profile=b"a CMYK profile")
    assert "iccp" not in read_image(tmp_path / "in.tif").metadata


def test_exif_that_a_format_refuses_is_left_out(cat, tmp_path):
    cat.info["exif"] = b"Exif\0\0" + bytes(70_000)
    with pytest.warns(RuntimeWarning, match="EXIF"):
        write_image(tmp_path / "cat.jpg", from_pillow(cat))
    with Image.open(tmp_path / "cat.jpg") as image:
        assert image.size == cat.size


def test_sixteen_bits_are_refused():
    with pytest.raises(CaeError, match="8 bits"):
        read_image(DATA / "rgb16.png")


def test_links_are_followed(tmp_path):
    real = tmp_path / "real"
    real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(real)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_what_is_no_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, message in ((pipe, "regular"), (tmp_path, "folder"), (tmp_path / "none" / "x", "does not exist")):
        with pytest.raises(CaeError, match=message):
            check_target(path)


def test_unwritable_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CaeError, match="not writable"):
        check_target(tmp_path / "x")


def test_long_names_and_failures(tmp_path):
    name = tmp_path / ("x" * 250)
    with replacing(name) as file:
        file.write(b"data")
    assert name.read_bytes() == b"data"
    with pytest.raises(ZeroDivisionError), replacing(name) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert name.read_bytes() == b"data"
    assert list(tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp", "jp2", "pcx", "ppm", "sgi", "tga"])
def test_pixels_survive_a_lossless_file_or_are_refused(cat, tmp_path, suffix, mode):
    picture = from_pillow(cat.convert(mode))
    if picture.alpha is not None:
        picture = dataclasses.replace(picture, alpha=np.where(picture.colour[..., 0] > 128, picture.colour[..., 0], 0))
    path = tmp_path / f"cat.{suffix}"
    try:
        write_image(path, picture)
    except CaeError:
        assert picture.alpha is not None and suffix in ("bmp", "pcx", "ppm", "sgi") and not path.exists()
        return
    found = read_image(path)
    assert (found.alpha is None) == (picture.alpha is None)
    assert np.array_equal(np.broadcast_to(picture.colour, found.colour.shape), found.colour)
    if picture.alpha is not None:
        assert np.array_equal(found.alpha, picture.alpha)


def test_xmp_alone_does_not_hide_a_failure(cat, tmp_path):
    picture = dataclasses.replace(from_pillow(cat), metadata={"xmp ": b"<x/>"})
    with pytest.raises(CaeError, match="No such file"):
        write_image(tmp_path / "none" / "cat.tif", picture)


def test_thin_pictures_count_as_the_memory_that_they_take(tmp_path):
    Image.new("L", (2000, 1)).save(tmp_path / "line.png")
    assert read_image(tmp_path / "line.png", 32_000).colour.shape == (1, 2000, 1)
    with pytest.raises(CaeError, match="count as 16"):
        read_image(tmp_path / "line.png", 31_999)


@pytest.mark.parametrize("limit", [5000, 100_000])
def test_the_limit_is_ours_not_pillows(tmp_path, monkeypatch, limit):
    cat = Image.fromarray(skimage.data.chelsea())
    cat.save(tmp_path / "cat.tif", compression="tiff_lzw")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert np.array_equal(read_image(tmp_path / "cat.tif").colour, np.asarray(cat))
    with pytest.raises(CaeError, match=f"limit of {limit} "):
        read_image(tmp_path / "cat.tif", limit)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_large_picture_inside_a_small_one_is_not_decoded(tmp_path):
    """An icon file may hold a PNG far larger than it says."""
    inner = io.BytesIO()
    Image.new("RGB", (900, 900)).save(inner, "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 24, len(inner.getvalue()), 22)
    (tmp_path / "bomb.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + inner.getvalue())
    with pytest.raises(CaeError, match="limit of 10000 "):
        read_image(tmp_path / "bomb.ico", 10_000)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "ppm"])
def test_pictures_come_back_upright(tmp_path, cat, suffix):
    """A viewer that heeds EXIF's orientation shows the same picture, in formats with EXIF and without."""
    exif = Image.Exif()
    exif[274] = 6
    cat.save(tmp_path / "in.png", exif=exif)
    write_image(tmp_path / f"out.{suffix}", read_image(tmp_path / "in.png"))
    shown = [np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / name))) for name in ("in.png", f"out.{suffix}")]
    assert shown[0].shape == shown[1].shape == (50, 40, 3)
    assert abs(shown[0].astype(int) - shown[1]).mean() < 2


@pytest.mark.parametrize("suffix", ["gif", "ico", "icns", "pdf", "mpo", "cae", ""])
def test_formats_that_change_pictures_are_refused(tmp_path, cat, suffix):
    with pytest.raises(CaeError, match=r"use \.png"):
        write_image(tmp_path / f"out.{suffix}", from_pillow(cat))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, cat, suffix):
    cat.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[cat.rotate(180)], lossless=True)
    with pytest.warns(RuntimeWarning, match="2 frames; only the first"):
        assert read_image(tmp_path / f"a.{suffix}").colour.shape == (40, 50, 3)
