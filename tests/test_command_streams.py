"""The habits of the command line: standard streams, -o, what is kept of metadata, what is told."""

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, PngImagePlugin

import codec
from codec.commands import decode, encode, info
from codec.images.metadata import select_metadata

from .command_line import BIN, refused
from .conftest import TINY

SMALL = ("--weights", str(TINY), "-j", "1")
TURNED = Image.Exif()
TURNED[0x0112] = 6
TURNED[0x010E] = "a cat"


@pytest.fixture
def photograph(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(skimage.data.chelsea()[:60, :80]).save(path, exif=TURNED, icc_profile=b"profile")
    return path


@pytest.fixture
def encoded(tmp_path, photograph) -> Path:
    encode.main([str(photograph), "-o", str(tmp_path / "photo.cae"), *SMALL])
    return tmp_path / "photo.cae"


class _Stream(io.TextIOWrapper):
    """A standard stream that is no terminal."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(io.BytesIO(data))


def piped(monkeypatch, main, data: bytes, *arguments: str) -> bytes:
    """Runs a command on data as its standard input; returns its standard output."""
    monkeypatch.setattr(sys, "stdin", _Stream(data))
    with contextlib.redirect_stdout(_Stream()) as out:
        main([*arguments, *SMALL])
    return out.buffer.getvalue()


def test_standard_streams(monkeypatch, tmp_path, photograph, encoded):
    data = piped(monkeypatch, encode.main, photograph.read_bytes(), "-", "-")
    assert data == encoded.read_bytes()
    decoded = piped(monkeypatch, decode.main, data, "-", "-", "--format", "webp")
    with Image.open(io.BytesIO(decoded)) as image:
        assert (image.format, image.size) == ("WEBP", (80, 60))
    assert piped(monkeypatch, decode.main, data, "-", "-o", "-")[1:4] == b"PNG"
    monkeypatch.setattr(sys, "stdin", _Stream(data))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        info.main(["-", "--json"])
    assert json.loads(out.getvalue())["width"] == 80


def test_process(photograph, encoded):
    done = subprocess.run(
        [sys.executable, BIN / "cae-encode", "-", "-", *SMALL], input=photograph.read_bytes(), capture_output=True
    )
    assert (done.stdout, done.stderr) == (encoded.read_bytes(), b"")


def test_what_standard_streams_refuse(monkeypatch, capsys, photograph):
    monkeypatch.setattr(sys, "stdin", _Stream(b"no picture"))
    line = refused(capsys, encode.main, "-", photograph.with_suffix(".cae"), *SMALL)
    assert line == "cae-encode: standard input: not an image that Pillow can read"
    assert "empty" in refused(capsys, decode.main, "-", photograph, *SMALL)
    assert "standard output" in refused(capsys, encode.main, photograph, "-", "--json", *SMALL)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "input is a terminal" in refused(capsys, encode.main, "-", "-", *SMALL)
    assert "output is a terminal" in refused(capsys, encode.main, photograph, "-", *SMALL)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_named_pipes(tmp_path, photograph, encoded, capsys):
    """As inputs, also of many, and as outputs."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def feed(data: bytes) -> None:
        threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()

    feed(photograph.read_bytes())
    encode.main([str(pipe), str(tmp_path / "one.cae"), *SMALL])
    feed(photograph.read_bytes())
    encode.main([str(pipe), "-o", f"{tmp_path}/many/", *SMALL])
    assert (tmp_path / "one.cae").read_bytes() == (tmp_path / "many" / "pipe.cae").read_bytes() == encoded.read_bytes()
    feed(encoded.read_bytes())
    decode.main([str(pipe), str(tmp_path / "out.png"), *SMALL])
    feed(encoded.read_bytes())
    info.main([str(pipe)])
    assert "80" in capsys.readouterr().out
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "no digits")
    Image.new("L", (8, 8)).save(damaged := io.BytesIO(), "PNG", pnginfo=text)
    feed(damaged.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        encode.main([str(pipe), "-o", f"{tmp_path}/many/", *SMALL])
    warned, last = capsys.readouterr().err.splitlines()
    assert warned.startswith(f"cae-encode: warning: {pipe}: the EXIF block is damaged")
    assert last.startswith("cae-encode: 1 file, ") and "->" not in last
    feed(b"no picture")
    assert refused(capsys, encode.main, pipe, tmp_path / "bad.cae", *SMALL).startswith(f"cae-encode: {pipe}: not an image")
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    encode.main([str(photograph), str(pipe), *SMALL])
    reader.join(60)
    assert received == [encoded.read_bytes()]


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="has no /dev/stdin")
def test_system_names_of_standard_streams(photograph, encoded):
    for names in (("/dev/stdin", "/dev/stdout"), ("/dev/fd/0", "-")):
        done = subprocess.run(
            [sys.executable, BIN / "cae-encode", *names, *SMALL], input=photograph.read_bytes(), capture_output=True
        )
        assert (done.stdout, done.stderr) == (encoded.read_bytes(), b"")


def test_names_after_two_dashes(monkeypatch, tmp_path, photograph):
    monkeypatch.chdir(tmp_path)
    photograph.rename("-q.png")
    encode.main([*SMALL, "-o", "out.cae", "--", "-q.png"])
    encode.main([*SMALL, "--", "-q.png", "-x.cae"])
    assert Path("-x.cae").read_bytes() == Path("out.cae").read_bytes()


def test_no_overwrite(capsys, photograph, encoded):
    before = encoded.read_bytes()
    assert "exists" in refused(capsys, encode.main, photograph, encoded, "-q", 90, "--no-overwrite", *SMALL)
    assert "exists" in refused(capsys, decode.main, encoded, photograph, "--no-overwrite", *SMALL)
    assert encoded.read_bytes() == before
    with pytest.raises(SystemExit):
        encode.main([str(photograph), str(encoded), "--no-overwrite", "--json", *SMALL])
    facts = json.loads(capsys.readouterr().out)
    assert "exists" in facts["error"] and "skipped" not in facts
    encode.main([str(photograph), str(encoded), "-q", "90", *SMALL])
    assert encoded.read_bytes() != before


@pytest.mark.parametrize(
    ("options", "sections"), [((), ["exif", "iccp"]), (("--keep", "icc,xmp"), ["exif", "iccp"]), (("--strip",), ["exif"])]
)
def test_metadata_that_are_select_metadata(tmp_path, photograph, encoded, options, sections):
    """The orientation stays, since the picture would lie on its side without it."""
    out = tmp_path / "out.cae"
    encode.main([str(photograph), str(out), *options, *SMALL])
    assert sorted(codec.info(out.read_bytes()).metadata) == sections
    decode.main([str(encoded), str(tmp_path / "out.png"), *options, *SMALL])
    with Image.open(tmp_path / "out.png") as decoded:
        for image in (codec.decode_image(out.read_bytes(), weights=TINY), decoded):
            tags = image.getexif()
            assert (tags[0x0112], 0x010E in tags) == (6, not options)
            assert ("icc_profile" in image.info) == ("iccp" in sections)


def test_nothing_is_added():
    assert select_metadata({"xmp ": b"<x>"}, ()) == {} and select_metadata({"exif": b"II*\0"}, ("icc",)) == {}


def test_what_is_told(tmp_path, capsys, photograph, encoded):
    out, decoded = tmp_path / "out.cae", tmp_path / "out.png"
    encode.main([str(photograph), str(out), "--json", "-v", "-q", "30", *SMALL])
    output = capsys.readouterr()
    facts = json.loads(output.out)
    assert (facts["input"], facts["output"], facts["bytes"]) == (str(photograph), str(out), out.stat().st_size)
    assert (facts["width"], facts["height"], facts["mode"], facts["quality"]) == (80, 60, "RGB", 30)
    assert "80 x 60 RGB, quality 30" in output.err and len(output.err.splitlines()) == 1
    decode.main([str(encoded), str(decoded), "--json", *SMALL])
    assert json.loads(capsys.readouterr().out)["bytes"] == decoded.stat().st_size
    with pytest.raises(SystemExit):
        encode.main([str(tmp_path / "none.png"), str(out), "--json", *SMALL])
    assert "No such file" in json.loads(capsys.readouterr().out)["error"]


def test_lossless_files_have_no_quality(tmp_path, capsys, photograph):
    """They are told apart from files of quality 100, in all reports."""
    out = tmp_path / "out.cae"
    for options, lossless in ((["--lossless"], True), (["-q", "100"], False)):
        encode.main([str(photograph), str(out), "--json", "-v", *options, *SMALL])
        output = capsys.readouterr()
        assert json.loads(output.out)["lossless"] is lossless and ("RGB, lossless," in output.err) is lossless
        assert codec.info(out.read_bytes()).lossless is lossless
        info.main([str(out)])
        assert ("quality         lossless" in capsys.readouterr().out) is lossless


@pytest.mark.parametrize("options", [(), ("--target-size", "1k")])
def test_samples_beyond_the_depth_are_the_inputs_fault(tmp_path, capsys, options):
    np.save(tmp_path / "deep.npy", np.full((20, 30), 60_000, np.uint16))
    np.save(tmp_path / "eight.npy", np.full((20, 30), 200, np.uint8))
    for name, message in (("deep.npy", "a sample is 60000"), ("eight.npy", "depth 12: the picture has 8 bits")):
        line = refused(capsys, encode.main, tmp_path / name, tmp_path / "out.cae", "--depth", 12, *options, *SMALL)
        assert line.startswith(f"cae-encode: {tmp_path / name}: {message}") and "out.cae" not in line


@pytest.mark.filterwarnings("default")
def test_quiet(tmp_path, capsys, photograph):
    with Image.open(photograph) as image:
        image.save(tmp_path / "two.png", save_all=True, append_images=[image.rotate(180)])
    for options, warned in (((), True), (("--quiet",), False)):
        encode.main([str(tmp_path / "two.png"), str(tmp_path / "out.cae"), *options, *SMALL])
        assert ("only the first" in capsys.readouterr().err) == warned


@pytest.mark.parametrize("arguments", ["a.png", "-o out.cae", "a.png b.cae --keep gps", "a.cae b.png --strip --keep icc"])
def test_errors_of_arguments(capsys, arguments):
    refused(capsys, encode.main, *arguments.split())


@pytest.mark.parametrize("scale", ["3", "0", "-1/2", "1/3", "x", "1/0"])
def test_scales_that_are_none_are_errors_of_usage(tmp_path, capsys, encoded, scale):
    with pytest.raises(SystemExit) as stop:
        decode.main([str(encoded), str(tmp_path / "out.png"), f"--scale={scale}", *SMALL])
    assert stop.value.code == 2 and f"'{scale}' is not 2, 1, 1/2, 1/4 or 1/8" in capsys.readouterr().err


@pytest.mark.parametrize("main", [encode.main, decode.main, info.main])
def test_completion(capsys, main):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as stop:
        main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    assert not stop.value.code and "--json" in script and "_shtab_compgen_files" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
