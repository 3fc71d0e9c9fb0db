"""Files of the commands: what they refuse, what they leave alone, what reaches the output."""

import json
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from safetensors.numpy import load_file, save_file

from codec.commands import decode, encode, info
from codec.networks.weights import Weights

from .command_line import refused, run
from .conftest import TINY


def test_info_of_many_files(encoded, tmp_path, capsys):
    """Each is told of; those that are damaged make the command fail at its end."""
    data = encoded.read_bytes()
    good, bad, cut = (tmp_path / name for name in ("good.cae", "bad.cae", "cut.cae"))
    good.write_bytes(data)
    bad.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    cut.write_bytes(data[:-1])
    info.main([str(good), str(bad), "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == [str(good), str(bad)] and lines[0]["width"] == lines[1]["width"]
    with pytest.raises(SystemExit) as stop:
        info.main([str(path) for path in (good, bad, cut)] + ["--check", "--json"])
    output = capsys.readouterr()
    lines = [json.loads(line) for line in output.out.splitlines()]
    assert ["error" in line for line in lines] == [False, True, True] and lines[1]["damaged"]
    assert len(output.err.splitlines()) == 2 and "in 2 of 3 files" in str(stop.value.code)
    info.main([str(good), str(good)])
    assert capsys.readouterr().out.count(f"file            {good}") == 2


def test_wrong_weights_are_named(tmp_path, photograph, encoded, capsys):
    other = tmp_path / "other.safetensors"
    tensors = load_file(TINY)
    tensors["levels/log_gain"] = tensors["levels/log_gain"] + 1
    save_file(tensors, other, metadata=Weights.read(TINY).metadata)
    line = refused(capsys, decode.main, encoded, tmp_path / "out.png", "--weights", other)
    assert str(other) in line and "pass the weights file that made it" in line


def test_only_cae_files_are_replaced(tmp_path, photograph, capsys):
    """As `cae-encode *.png` would do with the second of two pictures."""
    other = tmp_path / "photo2.png"
    other.write_bytes(photograph.read_bytes())
    line = refused(capsys, encode.main, photograph, other, "--weights", TINY)
    assert str(other) in line and "--force" in line
    assert other.read_bytes() == photograph.read_bytes()
    for name in ("out", "out.cae.png", "cae"):
        assert "--force" in refused(capsys, encode.main, photograph, tmp_path / name, "--weights", TINY)
        assert not (tmp_path / name).exists()
    for name, options in (("out.CAE", ()), (".cae", ()), ("photo2.png", ("--force",)), ("out", ("--force",))):
        encode.main([str(photograph), str(tmp_path / name), "--weights", str(TINY), *options])
        assert (tmp_path / name).read_bytes()[:4] == (tmp_path / "out.CAE").read_bytes()[:4]
    assert "cannot be written as .cae; use" in refused(capsys, decode.main, tmp_path / "out.CAE", tmp_path / "other.cae")


def test_read_only_outputs(tmp_path, photograph, encoded, capsys):
    """Refused to root as well, before any work: the weights, which do not exist, are not missed."""
    target = tmp_path / "kept.png"
    target.write_bytes(b"old")
    (tmp_path / "kept.cae").write_bytes(b"old")
    target.chmod(0o444)
    (tmp_path / "kept.cae").chmod(0o444)
    lost = ("--weights", tmp_path / "none.safetensors")
    assert "read-only" in refused(capsys, decode.main, encoded, target, *lost)
    assert "read-only" in refused(capsys, encode.main, photograph, tmp_path / "kept.cae", "--force", *lost)
    assert target.read_bytes() == (tmp_path / "kept.cae").read_bytes() == b"old"
    target.chmod(0o640)
    decode.main([str(encoded), str(target), "--weights", str(TINY)])
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\x89CAE\x01", "is a .cae file already; decode it with cae-decode"),
        (b"%PDF-1.7", "is a PDF document"),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="x">', "is an SVG drawing"),
        (b"\xef\xbb\xbf<svg>", "is an SVG drawing"),
        (b"\0\0\0\x18ftypheic", "pip install pillow-heif"),
        (b"Dear reader", "not an image that Pillow can read"),
    ],
)
def test_inputs_of_other_kinds_are_named(tmp_path, monkeypatch, capsys, start, message):
    """The package for HEIC is named too if it is missing."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.png").write_bytes(start + bytes(100))
    assert message in refused(capsys, encode.main, tmp_path / "a.png", tmp_path / "a.cae")


def test_names_do_not_break_messages(tmp_path, photograph, capsys):
    name = "a\nb\x1b[31m\u2028\x85\r.png"
    escaped = r"a\nb\x1b[31m\u2028\x85\r.png"
    assert escaped in refused(capsys, encode.main, tmp_path / name, tmp_path / "out.cae")
    assert escaped in refused(capsys, encode.main, photograph, tmp_path / name)
    assert escaped in refused(capsys, info.main, tmp_path / name)
    with Image.open(photograph) as image:
        image.save(tmp_path / name, save_all=True, append_images=[image.rotate(180)])
    result = run("cae-encode", tmp_path / name, tmp_path / "out.cae", "--weights", TINY)
    assert result.returncode == 0
    (line,) = result.stderr.splitlines()
    assert escaped in line and "only the first" in line


def test_metadata_that_do_not_fit_are_left_out(tmp_path, photograph):
    with Image.open(photograph) as image:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", "<x>" + " " * 70_000 + "</x>")
        image.save(tmp_path / "tagged.png", pnginfo=text, icc_profile=b"profile")
    encode.main([str(tmp_path / "tagged.png"), str(tmp_path / "tagged.cae"), "--weights", str(TINY)])
    out = tmp_path / "out.jpg"
    result = run("cae-decode", tmp_path / "tagged.cae", out, "--weights", TINY)
    assert result.returncode == 0
    assert result.stderr == f"cae-decode: warning: {out}: this format does not take the XMP packet, which is left out\n"
    with Image.open(out) as image:
        assert image.info["icc_profile"] == b"profile"


def test_bad_input_to_encode(tmp_path, photograph, capsys):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("Dear reader")
    (tmp_path / "cut.png").write_bytes(photograph.read_bytes()[:3000])
    Image.new("F", (5, 5)).save(tmp_path / "float.tif")
    before = set(tmp_path.iterdir())
    out = tmp_path / "out.cae"
    for source, message in (
        ("none.png", "No such file"),
        ("empty.png", "not an image"),
        ("text.png", "not an image"),
        ("cut.png", "damaged|truncated"),
        ("float.tif", "floating-point numbers; scale them"),
        (".", "directory"),
    ):
        line = refused(capsys, encode.main, tmp_path / source, out)
        assert any(part in line for part in message.split("|")), line
        assert str(tmp_path / source) in line
    tiny = ("--weights", TINY)
    assert "0 is out of range; use 1 to 100" in refused(capsys, encode.main, photograph, out, "-q", 0, *tiny)
    assert "tile size 100" in refused(capsys, encode.main, photograph, out, "--tile", 100, *tiny)
    assert "--threads: 0" in refused(capsys, encode.main, photograph, out, "-j", 0, *tiny)
    assert "weights" in refused(capsys, encode.main, photograph, out, "--weights", photograph)
    assert "device 'tpu' is unknown" in refused(capsys, encode.main, photograph, out, "--device", "tpu")
    assert "folder" in refused(capsys, encode.main, photograph, tmp_path)
    assert "its own source" in refused(capsys, encode.main, photograph, photograph, "--force")
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
    missing = refused(capsys, decode.main, encoded, out)
    assert "needs the weights" in missing and "(--weights)" in missing
    assert "region" in refused(capsys, decode.main, encoded, out, "--region", "400,0,100,100", *tiny)
    assert "x,y,width,height" in refused(capsys, decode.main, encoded, out, "--region", "1,2,3", *tiny)
    assert "written as .xyz; use one of .png, .tif," in refused(capsys, decode.main, encoded, tmp_path / "out.xyz", *tiny)
    assert "no file suffix; use one of .png, .tif," in refused(capsys, decode.main, encoded, tmp_path / "out", *tiny)
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


def test_keep_going_fills_damaged_tiles(tmp_path, encoded):
    """They are named in one warning, and the rest of the picture is as it was."""
    data = encoded.read_bytes()
    damaged, whole, filled = tmp_path / "damaged.cae", tmp_path / "whole.png", tmp_path / "filled.png"
    damaged.write_bytes(data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])
    run("cae-decode", encoded, whole, "--weights", TINY)
    (line,) = run("cae-decode", damaged, filled, "--weights", TINY, "--keep-going").stderr.splitlines()
    assert line.startswith(f"cae-decode: warning: {damaged}: tile 11 (x 384, y 256, 67 x 44) is damaged")
    before, after = (np.asarray(Image.open(path)).astype(int) for path in (whole, filled))
    assert np.array_equal(before[:128], after[:128]) and np.array_equal(before[:, :256], after[:, :256])
    assert not np.array_equal(before[256:, 384:], after[256:, 384:])
