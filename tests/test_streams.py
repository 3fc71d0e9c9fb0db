"""Image files by pieces: the very pictures of the whole-file path, in memory that does not grow with the height."""

import itertools
import re
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from codec import CaeError
from codec.images import files, streams
from codec.images.png_chunks import make_chunk
from codec.images.streams import tiff
from codec.images.streams.bands import NotStreamableError

from .streaming import CAT, METADATA, PICTURES, ROOT, check_same, exif, read

pytestmark = pytest.mark.usefixtures("many_bands")


def refused(path: Path, pixels_max: int | None = None) -> str:
    with pytest.raises(CaeError) as error, streams.open_picture(path, pixels_max, whole_max=0) as source:
        for _ in source.bands:
            pass
    assert str(path) in str(error.value)
    return str(error.value)


def layouts():
    for compression, channels, tile, planar, big in itertools.product(
        (None, "lzw", "zlib", "packbits", "jpeg", "zstd"), PICTURES, (None, (64, 48)), ("contig", "separate"), (False, True)
    ):
        flat = channels == 1 and planar == "separate"
        unknown_to_pillow = compression is None and channels == 2 and planar == "separate"
        if (
            not flat
            and not unknown_to_pillow
            and not (compression == "jpeg" and (channels in (2, 4) or (tile and tile[1] % 16)))
        ):
            yield compression, channels, tile, planar, big


@pytest.mark.parametrize(("compression", "channels", "tile", "planar", "big"), list(layouts()))
def test_tiff_of_another_writer(tmp_path, compression, channels, tile, planar, big):
    pixels = PICTURES[channels]
    separate = planar == "separate"
    tifffile.imwrite(
        tmp_path / "cat.tif",
        np.moveaxis(pixels, 2, 0) if separate else pixels.squeeze(),
        photometric="rgb" if channels > 2 else "minisblack",
        compression=compression,
        predictor=2 if compression in ("lzw", "zlib") else None,
        tile=tile,
        rowsperstrip=None if tile else 16 if compression == "jpeg" else 8,
        planarconfig=planar if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        bigtiff=big,
        description="a cat",
    )
    check_same(tmp_path / "cat.tif")


MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB")
MODES_OF_TIFF = (
    dict.fromkeys(("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "tiff_lzma"), MODES)
    | dict.fromkeys(("group3", "group4"), ("1",))
    | {"jpeg": ("L", "RGB", "CMYK", "YCbCr")}
)
"""The modes in which Pillow writes TIFF files, by compression."""


@pytest.mark.parametrize(("compression", "mode"), [(name, mode) for name, modes in MODES_OF_TIFF.items() for mode in modes])
def test_tiff_of_pillow(tmp_path, mode, compression):
    image = Image.merge("RGBX", [Image.fromarray(CAT[..., 0])] * 4) if mode == "RGBX" else Image.fromarray(CAT).convert(mode)
    tags = Image.Exif()
    if compression == "raw":
        # Pillow cannot write them with others
        tags.load(METADATA["exif"])
    tags[274] = 1
    profile = None if mode == "CMYK" else METADATA["iccp"]  # by which it would be converted
    image.save(
        tmp_path / "cat.tif", compression=compression, strip_size=4096, icc_profile=profile, exif=tags, description="a cat"
    )
    # a strip of raw YCbCr is not followed row by row
    check_same(tmp_path / "cat.tif", several=(mode, compression) != ("YCbCr", "raw"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("rows", [90, 1000])
def test_tall_strips_flow(tmp_path, order, channels, planar, compression, rows):
    pixels = PICTURES[channels].squeeze()
    if planar == "separate":
        pixels = np.moveaxis(PICTURES[channels], 2, 0) if channels > 1 else pixels
    tifffile.imwrite(
        tmp_path / "cat.tif",
        pixels,
        byteorder=order,
        photometric="rgb" if channels > 2 else "minisblack",
        compression=compression,
        predictor=2 if compression else None,
        rowsperstrip=rows,
        planarconfig=planar if channels > 1 else None,
        extrasamples=["unassalpha"] if channels == 4 else None,
    )
    check_same(tmp_path / "cat.tif")


@pytest.mark.parametrize("mode", ["1", "P"])
def test_tall_strips_of_other_modes(tmp_path, mode):
    Image.fromarray(CAT).convert(mode).save(tmp_path / "cat.tif", strip_size=10**9)
    check_same(tmp_path / "cat.tif")


def test_tiff_that_is_read_whole(tmp_path):
    path = tmp_path / "cat.tif"
    Image.fromarray(CAT).save(path, exif=exif(t274=3))
    with streams.open_picture(path, whole_max=0) as source:
        assert np.array_equal(np.concatenate(list(source.bands)), files.read_image(path).pixels)
    line = refused(path, 1000)
    assert "its orientation has it turned" in line and "limit of 1000 for a file" in line and "PNG, PPM, PGM and .npy" in line


def test_tiff_of_strips_that_are_too_large(tmp_path):
    path = tmp_path / "cat.tif"
    Image.fromarray(CAT).save(path, compression="tiff_lzw", strip_size=10**9)
    with path.open("rb") as file, Image.open(file) as image:
        with pytest.raises(NotStreamableError, match="strips of 203 rows are too large"):
            tiff.open_bands(path, file, image, pieces_max=1000)
        assert np.array_equal(np.concatenate(list(tiff.open_bands(path, file, image).bands)), CAT)


def test_of_several_frames_the_first_is_taken(tmp_path):
    tifffile.imwrite(tmp_path / "two.tif", np.stack([CAT, CAT[::-1]]), photometric="rgb", rowsperstrip=16)
    with pytest.warns(RuntimeWarning, match="2 frames; only the first"):
        frame = read(tmp_path / "two.tif")
    assert np.array_equal(frame.colour, CAT)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("transparent", [False, True])
def test_png(tmp_path, mode, transparent):
    colour = {"1": 1, "L": 3, "RGB": tuple(CAT[0, 0].tolist()), "P": b"\0\x80\xff"}.get(mode)
    options = {"transparency": colour} if transparent and colour else {}
    Image.fromarray(CAT).convert(mode).save(tmp_path / "cat.png", exif=exif(), icc_profile=b"profile" * 50, **options)
    check_same(tmp_path / "cat.png")


def raw_png(bits: int, colour: int, *, width: int = 101, height: int = 333, others: bytes = b"") -> bytes:
    """Of random bytes, with all filters."""
    rng = np.random.default_rng(bits + colour)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = rng.integers(0, 256, (height, 1 + -(-width * bits * channels // 8)), np.uint8)
    rows[:, 0] = rng.integers(0, 5, height)
    header = make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    data = zlib.compress(rows.tobytes())
    parts = [make_chunk(b"IDAT", data[start : start + 5000]) for start in range(0, len(data), 5000)]
    return b"".join([b"\x89PNG\r\n\x1a\n", header, others, *parts, make_chunk(b"IEND")])


@pytest.mark.parametrize(
    ("bits", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (8, 2), (8, 4), (8, 6), (1, 3), (2, 3), (4, 3), (8, 3)]
)
@pytest.mark.parametrize("transparent", [False, True])
def test_every_filter_and_depth_of_png(tmp_path, bits, colour, transparent):
    others = b""
    if colour == 3:
        others += make_chunk(b"PLTE", np.random.default_rng(1).integers(0, 256, 3 * 2**bits, np.uint8).tobytes())
    if transparent and colour in (0, 2, 3):
        others += make_chunk(b"tRNS", {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: b"\0\x80"}[colour])
    (tmp_path / "noise.png").write_bytes(raw_png(bits, colour, others=others))
    check_same(tmp_path / "noise.png")


def test_png_metadata_after_the_pixels(tmp_path):
    path = tmp_path / "late.png"
    path.write_bytes(raw_png(8, 2)[:-12] + make_chunk(b"eXIf", exif()[6:]) + make_chunk(b"IEND"))
    assert "exif" in read(path).metadata
    check_same(path)


def test_png_that_is_read_whole(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(CAT).save(path, save_all=True, append_images=[Image.fromarray(CAT[::-1])])
    with pytest.warns(RuntimeWarning, match="2 frames"), streams.open_picture(path, whole_max=0) as source:
        assert np.array_equal(next(source.bands), CAT)
    assert "as it is animated" in refused(path, 1000)
    data = bytearray(raw_png(8, 2))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    assert "as it is interlaced" in refused(path, 1000)


@pytest.mark.parametrize(("mode", "suffix"), [("1", "pbm"), ("L", "pgm"), ("RGB", "ppm")])
def test_pnm(tmp_path, mode, suffix):
    path = tmp_path / f"cat.{suffix}"
    Image.fromarray(CAT).convert(mode).save(path)
    check_same(path)


def test_pnm_of_few_levels(tmp_path):
    path = tmp_path / "few.ppm"
    path.write_bytes(b"P6 # of 7 bits\n101 333 100\n" + (np.arange(101 * 333 * 3) % 101).astype(np.uint8).tobytes())
    check_same(path)


@pytest.mark.parametrize("channels", [0, *PICTURES])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_npy(tmp_path, channels, version):
    pixels = PICTURES[channels] if channels else CAT[..., 0]
    with open(tmp_path / "cat.npy", "wb") as file:
        np.lib.format.write_array(file, pixels, version)
    assert np.array_equal(read(tmp_path / "cat.npy").pixels, PICTURES[channels or 1])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (CAT.astype(float), "holds float64; convert it"),
        (CAT.astype(np.int16), "holds int16; convert it to uint8"),
        (CAT.T, r"has shape|column by column"),
        (np.zeros(5, np.uint8), "has shape"),
        (np.zeros((5, 0), np.uint8), "has shape"),
        (np.zeros((5, 5, 5), np.uint8), "1 to 4 channels, which come last; encode"),
        (np.array([{}]), "holds object"),
    ],
)
def test_npy_of_something_else(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    assert re.search(message, refused(tmp_path / "a.npy"))


@pytest.mark.parametrize("name", ["strips.tif", "tiles.tif", "plain.tif", "cat.png", "cat.ppm", "cat.npy"])
def test_truncated_and_damaged_files(tmp_path, monkeypatch, name):
    """Every cut is told of; other damage gives a CaeError or a picture of the same size, never anything else."""
    path = tmp_path / name
    if name.endswith(".tif"):
        compression = None if name == "plain.tif" else "zlib"
        tile = (64, 64) if name == "tiles.tif" else None
        tifffile.imwrite(path, CAT, photometric="rgb", compression=compression, tile=tile, rowsperstrip=None if tile else 16)
    elif name.endswith(".npy"):
        np.save(path, CAT)
    else:
        Image.fromarray(CAT).save(path)
    data = path.read_bytes()
    for size in np.linspace(0, len(data) - 20, 30).astype(int).tolist():
        path.write_bytes(data[:size])
        refused(path)
    rng = np.random.default_rng(0)
    for place in [*range(64), *rng.integers(64, len(data), 60).tolist()]:
        changed = bytearray(data)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with streams.open_picture(path, 10**6, whole_max=0) as source:
                    assert sum(len(band) for band in source.bands) == source.height
            except CaeError as error:
                assert str(path) in str(error)


def test_damaged_pixels_of_png_are_found(tmp_path):
    data = bytearray(raw_png(8, 2))
    data[20_000] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert "damaged" in refused(tmp_path / "a.png")


def test_strips_that_claim_to_be_huge(tmp_path):
    """A sparse file costs nothing on the disk, but would in memory."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, CAT, photometric="rgb", compression="zlib", rowsperstrip=8)
    with tifffile.TiffFile(path, mode="r+b") as file:
        sizes = list(file.pages[0].tags[279].value)
        file.pages[0].tags[279].overwrite([2**30, *sizes[1:]])
    with open(path, "r+b") as file:
        file.truncate(2**32)
    assert "holds more than its pixels" in refused(path)


def test_limits(tmp_path):
    (tmp_path / "wide.ppm").write_bytes(b"P5 70000 5000 255\n")
    (tmp_path / "tall.ppm").write_bytes(b"P5 5000 70000000 255\n")
    assert "70000 x 4096 pixels are more than the limit of 268435456 in a band" in refused(tmp_path / "wide.ppm")
    assert "truncated" in refused(tmp_path / "tall.ppm")
    assert "limit of 10000000" in refused(tmp_path / "tall.ppm", 10_000_000)
    Image.fromarray(CAT).save(tmp_path / "cat.jpg")
    line = refused(tmp_path / "cat.jpg", 1000)
    assert "limit of 1000 for a file that is read whole; TIFF, PNG" in line


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's count of memory")
@pytest.mark.parametrize(("suffix", "flow"), [("tif", False), ("tif", True), ("png", False), ("ppm", False), ("npy", False)])
def test_memory_does_not_grow_with_the_height(tmp_path, suffix, flow):
    """256 x 200,000 pixels of 3 bytes, 154 MB, written and read in a process of its own; with `flow`, in one tall strip."""
    script = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from benchmarks.core.measuring import peak_memory; from codec.images import streams\n"
        "cat = np.load(sys.argv[2])[:200, :256]; path = Path(sys.argv[1])\n"
        "if not path.exists(): streams.write_bands(path, (256, 200_000), 3, {}, (cat for _ in range(1000)), 2)\n"
        "before = peak_memory()\n"
        "with streams.open_picture(path) as source:\n"
        "    rows = sum(len(band) for band in source.bands)\n"
        "print(rows, before, peak_memory())"
    )
    np.save(tmp_path / "cat.npy", skimage.data.chelsea())
    path = tmp_path / f"tall.{suffix}"
    if flow:
        tall = np.tile(skimage.data.chelsea()[:200, :256], (1000, 1, 1))
        tifffile.imwrite(path, tall, photometric="rgb", compression="zlib", rowsperstrip=len(tall))
        with tifffile.TiffFile(path) as file:
            assert len(file.pages[0].dataoffsets) == 1
    result = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "cat.npy"], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert result.returncode == 0, result.stderr
    rows, written, read = (float(part) for part in result.stdout.split())
    assert rows == 200_000
    assert written < 130 and read < 170
