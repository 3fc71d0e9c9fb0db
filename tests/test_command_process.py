"""Commands as processes: exit status, standard streams, signals and full disks."""

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
from PIL import Image

from codec.cli import messages
from codec.runtime.atomic_write import atomic_write

from .command_line import BIN, run
from .conftest import TINY, psnr


def test_whole_commands(tmp_path, photograph):
    encoded, decoded = tmp_path / "photo.cae", tmp_path / "decoded.png"
    assert run("cae-encode", photograph, encoded, "-q", 60, "-j", 1, "--device", "cpu").stderr == ""
    assert run("cae-decode", encoded, decoded).stderr == ""
    original = np.asarray(Image.open(photograph))
    assert psnr(np.asarray(Image.open(decoded)), original) > 31
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


@pytest.mark.parametrize(("env", "expected"), [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "x"}, "")])
def test_waiting_threads_do_not_spin_for_long(env, expected):
    """Else two processes on the same processors slow each other down many times; what the user set stays."""
    code = "import os; from codec.cli.messages import report_errors\n"
    code += "with report_errors('x'): print(os.environ.get('GOMP_SPINCOUNT', ''))"
    others = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=others | env)
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


@pytest.mark.parametrize("name", ["numpy", "PIL"])
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
