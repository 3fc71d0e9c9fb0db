"""Pictures in other modes than gray and RGB, as Pillow's users expect them; what costs no bits."""

import io
import struct

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageCms

import codec
from codec import CaeError
from codec.coding.screen_content import fill_hidden
from codec.commands import decode, encode
from codec.images import streams
from codec.images.picture import from_pillow

from .conftest import TINY, psnr

CAT = Image.fromarray(skimage.data.chelsea()[40:104, 100:196])
SCREEN = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def coded(tmp_path, image: Image.Image, suffix: str, *arguments: str, **saving) -> Image.Image:
    """Passes an image file through both commands, to .cae without loss and to .png; returns the result."""
    image.save(tmp_path / f"in.{suffix}", **saving)
    encode.main([str(tmp_path / f"in.{suffix}"), str(tmp_path / "x.cae"), "--lossless", "--weights", str(TINY), *arguments])
    decode.main([str(tmp_path / "x.cae"), str(tmp_path / "out.png"), "--weights", str(TINY)])
    with Image.open(tmp_path / "out.png") as out:
        out.load()
    return out


def inks() -> bytes:
    """A CMYK profile, whose table of two steps for each ink has a cyan that is pink, and so no other conversion's."""
    table = bytearray()
    for cyan, magenta, yellow, black in np.ndindex(2, 2, 2, 2):
        light = 255 - 60 * (cyan + magenta + yellow)
        table += bytes([0, 128, 128] if black else [light, 128 + 80 * cyan, 128 + 60 * cyan])
    identity = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    lut += identity * 4 + table + identity * 3
    header = struct.pack(">4sI4s4s4s6H4s", b"test", 0x02400000, b"prtr", b"CMYK", b"Lab ", 2020, 1, 1, 0, 0, 0, b"acsp")
    header += bytes(28) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    rest = header.ljust(124, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(lut)) + lut
    return struct.pack(">I", len(rest) + 4) + rest


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_goes_through_its_profile_which_stays_behind(tmp_path, suffix):
    image = Image.new("CMYK", (40, 30), (255, 0, 0, 0))
    options = {"quality": 100} if suffix == "jpg" else {}
    by_profile = coded(tmp_path, image, suffix, icc_profile=inks(), **options)
    without = coded(tmp_path, image, suffix, **options)
    assert by_profile.getpixel((5, 5)) == (255, 107, 83) and without.getpixel((5, 5)) == (0, 255, 255)
    assert not by_profile.info.get("icc_profile") and not without.info.get("icc_profile")


def test_cmyk_in_bands_goes_through_its_profile(tmp_path):
    Image.new("CMYK", (40, 30), (255, 0, 0, 0)).save(tmp_path / "in.tif", icc_profile=inks())
    with streams.open_picture(tmp_path / "in.tif", whole_max=0) as source:
        assert next(source.bands)[5, 5].tolist() == [255, 107, 83] and not source.metadata


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", "jpg"), ("L", "png"), ("P", "png"), ("RGBA", "tif"), ("RGB", "webp")])
def test_profiles_travel(tmp_path, mode, suffix):
    assert coded(tmp_path, CAT.convert(mode), suffix, icc_profile=SCREEN).info["icc_profile"] == SCREEN


def test_palettes(tmp_path):
    """With and without transparency: a colour of the palette, or an alpha for each."""
    palette = CAT.quantize(16)
    plain = coded(tmp_path, palette, "png")
    assert plain.mode == "RGB" and np.array_equal(plain, palette.convert("RGB"))
    for transparency in (3, bytes(range(0, 256, 16))):
        palette.info["transparency"] = transparency
        decoded = coded(tmp_path, palette, "png", transparency=transparency)
        assert decoded.mode == "RGBA" and np.array_equal(decoded, palette.convert("RGBA"))


def test_lab(tmp_path):
    screen, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    decoded = coded(tmp_path, ImageCms.profileToProfile(CAT, screen, lab, outputMode="LAB"), "tif", icc_profile=SCREEN)
    assert decoded.mode == "RGB" and np.abs(np.asarray(decoded, int) - np.asarray(CAT)).max() <= 5
    assert not decoded.info.get("icc_profile")


def test_one_bit(tmp_path):
    image = CAT.convert("1")
    decoded = coded(tmp_path, image, "png")
    assert decoded.mode == "L" and np.array_equal(np.asarray(decoded) == 255, np.asarray(image))


def test_premultiplied_alpha(tiny):
    alpha = Image.linear_gradient("L").resize(CAT.size)
    for mode in ("LA", "RGBA"):
        straight = CAT.convert(mode)
        straight.putalpha(alpha)
        premultiplied = straight.convert(mode.replace("A", "a"))
        decoded = tiny.decode_image(tiny.encode(premultiplied, lossless=True))
        assert decoded.mode == mode and np.array_equal(decoded, premultiplied.convert(mode))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif", "tif"])
def test_of_animations_the_first_frame_is_taken_with_a_warning(tmp_path, suffix, capsys):
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    decoded = coded(tmp_path, frames[0], suffix, save_all=True, append_images=frames[1:])
    assert decoded.size == (64, 48) and np.abs(np.subtract(decoded.getpixel((9, 9)), (255, 0, 0))).max() <= 4
    assert "in." + suffix + ": holds 3 frames; only the first is taken" in capsys.readouterr().err


def test_of_an_open_animation_the_shown_frame_is_taken(tiny):
    file = io.BytesIO()
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    with Image.open(file) as image:
        image.seek(1)
        assert tiny.decode_image(tiny.encode(image, lossless=True)).getpixel((9, 9)) == (0, 0, 255)


def test_gray_costs_no_colour_bits(default):
    gray = np.asarray(CAT.convert("L"))
    for quality in (30, 80):
        data, as_colour = default.encode(gray, quality), default.encode(np.stack([gray] * 3, -1), quality)
        assert len(data) <= len(as_colour)
        assert default.decode(data).shape == gray.shape
        assert psnr(default.decode(data), gray) >= psnr(default.decode(as_colour), np.stack([gray] * 3, -1)) - 0.01


@pytest.mark.parametrize("scale", [1, 257])
def test_what_nobody_sees_costs_little(default, astronaut, scale):
    """The hidden half costs little, and the visible one does not suffer; without loss all stays."""
    alpha = np.zeros((128, 192), np.uint8)
    alpha[:, :90] = 255
    picture = np.dstack([astronaut[:128, 150:342], alpha]) * np.array(scale, np.uint8 if scale == 1 else np.uint16)
    shown = picture.copy()
    shown[..., 3] = 255 * scale
    seen = np.s_[:, :90, :3]
    hidden, whole = (default.encode(pixels, 60) for pixels in (picture, shown))
    assert len(hidden) < 0.75 * len(whole)
    reached, expected = (psnr(default.decode(data)[seen] / scale, picture[seen] / scale) for data in (hidden, whole))
    assert reached > expected - 0.15
    assert np.array_equal(default.decode(default.encode(picture, lossless=True)), picture)


def test_a_picture_that_nobody_sees(default):
    data = default.encode(np.zeros((70, 90, 4), np.uint16))
    assert len(data) < 450 and not default.decode(data)[..., 3].any()
    assert (fill_hidden(np.zeros((9, 9, 1), np.uint16), np.ones((9, 9), bool), 32768) == 32768).all()


def test_floats_of_pillow_are_refused_with_what_to_do():
    with pytest.raises(CaeError, match=r"pass an array, numpy.asarray\(image\).astype\(numpy.uint16\)"):
        from_pillow(Image.new("F", (4, 4)))


def test_gray_of_sixteen_bits_through_pillow_keeps_its_profile(tmp_path):
    image = Image.fromarray(np.asarray(CAT.convert("L")).astype(np.uint16) * 257)
    decoded = coded(tmp_path, image, "png", icc_profile=SCREEN)
    assert decoded.mode == "I;16" and np.array_equal(decoded, image) and decoded.info["icc_profile"] == SCREEN
    assert codec.info((tmp_path / "x.cae").read_bytes()).depth == 16
