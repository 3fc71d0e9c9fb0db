"""Image files: what they hold comes back, and odd ones are refused."""

import dataclasses
import io
import itertools
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageCms, ImageOps

from codec import CaeError
from codec.images.files import read_image, write_image
from codec.images.picture import from_array, from_pillow


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
    with pytest.warns(RuntimeWarning, match="ICC profile cannot be used .*converted from CMYK without it"):
        assert "iccp" not in read_image(tmp_path / "in.tif").metadata


def test_metadata_that_a_format_refuses_are_left_out(cat, tmp_path):
    """Each part is named, and the others stay."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    good = {"iccp": profile, "exif": exif.tobytes(), "xmp ": b"<x:xmpmeta/>"}
    bad = {"iccp": bytes(17_000_000), "exif": b"Exif\0\0" + bytes(70_000), "xmp ": b"<x>" + b" " * 70_000 + b"</x>"}
    names = {"iccp": "ICC profile", "exif": "EXIF block", "xmp ": "XMP packet"}
    for count in range(1, 4):
        for refused in itertools.combinations(good, count):
            picture = dataclasses.replace(from_pillow(cat), metadata=good | {name: bad[name] for name in refused})
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                write_image(tmp_path / "cat.jpg", picture)
            assert [str(warning.message) for warning in caught] == [
                f"{tmp_path / 'cat.jpg'}: this format does not take the {names[name]}, which is left out" for name in refused
            ]
            again = read_image(tmp_path / "cat.jpg")
            assert again.colour.shape == picture.colour.shape
            assert again.metadata == {name: content for name, content in good.items() if name not in refused}


@pytest.mark.parametrize("suffix", ["png", "webp", "avif", "tif"])
def test_damaged_exif_does_not_take_the_rest_along(cat, tmp_path, suffix):
    picture = dataclasses.replace(from_pillow(cat), metadata={"exif": b"no EXIF", "xmp ": b"<x:xmpmeta/>"})
    path = tmp_path / f"cat.{suffix}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_image(path, picture)
    assert all("EXIF block, which is left out" in str(warning.message) for warning in caught)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the block that a file got as it stands
        assert read_image(path).metadata["xmp "].strip(b"\0") == b"<x:xmpmeta/>"


def test_a_picture_that_a_format_refuses_is_not_blamed_on_metadata(cat, tmp_path):
    cat.putalpha(100)
    picture = dataclasses.replace(from_pillow(cat), metadata={"xmp ": b"<x/>", "iccp": b"profile"})
    with warnings.catch_warnings(), pytest.raises(CaeError, match="RGBA"):
        warnings.simplefilter("error")
        write_image(tmp_path / "cat.jpg", picture)
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bits_are_rounded_with_a_word_where_a_format_holds_eight(cat, tmp_path):
    deep = from_array(np.asarray(cat).astype(np.uint16) * 257 + 100)
    with pytest.warns(RuntimeWarning, match="16 bits a channel are rounded to 8; use .png, .tif or .npy"):
        write_image(tmp_path / "cat.webp", deep)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "cat.webp")), np.asarray(cat))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp", "jp2", "pcx", "ppm", "sgi", "tga"])
def test_pixels_survive_a_lossless_file_or_are_refused(cat, tmp_path, suffix, mode):
    picture = from_pillow(cat.convert(mode))
    if picture.alpha is not None:
        alpha = np.where(picture.colour[..., 0] > 128, picture.colour[..., 0], 0)
        picture = dataclasses.replace(picture, pixels=np.dstack([picture.colour, alpha]))
    path = tmp_path / f"cat.{suffix}"
    try:
        write_image(path, picture)
    except CaeError:
        assert picture.alpha is not None and suffix in ("bmp", "pcx", "ppm", "sgi") and not path.exists()
        return
    read_back = read_image(path)
    assert (read_back.alpha is None) == (picture.alpha is None)
    assert np.array_equal(np.broadcast_to(picture.colour, read_back.colour.shape), read_back.colour)
    if picture.alpha is not None:
        assert np.array_equal(read_back.alpha, picture.alpha)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif", "jp2", "bmp", "ppm", "pcx", "sgi", "tga"])
def test_a_disk_that_is_full(tmp_path, suffix):
    """Its error is the one that is told, no metadata are blamed, and the old file stays."""
    path = tmp_path / f"cat.{suffix}"
    path.write_bytes(b"old")
    script = (
        "import resource, skimage.data, sys, warnings; from pathlib import Path\n"
        "from codec.images.files import write_image; from codec.images.picture import Picture\n"
        "warnings.simplefilter('error')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_image(Path(sys.argv[1]), Picture(skimage.data.chelsea(), {'xmp ': b'<x/>', 'iccp': b'profile'}))"
    )
    command = [sys.executable, "-c", script, path]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=100)
    assert result.stderr.splitlines()[-1].endswith(f"CaeError: {path}: File too large")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


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
    with pytest.raises(CaeError, match=f"limit of {limit}$"):
        read_image(tmp_path / "cat.tif", limit)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_large_picture_inside_a_small_one_is_not_decoded(tmp_path):
    """An icon file may hold a PNG far larger than it says."""
    inner = io.BytesIO()
    Image.new("RGB", (900, 900)).save(inner, "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 24, len(inner.getvalue()), 22)
    (tmp_path / "bomb.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + inner.getvalue())
    with pytest.raises(CaeError, match=r"limit of 10000$"):
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
    with pytest.raises(CaeError, match=r"use one of \.png"):
        write_image(tmp_path / f"out.{suffix}", from_pillow(cat))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, cat, suffix):
    cat.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[cat.rotate(180)], lossless=True)
    with pytest.warns(RuntimeWarning, match="2 frames; only the first"):
        assert read_image(tmp_path / f"a.{suffix}").colour.shape == (40, 50, 3)
