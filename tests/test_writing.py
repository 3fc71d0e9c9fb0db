"""Pictures written row by row: the same file as of the whole, and no file at all where it does not come to its end."""

import errno
import io
import os

import numpy as np
import pytest
from PIL import Image

import codec
from codec import CaeError
from codec.format import container

from .forging import cost, smallest_file


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("cuts", [[], [1, 2, 3, 64, 65, 200], [150, 150], range(1, 300)])
@pytest.mark.parametrize("place", ["path", "file"])
def test_the_file_is_that_of_the_whole_picture(tiny, chelsea, tmp_path, mode, cuts, place):
    pixels = np.concatenate([chelsea, chelsea[..., :1]], -1)[:, :130, : len(mode)]
    file = tmp_path / "photo.cae" if place == "path" else io.BytesIO(b"what was here before" * 10_000)
    with tiny.create(file, (130, 300), mode, quality=70, tile=64) as out:
        for rows in np.split(pixels, cuts):
            out.write(rows[..., 0] if mode == "L" and len(rows) % 2 else rows)
    written = file.read_bytes() if place == "path" else file.getvalue()
    assert written == tiny.encode(pixels, 70, tile=64)
    assert out.info == codec.info(written)
    assert place == "file" or os.listdir(tmp_path) == ["photo.cae"]


def test_metadata_of_another_file(tiny, chelsea, tmp_path):
    metadata = {"iccp": b"profile", "exif": b"II*\0", "xmp ": bytearray(b"<x/>")}
    with tiny.create(tmp_path / "a.cae", (451, 300), "RGB", metadata=metadata) as out:
        out.write(chelsea)
    with tiny.open(tmp_path / "a.cae") as picture:
        with tiny.create(str(tmp_path / "b.cae"), picture.size, picture.mode, metadata=picture.metadata) as out:
            for rows in picture.bands():
                out.write(rows)
        assert picture.metadata == metadata
        assert tiny.open(tmp_path / "b.cae").metadata == metadata


def test_metadata_in_place_of_an_images_own(tiny, chelsea):
    image = Image.fromarray(chelsea[:20, :30])
    image.info["exif"] = b"Exif\0\0II*\0"
    for metadata, kept in ((None, {"exif": b"Exif\0\0II*\0"}), ({}, {}), ({"xmp ": b"<x/>"}, {"xmp ": b"<x/>"})):
        with tiny.open(tiny.encode(image, metadata=metadata)) as picture:
            assert picture.metadata == kept
    with pytest.raises(CaeError, match="metadata 'xmp' is unknown"):
        tiny.encode(image, metadata={"xmp": b""})


def test_a_target_needs_the_whole_picture(tiny):
    with pytest.raises(TypeError, match="target_bpp"):
        tiny.create(io.BytesIO(), (5, 6), "RGB", target_bpp=1)


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_an_array_may_be_used_again(tiny, chelsea, rows):
    file, buffer = io.BytesIO(), np.empty((rows, 451, 3), np.uint8)
    with tiny.create(file, (451, 300), "RGB", tile=64) as out:
        for top in range(0, 300, rows):
            part = buffer[: min(rows, 300 - top)]
            part[:] = chelsea[top : top + rows]
            out.write(part)
            buffer[:] = 0
    assert file.getvalue() == tiny.encode(chelsea, tile=64)


def leave_early(out, rows):
    out.write(rows[:100])


def fail(out, rows):
    out.write(rows)
    raise OSError(errno.EIO, "the source has failed")


def interrupt(out, rows):
    out.write(rows)
    raise KeyboardInterrupt("Ctrl-C")


def write_too_much(out, rows):
    out.write(rows)
    out.write(rows[:1])


def swallow(out, rows):
    out.write(rows)
    with pytest.raises(CaeError):
        out.write(rows)


def abandon(out, rows):
    out.write(rows)
    out.abandon()


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (leave_early, CaeError, r"photo\.cae: only 100 of the picture's 300 rows"),
        (fail, OSError, "the source has failed"),
        (interrupt, KeyboardInterrupt, "Ctrl-C"),
        (write_too_much, CaeError, r"photo\.cae: more rows than the picture's height of 300"),
        (swallow, CaeError, r"photo\.cae: an earlier write has failed; create the file again"),
        (abandon, None, ""),
    ],
)
@pytest.mark.parametrize("old", [None, b"kept"])
def test_no_file_without_an_end(tiny, chelsea, tmp_path, work, error, message, old):
    path = tmp_path / "photo.cae"
    if old:
        path.write_bytes(old)

    def run(file):
        with tiny.create(file, (451, 300), "RGB", tile=64) as out:
            work(out, chelsea)

    if error:
        with pytest.raises(error, match=message):
            run(path)
    else:
        run(path)
    assert [left.read_bytes() for left in tmp_path.iterdir()] == ([old] if old else [])
    file = io.BytesIO()
    with pytest.raises(BaseException if error else CaeError):
        run(file)
        container.read(file.getvalue())
    with pytest.raises(CaeError):
        container.read(file.getvalue())


def test_a_writer_that_is_forgotten_leaves_nothing(tiny, chelsea, tmp_path):
    out = tiny.create(tmp_path / "photo.cae", (451, 300), "RGB")
    out.write(chelsea[:100])
    assert len(os.listdir(tmp_path)) == 1
    del out
    assert os.listdir(tmp_path) == []


def test_without_a_block(tiny, chelsea, tmp_path):
    out = tiny.create(tmp_path / "photo.cae", (451, 300), "RGB")
    out.write(chelsea)
    assert not (tmp_path / "photo.cae").exists()
    out.close()
    out.close()
    out.abandon()
    assert (tmp_path / "photo.cae").read_bytes() == tiny.encode(chelsea)
    with pytest.raises(CaeError, match="the file is closed"):
        out.write(chelsea[:1])


class Full(io.BytesIO):
    def write(self, data):
        if self.tell() + len(data) > 5000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk(tiny, chelsea):
    with (
        pytest.raises(CaeError, match="the file cannot be written: No space left on device"),
        tiny.create(Full(), (451, 300), "RGB", quality=90, tile=64) as out,
    ):
        out.write(chelsea)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((5, 450, 3), np.uint8), "for a picture of uint8"),
        (np.zeros((5, 451), np.uint8), "for a picture of uint8"),
        (np.zeros((451, 3), np.uint8), "for a picture of uint8"),
        (np.zeros((5, 451, 3)), "float64"),
        ("text", "rows of"),
        (None, "rows of object"),
    ],
)
def test_rows_that_do_not_fit(tiny, rows, message):
    with pytest.raises(CaeError, match=message), tiny.create(io.BytesIO(), (451, 300), "RGB") as out:
        out.write(rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (0, 5)}, "size 0 x 5"),
        ({"size": (2**31, 5)}, "size"),
        ({"size": 5}, "size 5 is not .width, height."),
        ({"size": (5.0, 5)}, "size"),
        ({"size": (1, 2, 3)}, "size"),
        ({"mode": "CMYK"}, "mode 'CMYK' is not one of L, LA, RGB, RGBA"),
        ({"mode": 3}, "mode 3"),
        ({"mode": []}, "mode"),
        ({"quality": 101}, "quality 101"),
        ({"tile": 65}, "tile size 65"),
        ({"metadata": {"xmp": b""}}, "metadata 'xmp' is unknown; there are 'iccp', 'exif', 'xmp '"),
        ({"metadata": {"exif": "text"}}, "metadata 'exif' is of type str, not bytes"),
    ],
)
def test_pictures_that_there_are_not(tiny, tmp_path, changes, message):
    with pytest.raises(CaeError, match=message):
        tiny.create(tmp_path / "photo.cae", **{"size": (5, 6), "mode": "RGB"} | changes)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_to(tiny, tmp_path):
    reading, writing = os.pipe()
    closed = io.BytesIO()
    closed.close()
    with open(reading, "rb"), open(writing, "wb") as pipe, open(tmp_path / "text", "w") as text:
        for wrong in (pipe, text, closed, None, b"bytes", tmp_path / "none" / "photo.cae", tmp_path):
            with pytest.raises(CaeError, match=r"write to|takes no bytes|does not exist|is a folder"):
                tiny.create(wrong, (5, 6), "RGB")


def test_memory_does_not_grow_with_the_height(tiny_model, tmp_path):
    call = (
        "numpy = __import__('numpy'); out = loaded.create(sys.argv[1] + '.out', (512, {0}), 'RGB', tile=256); "
        "[out.write(numpy.full((64, 512, 3), n % 256, 'uint8')) for n in range({0} // 64)]; out.close()"
    )
    data = smallest_file(64, 64, tiny_model.id)
    low, high = (cost(data, call.format(height), tmp_path) for height in (8192, 32768))
    assert low[2] == high[2] == "done"
    assert high[0] < low[0] + 8


def test_functions(tmp_path, chelsea):
    """Of the module, with the shipped weights."""
    with codec.create(tmp_path / "photo.cae", (100, 50), "RGB", quality=80, device="cpu") as out:
        out.write(chelsea[:50, :100])
    with codec.open(tmp_path / "photo.cae", device="cpu") as picture:
        assert picture.quality == 80
        assert np.array_equal(picture.read(), codec.decode((tmp_path / "photo.cae").read_bytes(), device="cpu"))
