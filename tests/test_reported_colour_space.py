"""Colour spaces that other programs lost or choked on, and what each output format holds of metadata."""

import dataclasses
import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from codec.images import streams
from codec.images.picture import from_array
from codec.images.streams.png import make_chunk
from codec.metadata import SECTIONS

from .doors import by_file, codec_metadata, encoded_metadata, png, samples_of, saved

pytestmark = pytest.mark.usefixtures("tiny_plugin")

EXIF = Image.Exif()
EXIF[270] = "a cat"
EXIF = EXIF.tobytes()
PQ = bytes((9, 16, 0, 1))
MASTERING = struct.pack(">8HII", 34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10_000_000, 50)
LIGHT = struct.pack(">II", 10_000_000, 4_000_000)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_colour_space_of_png_comes_back(tmp_path, bits, interlaced):
    others = make_chunk(b"cICP", PQ) + make_chunk(b"mDCV", MASTERING) + make_chunk(b"cLLI", LIGHT)
    path = tmp_path / "a.png"
    path.write_bytes(png(bits, 2, samples_of(bits, 3), interlaced=interlaced, others=others))
    expected = {"cicp": PQ, "mdcv": MASTERING, "clli": LIGHT}
    assert encoded_metadata(path) == expected
    for whole_max in (0, 2**24):
        with streams.open_picture(path, whole_max=whole_max) as source:
            assert source.metadata == expected
            pixels = np.concatenate(list(source.bands))
    streams.write_picture(tmp_path / "b.png", dataclasses.replace(from_array(pixels), metadata=expected))
    assert encoded_metadata(tmp_path / "b.png") == expected
    assert np.array_equal(by_file(tmp_path / "b.png"), pixels)
    if bits == 8:
        with pytest.warns(RuntimeWarning, match="does not take the (mastering|content)"):
            streams.write_picture(tmp_path / "b.avif", dataclasses.replace(from_array(pixels), metadata=expected))
        assert encoded_metadata(tmp_path / "b.avif") == {"cicp": PQ}
        for suffix in ("jpg", "webp", "tif", "bmp", "npy"):
            with pytest.warns(RuntimeWarning, match=r"does not take the colour space \(CICP\)"):
                picture = dataclasses.replace(from_array(pixels), metadata={"cicp": PQ})
                streams.write_picture(tmp_path / f"b.{suffix}", picture)


def test_colour_space_of_avif_is_kept(tmp_path):
    Image.new("RGB", (16, 16), "red").save(buffer := io.BytesIO(), "AVIF")
    assert codec_metadata(Image.open(buffer)) == {}  # sRGB
    (tmp_path / "a.avif").write_bytes(buffer.getvalue().replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x09\0\x10"))
    assert encoded_metadata(tmp_path / "a.avif") == {"cicp": PQ}
    with streams.open_picture(tmp_path / "a.avif") as source:
        assert source.metadata == {"cicp": PQ}
    with Image.open(tmp_path / "a.avif") as image:
        assert saved(image, xmp="<x/>") == {"cicp": PQ, "xmp ": b"<x/>"}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_gamma_and_chromaticities_become_a_profile(tmp_path, bits, channels):
    path = tmp_path / "a.png"
    usual = make_chunk(b"gAMA", struct.pack(">I", 45455))
    path.write_bytes(png(bits, channels - 1, samples_of(bits, channels), others=usual))
    assert encoded_metadata(path) == {}
    white, red, green, blue = (31270, 32900), (68000, 32000), (26500, 69000), (15000, 6000)  # P3
    others = make_chunk(b"gAMA", struct.pack(">I", 100_000)) + make_chunk(
        b"cHRM", struct.pack(">8I", *white, *red, *green, *blue)
    )
    path.write_bytes(png(bits, channels - 1, samples_of(bits, channels), others=others))
    for whole_max in (0, 2**24):
        with streams.open_picture(path, whole_max=whole_max) as source:
            assert source.metadata == encoded_metadata(path)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(encoded_metadata(path)["iccp"]))
    mode = "L" if channels == 1 else "RGB"
    mid = Image.new(mode, (1, 1), 55 if channels == 1 else (55, 55, 55))
    shown = ImageCms.profileToProfile(mid, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert np.abs(np.array(shown.getpixel((0, 0))) - 128).max() <= 3  # 55 of 255 in linear light
    if channels == 3:
        assert profile.profile.red_primary[1][:2] == pytest.approx((0.68, 0.32), abs=0.03)


@pytest.mark.parametrize("bits", [8, 16])
def test_profile_of_gray_with_alpha_is_of_gray(tmp_path, bits):
    path = tmp_path / "a.png"
    path.write_bytes(png(bits, 4, samples_of(bits, 2), others=make_chunk(b"gAMA", struct.pack(">I", 100_000))))
    assert encoded_metadata(path)["iccp"][16:20] == b"GRAY"


@pytest.mark.parametrize("others", [b"", make_chunk(b"gAMA", struct.pack(">I", 45455))])
def test_chromaticities_without_gamma_count(tmp_path, others):
    path = tmp_path / "a.png"
    colours = (31270, 32900), (68000, 32000), (26500, 69000), (15000, 6000)
    chunk = make_chunk(b"cHRM", struct.pack(">8I", *(value for colour in colours for value in colour)))
    path.write_bytes(png(8, 2, samples_of(8, 3), others=others + chunk))
    assert encoded_metadata(path)["iccp"][16:20] == b"RGB "
    path.write_bytes(png(8, 2, samples_of(8, 3), others=others + make_chunk(b"cHRM", bytes(32))))
    with pytest.warns(RuntimeWarning, match="ICC profile is damaged and left out .*chromaticities") as caught:
        assert encoded_metadata(path) == {}
    assert len(caught) == 1


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_profile_that_pillow_drops_is_told_of(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "png":
        path.write_bytes(png(8, 2, samples_of(8, 3), others=make_chunk(b"iCCP", b"name\0\0not compressed")))
    else:
        Image.new("RGB", (16, 16)).save(path, icc_profile=bytes(300))
        path.write_bytes(path.read_bytes().replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2"))
    with pytest.warns(RuntimeWarning, match="the ICC profile is damaged and left out"):
        assert encoded_metadata(path) == {}


CONTENTS = {"iccp": ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes(), "exif": EXIF, "xmp ": b"<x/>"}
CONTENTS |= {"cicp": PQ, "mdcv": MASTERING, "clli": LIGHT}


@pytest.mark.parametrize(("section", "kind"), [(section, kind) for section in SECTIONS for kind in section.formats])
def test_each_format_holds_the_sections_that_it_is_said_to_hold(tmp_path, section, kind):
    suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    pixels = samples_of(8, 3).astype(np.uint8)
    picture = dataclasses.replace(from_array(pixels), metadata={section.name: CONTENTS[section.name]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        streams.write_picture(tmp_path / f"a.{suffix}", picture)
        assert section.name in encoded_metadata(tmp_path / f"a.{suffix}")
