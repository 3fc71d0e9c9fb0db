"""Image files written by pieces: the very files of the whole-picture path, or none."""

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from codec import CaeError
from codec.format.header import MODES
from codec.images import files, streams
from codec.images.picture import from_array
from codec.images.streams import tiff
from codec.images.streams.bands import Layout

from .streaming import CAT, METADATA, PICTURES, ROOT, check_same, exif, read

pytestmark = pytest.mark.usefixtures("many_bands")


@pytest.mark.parametrize("channels", PICTURES)
@pytest.mark.parametrize("kind", ["tif", "bigtiff", "png", "ppm", "npy"])
@pytest.mark.parametrize("threads", [1, 3])
def test_writing(tmp_path, channels, kind, threads):
    """As `write_image` writes it, but for how it is stored."""
    pixels = PICTURES[channels]
    path = tmp_path / ("cat.tif" if kind == "bigtiff" else f"cat.{kind}")
    if kind == "ppm" and channels in (2, 4):
        assert not streams.is_streamed(path, (10_000, 10_000), channels, {})
        return
    metadata = {} if kind in ("ppm", "npy") else METADATA
    bands = np.split(pixels, [0, 3, 120, 121])
    if kind == "bigtiff":
        layout = Layout(331, 203, channels, files.small_file(path, MODES[channels], metadata), threads)
        with path.open("wb") as file:
            tiff.write(file, layout, iter(bands), classic_max=0)
    else:
        streams.write_bands(path, (331, 203), channels, metadata, bands, threads)
    if kind == "npy":
        assert np.array_equal(np.load(path), pixels.squeeze())
        return
    whole = tmp_path / f"whole{path.suffix}"
    files.write_image(whole, dataclasses.replace(from_array(pixels), metadata=metadata))
    streamed, expected = files.read_image(path), files.read_image(whole)
    assert np.array_equal(streamed.pixels, expected.pixels)
    assert streamed.metadata == expected.metadata
    with Image.open(path) as one, Image.open(whole) as other:
        for block in (34665, 34853):
            assert one.getexif().get_ifd(block) == other.getexif().get_ifd(block)
    if path.suffix == ".tif":
        assert np.array_equal(tifffile.imread(path), pixels.squeeze())
        assert path.read_bytes()[2] == (43 if kind == "bigtiff" else 42)
    check_same(path, several=path.suffix != ".tif")


@pytest.mark.parametrize("suffix", ["tif", "png", "ppm", "npy"])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (256, 256), (257, 255), (600, 300)])
def test_writing_odd_sizes(tmp_path, suffix, size):
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    path = tmp_path / f"a.{suffix}"
    streams.write_bands(path, size, 3, {}, [pixels])
    with streams.open_picture(path, whole_max=0) as source:
        assert np.array_equal(np.concatenate(list(source.bands)), pixels)


def test_metadata_that_a_format_refuses(tmp_path):
    bad = METADATA | {"exif": b"no EXIF"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        streams.write_bands(tmp_path / "cat.tif", (331, 203), 3, bad, [CAT])
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path / 'cat.tif'}: this format does not take the EXIF block, which is left out"
    ]
    assert set(read(tmp_path / "cat.tif", several=False).metadata) >= {"iccp", "xmp "}


def test_pictures_to_be_turned_go_whole_where_there_is_no_exif():
    large = (10_000, 10_000)
    assert not streams.is_streamed(Path("a.ppm"), large, 3, {"exif": exif(t274=6)})
    assert streams.is_streamed(Path("a.ppm"), large, 3, {"exif": exif(t274=1)})
    assert streams.is_streamed(Path("a.tif"), large, 3, {"exif": exif(t274=6)})
    assert not streams.is_streamed(Path("a.tif"), (100, 100), 3, {})
    assert not streams.is_streamed(Path("a.jpg"), large, 3, {})


@pytest.mark.parametrize("suffix", ["tif", "png", "ppm", "npy"])
def test_bands_that_fail_leave_the_old_file(tmp_path, suffix):
    path = tmp_path / f"cat.{suffix}"
    path.write_bytes(b"old")

    def bands():
        yield CAT[:50]
        raise CaeError("tile 7 is damaged")

    for arriving, message in ((bands(), "tile 7"), ([CAT[:50]], "153 of the picture's 203 rows"), ([CAT, CAT], "rows of")):
        with pytest.raises(CaeError, match=message):
            streams.write_bands(path, (331, 203), 3, {}, arriving)
        assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("suffix", ["tif", "png", "ppm", "npy"])
def test_a_disk_that_is_full(tmp_path, suffix):
    path = tmp_path / f"noise.{suffix}"
    path.write_bytes(b"old")
    script = (
        "import numpy as np, resource, sys; from pathlib import Path\n"
        "from codec.images import streams\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)\n"
        "streams.write_bands(Path(sys.argv[1]), (500, 5000), 3, {}, [noise] * 10, 2)"
    )
    result = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert result.stderr.splitlines()[-1].endswith(f"CaeError: {path}: File too large")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
