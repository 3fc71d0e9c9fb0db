"""The command lines on pictures that are read and written by pieces: memory, signals, full disks, progress."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from codec.commands import decode, encode
from codec.commands.batch.progress import PictureBar
from codec.images import files, streams

from .command_line import Terminal, refused
from .conftest import TINY

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 256, 200_000
SHORT = 70_000
"""Rows of a picture that is read by pieces as well."""
TINY_ON_CPU = ("--weights", str(TINY), "--device", "cpu", "-j", "2")
CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
limit = int(sys.argv[1])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from codec.commands import decode, encode
{"encode": encode, "decode": decode}[sys.argv[2]].main(sys.argv[3:])
from benchmarks.core.measuring import peak_memory
print(peak_memory())
"""
needs_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


def start(command: str, *arguments: object, limit: int = 0) -> subprocess.Popen:
    """A command in a process of its own, which ends by printing its peak memory in MB; `limit` bounds its files."""
    command_line = [sys.executable, "-c", CHILD, str(limit), command, *map(str, arguments), *TINY_ON_CPU]
    return subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def peak(command: str, *arguments: object) -> float:
    process = start(command, *arguments)
    out, messages = process.communicate(timeout=300)
    assert (process.returncode, messages) == (0, "")
    return float(out)


@pytest.fixture(scope="module")
def tall(tmp_path_factory) -> dict[int, tuple[Path, Path, float]]:
    """By height: a TIFF file, what `cae-encode` makes of it, and the memory that took."""
    folder = tmp_path_factory.mktemp("tall")
    cat = skimage.data.chelsea()[:200, :WIDTH]
    made = {}
    for height in (SHORT, HEIGHT):
        source, coded = folder / f"{height}.tif", folder / f"{height}.cae"
        streams.write_bands(source, (WIDTH, height), 3, {"iccp": b"profile"}, [cat] * (height // 200), 2)
        made[height] = source, coded, peak("encode", source, coded)
    return made


@needs_linux
def test_memory_does_not_grow_with_the_height(tmp_path, tall):
    """Twice 100 MB of pixels lie between the two heights."""
    assert tall[HEIGHT][2] - tall[SHORT][2] < 50
    peaks = [peak("decode", tall[height][1], tmp_path / f"{height}.tif") for height in (SHORT, HEIGHT)]
    assert peaks[1] - peaks[0] < 50


def test_large_files_hold_what_small_ones_would(tmp_path, tall, tiny, capsys):
    """Bit by bit, with their metadata where the format has a place for them, and a warning where not."""
    source, coded, _ = tall[SHORT]
    data, picture = coded.read_bytes(), files.read_image(source)
    assert data == tiny.encode(picture.pixels, metadata=picture.metadata)
    region = (0, 1000, WIDTH, 66_000)
    expected = tiny.decode(data)[1000:67_000]
    for suffix in ("tif", "png", "ppm", "npy"):
        out = tmp_path / f"out.{suffix}"
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            run(decode, coded, out, "--region", ",".join(map(str, region)))
        assert ("does not take the ICC profile" in capsys.readouterr().err) == (suffix in ("ppm", "npy"))
        decoded = np.load(out) if suffix == "npy" else files.read_image(out).pixels
        assert np.array_equal(decoded, expected)
        if suffix in ("tif", "png"):
            assert files.read_image(out).metadata["iccp"] == b"profile"


def run(module, *arguments: object) -> None:
    module.main([*map(str, arguments), *TINY_ON_CPU])


def test_a_small_npy(tmp_path, tiny):
    pixels = skimage.data.chelsea()
    np.save(tmp_path / "cat.npy", pixels)
    run(encode, tmp_path / "cat.npy", tmp_path / "cat.cae", "-q", 70)
    run(decode, tmp_path / "cat.cae", tmp_path / "out.npy")
    assert np.array_equal(np.load(tmp_path / "out.npy"), tiny.decode(tiny.encode(pixels, 70)))


@needs_linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_signal_in_the_middle(tmp_path, tall, command, number):
    source = tall[HEIGHT][0 if command == "encode" else 1]
    out = tmp_path / ("out.cae" if command == "encode" else "out.tif")
    out.write_bytes(b"old")
    process = start(command, source, out)
    wait = under_way if command == "encode" else begun
    for _ in range(1200):
        if wait(process, source, tmp_path):
            break
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    messages = process.communicate(timeout=100)[1]
    assert (process.returncode, messages) == (128 + number, "")
    assert out.read_bytes() == b"old" and list(tmp_path.iterdir()) == [out]


def under_way(process: subprocess.Popen, source: Path, _folder: Path) -> bool:
    """True once a process has read a quarter of a file."""
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            if os.readlink(link) == str(source):
                position = Path(f"/proc/{process.pid}/fdinfo/{link.name}").read_text().split()[1]
                return int(position) > source.stat().st_size // 4
        except FileNotFoundError:
            continue
    return False


def begun(_process: subprocess.Popen, _source: Path, folder: Path) -> bool:
    """True once an unfinished output holds 100 KB."""
    return any(path.name.endswith(".partial") and path.stat().st_size > 100_000 for path in folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_disk_that_is_full(tmp_path, tall, command):
    out = tmp_path / ("out.cae" if command == "encode" else "out.tif")
    out.write_bytes(b"old")
    process = start(command, tall[SHORT][0 if command == "encode" else 1], out, limit=200_000)
    messages = process.communicate(timeout=100)[1]
    assert (process.returncode, messages) == (1, f"cae-{command}: {out}: File too large\n")
    assert out.read_bytes() == b"old" and list(tmp_path.iterdir()) == [out]


def test_damage_far_down(tmp_path, tall, capsys):
    source, coded, _ = tall[SHORT]
    (tmp_path / "cut.tif").write_bytes(source.read_bytes()[:-5000])
    line = refused(capsys, encode.main, tmp_path / "cut.tif", tmp_path / "out.cae", *TINY_ON_CPU)
    assert "cut.tif: truncated" in line
    data = bytearray(coded.read_bytes())
    data[-100] ^= 1
    (tmp_path / "bad.cae").write_bytes(data)
    line = refused(capsys, decode.main, tmp_path / "bad.cae", tmp_path / "out.tif", *TINY_ON_CPU)
    assert "bad.cae: tile 68 is damaged" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.cae", "cut.tif"]


def test_limits_that_are_given_hold(tmp_path, tall, capsys):
    source, coded, _ = tall[SHORT]
    for main, input_path, out in ((encode.main, source, "out.cae"), (decode.main, coded, "out.tif")):
        line = refused(capsys, main, input_path, tmp_path / out, "--max-pixels", 10**7, *TINY_ON_CPU)
        assert f"{input_path}: 256 x 70000 pixels are more than the limit of 10000000 (--max-pixels)" in line
    line = refused(capsys, decode.main, coded, tmp_path / "out.bmp", "--max-pixels", 10**7, *TINY_ON_CPU)
    assert ".bmp files, which are written whole; TIFF, PNG, PPM, PGM and .npy" in line
    assert list(tmp_path.iterdir()) == []


def test_progress_on_a_terminal():
    bands = [np.zeros((1000, 1000, 3), np.uint8)] * 10
    with contextlib.redirect_stderr(Terminal()) as terminal:
        for number, band in enumerate(PictureBar(False, delay=0.3).track_bands(bands, 10**7, "a\ncat.tif")):
            assert band is bands[number]
            if number == 1:
                assert terminal.getvalue() == ""
            time.sleep(0.15)
    shown = terminal.getvalue()
    assert r"a\ncat.tif" in shown and "/10.0 MP" in shown and "MP/s" in shown and "left" in shown


@pytest.mark.parametrize("pixels", [150_000, None])
def test_work_on_a_terminal(pixels):
    """Parts whose sum comes out above the whole, as floats have it, are no cause for a warning; nor is no known whole."""
    bar = PictureBar(False, delay=0.0)
    with contextlib.redirect_stderr(Terminal()) as terminal, bar.track_work(pixels, "cat.tif") as count:
        for _ in range(3):
            count(50_000.0001)
    assert "cat.tif" in terminal.getvalue()


def test_bars_move_within_pictures_that_are_held_whole(tmp_path, monkeypatch):
    """By tiles and rows of tiles, for every kind of encode, and for decodes to formats that are written whole."""
    counted: list[float] = []

    @contextlib.contextmanager
    def track_work(self, pixels, name):
        counted.clear()
        yield lambda count: counted.append(count) if count else None

    monkeypatch.setattr(PictureBar, "track_work", track_work)
    source, coded, area = tmp_path / "a.png", tmp_path / "a.cae", 1300 * 150
    Image.fromarray(np.tile(skimage.data.chelsea()[:150, :100], (1, 13, 1)).swapaxes(0, 1)).save(source)
    for options, tries in ((), 1), (("--lossless",), 1), (("--target-size", "10k"), 2), (("-e", "1"), 1):
        encode.main([str(source), str(coded), "--tile", "128", *options, *TINY_ON_CPU])
        assert sum(counted) >= tries * area - 1 and max(counted) <= area / 10
        assert tries > 1 or sum(counted) == pytest.approx(area)
    for options, share in ((), 1), (("--scale", "1/2"), 1 / 4), (("--region", "0,0,100,1200"), 120_000 / area):
        decode.main([str(coded), str(tmp_path / "b.png"), *options, *TINY_ON_CPU])
        assert sum(counted) == pytest.approx(share * area) and len(counted) > 1


def test_no_progress_elsewhere(capsys):
    for _ in PictureBar(False, delay=0.0).track_bands([np.zeros((10, 10, 3), np.uint8)] * 5, 500, "cat"):
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")
