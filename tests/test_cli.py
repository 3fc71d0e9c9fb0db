"""The command lines as a user runs them: files in, files out, one line for every mistake."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from safetensors.numpy import load_file, save_file

from codec.commands import common, decode, encode, info
from codec.networks.weights import Weights
from codec.outputs import replacing

from .conftest import TINY, psnr

BIN = Path(__file__).parents[1] / "bin"


def run(name: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, BIN / name, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def photograph(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(skimage.data.chelsea()).save(path)
    return path


@pytest.fixture
def encoded(tmp_path, photograph) -> Path:
    path = tmp_path / "photo.cae"
    encode.main([str(photograph), str(path), "--weights", str(TINY), "--tile", "128"])
    return path


def test_whole_commands(tmp_path, photograph):
    encoded, decoded = tmp_path / "photo.cae", tmp_path / "decoded.png"
    assert run("cae-encode", photograph, encoded, "-q", 60, "-j", 1, "--device", "cpu").stderr == ""
    assert run("cae-decode", encoded, decoded).stderr == ""
    original = np.asarray(Image.open(photograph))
    assert psnr(np.asarray(Image.open(decoded)), original) > 32
    assert run("cae-decode", encoded, tmp_path / "part.png", "--region", "10,20,30,40").returncode == 0
    part = np.asarray(Image.open(tmp_path / "part.png"))
    assert np.array_equal(part, np.asarray(Image.open(decoded))[20:60, 10:40])
    facts = json.loads(run("cae-info", encoded, "--json").stdout)
    assert (facts["width"], facts["height"], facts["quality"]) == (451, 300, 60)
    assert "bits per pixel" in run("cae-info", encoded).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoded.png", "part.png", "photo.cae", "photo.png"]


@pytest.mark.parametrize(
    "command", ["cae-encode --help", "cae-decode --help", "cae-info --help", "cae-train --help", "cae-info FILE"]
)
def test_answers_without_torch(encoded, command):
    name, argument = command.split()
    code = f"import runpy, sys; sys.argv = ['{name}', r'{encoded if argument == 'FILE' else argument}']\n"
    code += f"try: runpy.run_path(r'{BIN / name}', run_name='__main__')\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules, 'torch was imported'"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize(("given", "expected"), [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "x"}, "")])
def test_waiting_threads_do_not_spin_for_long(given, expected):
    """Else two processes on the same processors slow each other down many times; what the user set stays."""
    code = "import os, codec; codec.encode; print(os.environ.get('GOMP_SPINCOUNT', ''))"
    others = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=others | given)
    assert result.stdout.strip() == expected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written(encoded):
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, BIN / "cae-info", encoded], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and "No space left" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="closes a stream by the shell")
def test_without_an_output_stream(encoded):
    command = f"'{sys.executable}' '{BIN / 'cae-info'}' '{encoded}' >&-"
    result = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_reader_that_has_enough(encoded):
    """`cae-info FILE | true` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([sys.executable, BIN / "cae-info", encoded], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert result.stderr == ""
    assert result.returncode == 128 + 13


def test_sigterm_leaves_no_partial_file(tmp_path, monkeypatch):
    """As Ctrl-C does, it ends the command by way of the code that removes the file begun."""
    with pytest.raises(SystemExit) as stop, common.reporting("cae-decode"), replacing(tmp_path / "out.png") as file:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == 143
    assert list(tmp_path.iterdir()) == []


def test_wrong_weights_are_named(tmp_path, photograph, encoded, capsys):
    other = tmp_path / "other.safetensors"
    tensors = load_file(TINY)
    tensors["levels/log_gain"] = tensors["levels/log_gain"] + 1
    save_file(tensors, other, metadata=Weights.read(TINY).metadata)
    line = refused(capsys, decode.main, encoded, tmp_path / "out.png", "--weights", other)
    assert str(other) in line and "pass the weights file that made it" in line


def refused(capsys, main, *arguments: object) -> str:
    """The one line on stderr with which a command fails."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    code = stop.value.code
    if isinstance(code, str):
        assert "\n" not in code
        return code
    assert code == 2
    return capsys.readouterr().err


def test_bad_input_to_encode(tmp_path, photograph, capsys):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("Dear reader")
    (tmp_path / "cut.png").write_bytes(photograph.read_bytes()[:3000])
    Image.new("I;16", (5, 5)).save(tmp_path / "deep.png")
    before = set(tmp_path.iterdir())
    out = tmp_path / "out.cae"
    for source, message in (
        ("none.png", "No such file"),
        ("empty.png", "not an image"),
        ("text.png", "not an image"),
        ("cut.png", "damaged|truncated"),
        ("deep.png", "8 bits"),
        (".", "directory"),
    ):
        line = refused(capsys, encode.main, tmp_path / source, out)
        assert any(part in line for part in message.split("|")), line
        assert str(tmp_path / source) in line
    tiny = ("--weights", TINY)
    assert "quality 0" in refused(capsys, encode.main, photograph, out, "-q", 0, *tiny)
    assert "tile size 100" in refused(capsys, encode.main, photograph, out, "--tile", 100, *tiny)
    assert "threads" in refused(capsys, encode.main, photograph, out, "-j", 0, *tiny)
    assert "weights" in refused(capsys, encode.main, photograph, out, "--weights", photograph)
    assert "invalid choice" in refused(capsys, encode.main, photograph, out, "--device", "tpu")
    assert "folder" in refused(capsys, encode.main, photograph, tmp_path)
    assert "its own source" in refused(capsys, encode.main, photograph, photograph)
    assert "does not exist" in refused(capsys, encode.main, photograph, tmp_path / "none" / "out.cae")
    assert "limit of 1000 (--max-pixels)" in refused(capsys, encode.main, photograph, out, "--max-pixels", 1000)
    assert set(tmp_path.iterdir()) == before


def test_too_many_pixels_to_decode(tmp_path, encoded, capsys):
    out = tmp_path / "out.png"
    assert "--max-pixels" in refused(capsys, decode.main, encoded, out, "--weights", TINY, "--max-pixels", 1000)
    assert not out.exists()


def test_bad_input_to_decode(tmp_path, photograph, encoded, capsys):
    data = encoded.read_bytes()
    (tmp_path / "empty.cae").write_bytes(b"")
    (tmp_path / "cut.cae").write_bytes(data[: len(data) // 2])
    (tmp_path / "flipped.cae").write_bytes(data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])
    (tmp_path / "newer.cae").write_bytes(data[:4] + b"\x02" + data[5:])
    before = set(tmp_path.iterdir())
    out = tmp_path / "out.png"
    tiny = ("--weights", TINY)
    for source, message in (
        ("none.cae", "No such file"),
        ("empty.cae", "empty"),
        ("cut.cae", "cut off"),
        ("flipped.cae", "damaged"),
        ("newer.cae", "version 2"),
        ("photo.png", "not a .cae file"),
        (".", "directory"),
    ):
        line = refused(capsys, decode.main, tmp_path / source, out, *tiny)
        assert message in line, line
        assert str(tmp_path / source) in line
    assert "needs the weights" in refused(capsys, decode.main, encoded, out)
    assert "region" in refused(capsys, decode.main, encoded, out, "--region", "400,0,100,100", *tiny)
    assert "x,y,width,height" in refused(capsys, decode.main, encoded, out, "--region", "1,2,3", *tiny)
    assert "image format" in refused(capsys, decode.main, encoded, tmp_path / "out.xyz", *tiny)
    assert "image format" in refused(capsys, decode.main, encoded, tmp_path / "out", *tiny)
    assert "empty" in refused(capsys, info.main, tmp_path / "empty.cae")
    assert set(tmp_path.iterdir()) == before


def test_unsupported_mode_leaves_no_file(tmp_path, photograph, capsys):
    """JPEG takes no alpha: the error comes in the middle of writing."""
    image = Image.open(photograph)
    image.putalpha(100)
    image.save(tmp_path / "alpha.png")
    encode.main([str(tmp_path / "alpha.png"), str(tmp_path / "alpha.cae"), "--weights", str(TINY)])
    before = set(tmp_path.iterdir())
    line = refused(capsys, decode.main, tmp_path / "alpha.cae", tmp_path / "out.jpg", "--weights", TINY)
    assert "RGBA" in line
    assert set(tmp_path.iterdir()) == before


def test_metadata_reaches_the_decoded_file(tmp_path, photograph):
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    Image.open(photograph).save(tmp_path / "tagged.png", exif=exif, icc_profile=b"profile")
    encode.main([str(tmp_path / "tagged.png"), str(tmp_path / "tagged.cae"), "--weights", str(TINY)])
    for suffix in ("png", "jpg", "webp"):
        out = tmp_path / f"out.{suffix}"
        decode.main([str(tmp_path / "tagged.cae"), str(out), "--weights", str(TINY)])
        with Image.open(out) as image:
            assert image.getexif()[0x010E] == "a cat"
            assert image.info["icc_profile"] == b"profile"
