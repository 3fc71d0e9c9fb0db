"""Options of the commands: their values, contradictions and help."""

import argparse
import sys
from pathlib import Path

import pytest

from codec.cli import values
from codec.commands import decode, encode, serve
from codec.images import streams
from codec.options import WRITABLE_SUFFIXES

from .command_line import refused, run


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("cae-encode", "IN, OUT"),
        ("cae-encode a.png b.cae c\nd.png", r"c\nd.png"),
        ("cae-encode a.png b.cae --quality x\ny", "quality"),
        ("cae-decode a.cae b.png --device\n", "--device"),
        ("cae-decode a.cae b.png --region 1,2", "x,y,width,height"),
        ("cae-decode a.cae b.png --scale 1/0", "1/2, 1/4 or 1/8"),
        ("cae-encode a.png b.cae -q 0", "0 is out of range; use 1 to 100"),
        ("cae-encode a.png b.cae -e 6", "6 is out of range; use 1 to 5"),
        ("cae-encode a.png b.cae --depth 7", "7 is out of range; use 8 to 16"),
        ("cae-encode a.png b.cae --tile 100", "multiple of 64"),
        ("cae-encode a.png b.cae -j 0", "0 is out of range; use 1 or more"),
        ("cae-encode a.png b.cae --device tpu", "device 'tpu' is unknown"),
        ("cae-encode a.png b.cae --target-bpp nan", "not a number above 0"),
        ("cae-encode a.png b.cae --target-size 20x", "'20x' is not a size; write 200000, 200k or 1.5M"),
        ("cae-encode a.png b.cae --max-pixels 0", "'0' is not a number of pixels"),
        ("cae-encode a.png b.cae --scheduler tcp://x:1", "many files"),
        ("cae-encode a.png - -o folder/", "standard streams"),
        ("cae-inspect default a.png b.png --quality 0", "0 is out of range"),
        ("cae-info a.cae --weights w.safetensors", "--bits"),
        ("cae-train images run --steps -1", "budget"),
        ("cae-info", "FILE"),
        ("cae-train images run", "--steps --minutes"),
        ("cae-train images run --steps many", "steps"),
    ],
)
def test_errors_of_arguments_are_one_line(command, message):
    name, *arguments = command.split(" ")
    result = run(name, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1 and result.stderr.endswith("\n")
    assert message in result.stderr and result.stderr.startswith(f"{name}: ") and f"{name} --help" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        "--lossless -q 50",  # 50 is the default
        "-q 50 --lossless",
        "-q 50 --target-size 10k",
        "-q 30 --target-bpp 1",
        "--target-psnr 36 -q 50",
        "--lossless --target-size 10k",
        "--lossless -e 3",
        "--lossless --tune psnr",
        "--lossless --denoise",
        "--lossless --encoder x.safetensors",
        "--lossless -e 3 --tune psnr",
        "--denoise -e 5",
        "--denoise --target-psnr 36",
        "--denoise --encoder x.safetensors",
        "--tune psnr --weights x.safetensors",
        "--strip --keep exif,icc,xmp",  # all are the default
        "-v --quiet",
        "--update --no-overwrite",
    ],
)
def test_options_that_contradict_each_other(capsys, options):
    with pytest.raises(SystemExit) as stop:
        encode.main(["a.png", "b.cae", *options.split()])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not allowed with" in line or "exclude each other" in line


@pytest.mark.parametrize(
    ("text", "size"),
    {
        "200000": 200_000,
        "20k": 20_000,
        "20K": 20_000,
        "20kb": 20_000,
        "20 kB": 20_000,
        "20KiB": 20_480,
        "20ki": 20_480,
        "1.5m": 1_500_000,
        "2G": 2 * 10**9,
        "7b": 7,
        "0": None,
        "-1": None,
        "1e3": None,
        "k": None,
    }.items(),
)
def test_sizes(text, size):
    for parse in (values.parse_bytes, values.parse_pixels):
        written = text.replace("b", "px").replace("B", "P") if parse is values.parse_pixels else text
        if size is None:
            with pytest.raises(argparse.ArgumentTypeError, match="is not a"):
                parse(written)
        else:
            assert parse(written) == size


def test_extras_are_advised_as_a_checkout_has_them(tmp_path, monkeypatch, capsys):
    """No registry has the package."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install '.[serve]'" in refused(capsys, serve.main, tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    (tmp_path / "a.png").touch()
    line = refused(capsys, encode.main, tmp_path, "-o", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")
    assert "pip install '.[dask]'" in line


def test_formats_are_listed_in_the_help(capsys):
    for main, names in ((decode.main, WRITABLE_SUFFIXES), (encode.main, ("HEIC", "pillow-heif", "pillow-jxl-plugin"))):
        with pytest.raises(SystemExit):
            main(["--help"])
        text = capsys.readouterr().out
        assert all(name in text for name in names)
    assert all(streams.output_format(Path(f"a{suffix}")) for suffix in WRITABLE_SUFFIXES)
