"""Sets of test images."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks.core import images
from codec import CaeError


@pytest.fixture
def pixels():
    return np.random.default_rng(4).integers(0, 256, (7, 5, 3), np.uint8)


def test_folder(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "b.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    gray, colour = images.gather(None, tmp_path)
    assert (gray.name, colour.name, colour.width, colour.height) == ("a", "b", 5, 7)
    assert np.array_equal(colour.load(), pixels)
    assert np.array_equal(gray.load(), np.repeat(pixels[..., :1], 3, axis=2))


def test_digest_knows_pixels_not_files(tmp_path, pixels):
    for suffix in ("png", "bmp"):
        Image.fromarray(pixels).save(tmp_path / f"x.{suffix}")
    first, second = images.from_folder(tmp_path)
    assert first.digest == second.digest == images.digest(pixels)
    assert images.digest(pixels) != images.digest(pixels.reshape(5, 7, 3))
    with pytest.raises(CaeError, match="has the same pixels as"):
        images.gather(None, tmp_path)


def test_pixels_are_not_for_writing(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    loaded = images.from_folder(tmp_path)[0].load()
    with pytest.raises(ValueError, match="read-only"):
        loaded[0] = 0


@pytest.mark.parametrize(
    ("dataset", "folder", "message"),
    [
        (None, "none", "none: no such folder"),
        (None, "empty", "empty: has no image files"),
        (None, "broken", "bad.png: not an image that Pillow can read"),
        ("scikit-image", "empty", "give a folder or --dataset scikit-image, not both"),
        ("kodak", None, "do not come with this program: get kodim01.png to kodim24.png from https://r0k.us/graphics/kodak/"),
        ("kodak", "empty", "kodim01.png: is missing; get kodim01.png"),
        ("kodak", "fake", "kodim01.png: its pixels are not those of the Kodak image"),
        ("kodak", "none", "none: no such folder; get kodim01.png"),
        ("clic", None, "do not come with this program: get https://data.vision.ee.ethz.ch/"),
        ("clic", "empty", "professional_valid_2020.zip: is missing; get https://"),
        ("clic", "fake", "professional_valid_2020.zip: its MD5 checksum is not 7111ee24"),
    ],
)
def test_errors(tmp_path, dataset, folder, message, pixels):
    for name in ("empty", "broken", "fake"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken" / "bad.png").write_bytes(b"no PNG")
    Image.fromarray(pixels).save(tmp_path / "fake" / "kodim01.png")
    (tmp_path / "fake" / images.CLIC_ARCHIVE).write_bytes(b"no archive")
    with pytest.raises(CaeError) as error:
        images.gather(dataset, folder and tmp_path / folder)
    assert message in str(error.value)


def test_scikit_image_needs_nothing_else():
    samples = images.gather(None, None)
    assert [sample.name for sample in samples] == ["astronaut", "chelsea", "coffee", "ihc", "motorcycle_left"]
    assert samples == images.gather("scikit-image", None)
    assert min(min(sample.width, sample.height) for sample in samples) >= 161, "MS-SSIM is defined on all"
    assert not images.is_kodak(samples)


def test_kodak_digests():
    digests = images.kodak_digests()
    assert list(digests) == [f"kodim{number:02}" for number in range(1, 25)]
    assert len(set(digests.values())) == 24
    assert all(len(bytes.fromhex(value)) == 32 for value in digests.values())


def test_kodak_accepts_the_images(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "kodim01.png")
    monkeypatch.setattr(images, "kodak_digests", lambda: {"kodim01": images.digest(pixels)})
    samples = images.gather("kodak", tmp_path)
    assert [sample.name for sample in samples] == ["kodim01"]
    assert images.is_kodak(samples)


def test_clic_verifies_what_was_unpacked(tmp_path, pixels, monkeypatch):
    archive = tmp_path / images.CLIC_ARCHIVE
    with zipfile.ZipFile(archive, "w") as file:
        for name, picture in (("valid/a.png", pixels), ("valid/b.png", pixels[::-1])):
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "PNG")
            file.writestr(name, buffer.getvalue())
        file.writestr("__MACOSX/valid/._a.png", b"")
        file.extractall(tmp_path)
    monkeypatch.setattr(images, "CLIC_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    first, second = images.gather("clic", tmp_path)
    assert (first.name, second.name) == ("a", "b")
    assert np.array_equal(first.load(), pixels)
    Image.fromarray(pixels).save(tmp_path / "valid" / "b.png", compress_level=0)
    with pytest.raises(CaeError, match=r"b\.png: is not the file in the archive"):
        images.gather("clic", tmp_path)
    (tmp_path / "valid" / "a.png").unlink()
    with pytest.raises(CaeError, match=r"a\.png: is missing"):
        images.gather("clic", tmp_path)
