"""Pillow's plugin, by the checks that Pillow has for its own."""

import copy
import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageFile, UnidentifiedImageError

import codec
import codec.pillow

from .conftest import TINY

pytestmark = pytest.mark.usefixtures("tiny_plugin")

EXIF = Image.Exif()
EXIF[0x010E] = "a cat"


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea()[:90, :130])


@pytest.fixture
def path(tmp_path, cat):
    cat.save(tmp_path / "cat.cae", quality=70, exif=EXIF, icc_profile=b"profile", xmp=b"<x/>", tile=64)
    return tmp_path / "cat.cae"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_open_decodes_nothing(path):
    """And imports no torch, for the size, the metadata and `verify`."""
    code = "import sys, codec.pillow\nfrom PIL import Image\n"
    code += f"with Image.open(r'{path}') as image:\n"
    code += "    print(image.format, image.size, image.mode, image.getexif()[0x010E], image.get_format_mimetype())\n"
    code += "    image.verify()\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("CAE (130, 90) RGB a cat image/x-cae\n", "")


def test_pixels_and_metadata_are_those_of_the_codec(path):
    data = path.read_bytes()
    assert (codec.info(data).quality, codec.info(data).tile) == (70, 64)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), codec.decode(data, weights=TINY))
        assert (image.info["icc_profile"], image.info["xmp"], image.getexif()[0x010E]) == (b"profile", b"<x/>", "a cat")
        assert image.load() is not None and image.tell() == 0
        image.seek(0)
        with pytest.raises(EOFError):
            image.seek(1)
        image.save(path.with_suffix(".again.cae"))
    # as it was opened, so it travels on, unless it is told otherwise
    with Image.open(path.with_suffix(".again.cae")) as again:
        assert (again.info["icc_profile"], again.getexif()[0x010E]) == (b"profile", "a cat")
        again.save(bare := io.BytesIO(), "CAE", exif=b"", icc_profile=None, xmp=None)
    assert codec.info(bare.getvalue()).metadata == {}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"])
def test_modes(cat, mode):
    picture = cat.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, "RGB")).convert(mode)
    picture.save(buffer := io.BytesIO(), "CAE")
    expected = {"1": "L", "La": "LA"}.get(mode, mode if mode in ("L", "LA", "RGBA") else "RGBA" if mode == "RGBa" else "RGB")
    with opened(buffer.getvalue()) as image:
        assert (image.mode, image.size) == (expected, picture.size)
        image.load()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_modes_that_cannot_be_written(tmp_path, mode):
    with pytest.raises(OSError, match=f"cannot write mode {mode} as CAE"):
        Image.new(mode, (5, 5)).save(tmp_path / "a.cae")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [{"quality": 0}, {"quality": "high"}, {"tile": 100}, {"target_size": -1}, {"target_size": 9, "target_bpp": 1}]
)
def test_options_that_are_none(tmp_path, cat, options):
    with pytest.raises((ValueError, OSError)):
        cat.save(tmp_path / "a.cae", **options)
    assert not list(tmp_path.iterdir())


def test_targets(cat):
    cat.save(buffer := io.BytesIO(), "CAE", target_size=1400)
    assert 1372 <= len(buffer.getvalue()) <= 1400


def test_files_that_are_cut_off(path):
    """In the header no plugin takes them, later on they open, and raise OSError when they are loaded."""
    data = path.read_bytes()
    with pytest.raises(UnidentifiedImageError):
        opened(data[:20])
    for length in (len(data) - 1, len(data) // 2, 32 + 150):
        for use in ("load", "verify"):
            with opened(data[:length]) as image, pytest.raises(OSError, match="cut off"):
                getattr(image, use)()
    with opened(data + b"more") as image, pytest.raises(OSError, match="follow the last tile"):
        image.load()


def test_truncated_images_may_be_loaded(path, monkeypatch):
    """As of Pillow's own formats, where its switch says so; what the file still has is as it was."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with opened(path.read_bytes()) as image, opened(path.read_bytes()[:-5]) as cut:
        with pytest.warns(RuntimeWarning, match="filled in"):
            cut.load()
        assert image.convert("RGB").crop((0, 0, 40, 40)) == cut.convert("RGB").crop((0, 0, 40, 40))


def test_damage(path, monkeypatch):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    with opened(data) as image, pytest.raises(OSError, match="damaged"):
        image.verify()
    with opened(data) as image, pytest.raises(OSError, match="damaged"):
        image.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with opened(data) as image, pytest.warns(RuntimeWarning, match="filled in"):
        image.load()


def test_verify_closes_the_file(path):
    image = Image.open(path)
    image.verify()
    with pytest.raises(OSError, match="open it again"):
        image.load()


def test_files_are_closed(path):
    """Pillow opens them lazily and closes what it has opened, once loaded; a file of the caller's stays open."""
    with Image.open(path) as image:
        file = image.fp
        image.load()
        assert file.closed
    with open(path, "rb") as file, Image.open(file) as image:
        image.load()
        assert not file.closed


def test_copies(path):
    with Image.open(path) as image:
        for other in (image.copy(), copy.copy(image), copy.deepcopy(image), pickle.loads(pickle.dumps(image))):
            assert (other.mode, other.size) == (image.mode, image.size) and other.tobytes() == image.tobytes()
        assert image.crop((10, 20, 40, 50)).size == (30, 30)


def test_on_threads(path):
    def load(_: int) -> bytes:
        with Image.open(path) as image:
            return image.tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(load, range(8)))) == 1


@pytest.mark.parametrize("gap", [2.0, 3.0, None])
@pytest.mark.parametrize("size", [(40, 40), (15, 11), (3, 90), (1, 1), (129, 89), (500, 500)])
def test_thumbnail(path, size, gap):
    """Of reduced sizes or not, it is nearly what Pillow makes of the whole picture in one step."""
    with Image.open(path) as image, Image.open(path) as whole:
        whole.load()
        whole.thumbnail(size, reducing_gap=None)
        image.thumbnail(size, reducing_gap=gap)
        assert image.size == whole.size and image.mode == whole.mode
        assert np.abs(np.asarray(image, float) - np.asarray(whole)).max() <= (4 if gap else 0)


@pytest.mark.parametrize(
    ("requested", "scale"),
    [((65, 45), 2), ((66, 45), 1), ((65, 46), 1), ((32, 22), 4), ((33, 1), 2), ((16, 11), 8), ((0, 0), 8), (None, 1)],
)
def test_draft(path, requested, scale):
    """The least size that covers what is wanted, of 130 x 90 pixels, which 4 and 8 do not divide."""
    with Image.open(path) as image:
        drafted = image.draft("L", requested)
        assert drafted == (("RGB", (0, 0, 130 / scale, 90 / scale)) if scale > 1 else None)
        assert image.size == (-(-130 // scale), -(-90 // scale)) and image.mode == "RGB"
        assert np.array_equal(np.asarray(image), codec.decode(path.read_bytes(), scale=1 / scale, weights=TINY))
        assert image.info["icc_profile"] == b"profile"


def test_several_drafts(path):
    """One that changes nothing leaves the way free; of those that reduce, the first counts; none does after loading."""
    with Image.open(path) as image:
        assert image.draft(None, (100, 80)) is None
        assert image.draft(None, (65, 45)) is not None
        assert image.draft(None, (10, 10)) is None and image.size == (65, 45)
        image.load()
        assert image.draft(None, (10, 10)) is None
        image.thumbnail((9, 9))
        assert image.size == (9, 6)
        assert image.copy().size == copy.copy(image).size == pickle.loads(pickle.dumps(image)).size == (9, 6)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_thumbnails_of_other_modes(cat, mode):
    """Transparent colours show in no thumbnail: such pictures are decoded whole."""
    picture = cat.convert(mode)
    if "A" in mode:
        alpha = Image.new("L", picture.size, 255)
        alpha.paste(0, (0, 0, 60, 90))
        picture.putalpha(alpha)
    picture.save(buffer := io.BytesIO(), "CAE", quality=90)
    with opened(buffer.getvalue()) as image:
        assert (image.draft(None, (16, 11)) is None) == ("A" in mode)
    with opened(buffer.getvalue()) as image, opened(buffer.getvalue()) as whole:
        image.thumbnail((14, 14))
        whole.load()
        whole.thumbnail((14, 14))
        assert image.mode == mode and np.abs(np.asarray(image, float) - np.asarray(whole)).max() <= 2


def test_limit_of_pixels(path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


def test_other_files_are_left_alone(tmp_path, cat):
    assert Image.registered_extensions()[".cae"] == "CAE"
    cat.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
    with pytest.raises(UnidentifiedImageError):
        opened(b"\x89CAE" + bytes(100))


def test_what_pillow_has_rounded_is_not_saved(tmp_path):
    """As `encode` refuses it: a deep file would lose bits that nobody misses until they are needed."""
    (tmp_path / "deep.ppm").write_bytes(b"P6 3 2 65535 " + bytes(range(36)))
    with Image.open(tmp_path / "deep.ppm") as image, pytest.raises(OSError, match="more than 8 bits a channel"):
        image.save(tmp_path / "deep.cae")
    assert not (tmp_path / "deep.cae").exists()
    gray = np.arange(0, 60000, 1000, np.uint16).reshape(6, 10)
    Image.fromarray(gray).save(tmp_path / "gray.cae", lossless=True)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "gray.cae")), gray)
