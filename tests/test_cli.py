"""The command lines as a user runs them: files in, files out, one line for every mistake."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, PngImagePlugin
from safetensors.numpy import load_file, save_file

from codec.cli import messages, values
from codec.commands import decode, encode, info, serve
from codec.images import streams
from codec.networks.weights import Weights
from codec.options import WRITABLE_SUFFIXES
from codec.runtime.atomic_write import atomic_write

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
    "command",
    ["cae-encode --help", "cae-decode --help", "cae-info --help", "cae-inspect --help", "cae-train --help", "cae-info FILE"],
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
    code = "import os; from codec.cli.messages import report_errors\n"
    code += "with report_errors('x'): print(os.environ.get('GOMP_SPINCOUNT', ''))"
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
    for arguments in ([encoded], *([["--print-completion", "zsh"]] if find_spec("shtab") else [])):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, BIN / "cae-info", *arguments]
        result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        assert result.stderr == ""
        assert result.returncode == 128 + 13


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
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert ["error" in line for line in lines] == [False, True, True] and lines[1]["damaged"]
    assert len(told.err.splitlines()) == 2 and "in 2 of 3 files" in str(stop.value.code)
    info.main([str(good), str(good)])
    assert capsys.readouterr().out.count(f"file            {good}") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_no_partial_file(tmp_path, number):
    """As Ctrl-C does, they end the command by way of the code that removes the file begun."""
    # whoever runs the tests may be ignoring it, as nohup does
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with (
            pytest.raises(SystemExit) as stop,
            messages.report_errors("cae-decode"),
            atomic_write(tmp_path / "out.png") as file,
        ):
            file.write(b"half")
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)
    assert stop.value.code == 128 + number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
def test_nohup_is_heeded(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with messages.report_errors("cae-decode"), atomic_write(tmp_path / "out.png") as file:
            os.kill(os.getpid(), signal.SIGHUP)
            file.write(b"whole")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "out.png").read_bytes() == b"whole"


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
    line = code if isinstance(code, str) else capsys.readouterr().err.removesuffix("\n")
    assert isinstance(code, str) or code == 2
    assert len(line.splitlines()) == 1 and line.isprintable()
    return line


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
    ("command", "message"),
    [
        ("cae-encode", "IN, OUT"),
        ("cae-encode a.png b.cae c\nd.png", r"c\nd.png"),
        ("cae-encode a.png b.cae --quality x\ny", "quality"),
        ("cae-decode a.cae b.png --device\n", "--device"),
        ("cae-decode a.cae b.png --region 1,2", "x,y,width,height"),
        ("cae-decode a.cae b.png --scale 1/0", "1/2, 1/4 or 1/8"),
        ("cae-encode a.png b.cae -q 0", "0 is out of range; use 1 to 100"),
        ("cae-encode a.png b.cae -e 10", "10 is out of range; use 1 to 9"),
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
        "--lossless --tune ms-ssim",
        "--lossless --denoise",
        "--lossless --encoder x.safetensors",
        "--lossless -e 3 --tune ms-ssim",
        "--denoise -e 9",
        "--denoise --target-psnr 36",
        "--denoise --tune ms-ssim",
        "--strip --keep exif,icc,xmp",  # all are the default
        "-v --quiet",
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


@pytest.mark.parametrize("name", ["numpy", "PIL", "torch"])
def test_missing_modules_are_named(tmp_path, photograph, name):
    code = f"import runpy, sys; sys.modules['{name}'] = None; sys.argv = sys.argv[1:]\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    arguments = [BIN / "cae-encode", photograph, tmp_path / "out.cae"]
    result = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"cae-encode: the module {name}") and len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
@pytest.mark.parametrize("delay", [0.08, 0.2, 0.5])
def test_interrupts_at_the_start_are_quiet(tmp_path, photograph, delay):
    command = [sys.executable, BIN / "cae-encode", photograph, tmp_path / "out.cae", "--weights", TINY]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert str(BIN) not in errors  # a traceback of Python's own start, before any code of ours, cannot be helped


def test_installed_commands_start_where_interrupts_are_quiet():
    """Ctrl-C is quiet from the entry point on, and that imports nothing that takes long before it."""
    scripts = tomllib.loads((BIN.parent / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {path.name for path in BIN.iterdir()}
    assert set(scripts.values()) == {f"codec.commands.start:{name.removeprefix('cae-')}" for name in scripts}
    slow = "{'numpy', 'PIL', 'torch', 'argparse', 'importlib.resources'}"
    code = f"import sys, codec.commands.start; print(*{slow} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == ""
    code = "import os, signal, sys; from codec.commands import start\n"
    code += "start.import_module = lambda name: os.kill(os.getpid(), signal.SIGINT)\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler); start.encode()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (-signal.SIGINT, "")


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
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "a.png").write_bytes(start + bytes(100))
    assert message in refused(capsys, encode.main, tmp_path / "a.png", tmp_path / "a.cae")


def test_formats_are_listed_in_the_help(capsys):
    for main, names in ((decode.main, WRITABLE_SUFFIXES), (encode.main, ("HEIC", "pillow-heif", "pillow-jxl-plugin"))):
        with pytest.raises(SystemExit):
            main(["--help"])
        text = capsys.readouterr().out
        assert all(name in text for name in names)
    assert all(streams.check_format(Path(f"a{suffix}")) for suffix in WRITABLE_SUFFIXES)


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


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("command", ["cae-encode", "cae-decode"])
def test_a_disk_that_is_full(tmp_path, photograph, encoded, command):
    source, name = (photograph, "out.cae") if command == "cae-encode" else (encoded, "out.png")
    (tmp_path / name).write_bytes(b"old")
    before = set(tmp_path.iterdir())
    script = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); sys.argv = sys.argv[1:]\n"
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    arguments = [BIN / command, source, tmp_path / name, "--weights", TINY]
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, f"{command}: {tmp_path / name}: File too large\n")
    assert (tmp_path / name).read_bytes() == b"old"
    assert set(tmp_path.iterdir()) == before


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
    assert "needs the weights" in refused(capsys, decode.main, encoded, out)
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
    decode.main([str(encoded), str(whole), "--weights", str(TINY)])
    (line,) = run("cae-decode", damaged, filled, "--weights", TINY, "--keep-going").stderr.splitlines()
    assert line.startswith(f"cae-decode: warning: {damaged}: tile 11 (x 384, y 256, 67 x 44) is damaged")
    before, after = (np.asarray(Image.open(path)).astype(int) for path in (whole, filled))
    assert np.array_equal(before[:128], after[:128]) and np.array_equal(before[:, :256], after[:, :256])
    assert not np.array_equal(before[256:, 384:], after[256:, 384:])
