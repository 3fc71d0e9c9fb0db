"""Killed processes, full disks and unwritable folders: whatever befalls a command, what was there before stays as it was."""

import io
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from codec.cli import messages
from codec.commands import decode, encode
from codec.runtime import atomic_write

from .conftest import TINY
from .forging import forked

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]
NOBODY = 65534
OLD = b"what was there before"
COMMANDS = ("encode", "decode", "encode many", "decode many")


class Work:
    """A folder with three pictures, coded and not, and old files in the places of what a command makes."""

    def __init__(self, folder: Path, command: str) -> None:
        main, _, many = command.partition(" ")
        source, target = (".png", ".cae") if main == "encode" else (".cae", ".png")
        self.main = {"encode": encode.main, "decode": decode.main}[main]
        inputs, self.out = folder / "in", folder / "out"
        for made in (inputs, self.out):
            made.mkdir()
            made.chmod(0o755)
        for number, name in enumerate("abc"):
            Image.fromarray(skimage.data.chelsea()[number * 50 : number * 50 + 90, :130]).save(inputs / f"{name}.png")
        if main == "decode":
            encode.main([str(inputs), "-o", str(inputs), *self.options])
        self.targets = [self.out / f"{name}{target}" for name in ("abc" if many else "a")]
        for path in self.targets:
            path.write_bytes(OLD)
        self.arguments = [str(inputs), "-o", str(self.out)] if many else [str(inputs / f"a{source}"), str(self.targets[0])]

    options = ("--weights", str(TINY), "--device", "cpu", "-j", "2")

    def run(self) -> None:
        """Runs the command, as in a process of its own."""
        self.main([*self.arguments, *self.options])

    def untouched(self) -> bool:
        """True if all old files are as they were."""
        return all(path.read_bytes() == OLD for path in self.targets)

    def left(self) -> set[str]:
        """Names of what is in the folder besides the old files."""
        return {path.name for path in self.out.iterdir()} - {path.name for path in self.targets}


@pytest.fixture(params=COMMANDS)
def work(request) -> Iterator[Work]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Work(Path(name), request.param)


class _Deadly(io.BufferedWriter):
    """A file that is never finished: the process is killed while it is written, with a part of it on the disk."""

    def write(self, data) -> int:
        written = super().write(bytes(data)[: max(1, len(data) // 2)])
        self.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        return written


def test_killed_while_it_writes(work, monkeypatch):
    """The file begun stays, hidden, and is in nobody's way: the next run makes what it should."""

    def killed() -> None:
        monkeypatch.setattr(
            atomic_write, "open", lambda path, mode, opener: _Deadly(io.FileIO(path, "xb", opener=opener)), raising=False
        )
        work.run()

    assert forked(killed) == (-signal.SIGKILL, "")
    assert work.untouched()
    assert work.left() and all(name.startswith(".") and name.endswith(".partial") for name in work.left())
    work.run()
    assert all(path.read_bytes() not in (OLD, b"") for path in work.targets)


def test_a_full_disk(work):
    """Each file fails, by a line that names it."""
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
        work.run()

    code, output = forked(limited)
    assert code == 1
    assert all(f"{path}: File too large" in output for path in work.targets)
    assert work.untouched() and work.left() == set()


def as_nobody(run: Callable[[], None]) -> Callable[[], None]:
    """The same without the rights of root, who may write anywhere."""

    def unprivileged() -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        run()

    return unprivileged


def test_an_unwritable_folder(work):
    """It is said before any work."""
    work.out.chmod(0o555)
    code, output = forked(as_nobody(work.run))
    work.out.chmod(0o755)
    assert code == 1
    assert output.count(f"the folder {work.out} is not writable") == len(work.targets)
    assert work.untouched() and work.left() == set()


@pytest.mark.filterwarnings("default:.*filled in:RuntimeWarning")
def test_a_damaged_file_that_streams_is_told_of_before_it_is_written(monkeypatch, tmp_path, capsys, tiny):
    """Without --keep-going nothing is written; with it, the warning, which names the file, comes first."""
    data = bytearray(tiny.encode(skimage.data.chelsea(), 50, tile=64))
    data[-10] ^= 1
    source, out = tmp_path / "cat.cae", tmp_path / "cat.npy"
    source.write_bytes(data)
    out.write_bytes(OLD)
    written = []

    def note(line: str) -> None:
        written.append((line, *(path.stat().st_size for path in tmp_path.glob(".*.partial"))))

    monkeypatch.setattr(messages, "print_message", note)
    arguments = [str(source), str(out), *Work.options]
    with pytest.raises(SystemExit, match="tile 39 is damaged"):
        decode.main(arguments)
    assert out.read_bytes() == OLD and set(tmp_path.iterdir()) == {source, out}
    decode.main([*arguments, "--keep-going"])
    ((line, *partial_sizes),) = written
    assert line.startswith(f"cae-decode: warning: {source}: tile 39 ") and line.endswith("is damaged and filled in")
    assert sum(partial_sizes) == 0
    assert np.load(out).shape == (300, 451, 3)


@pytest.mark.filterwarnings("default:.*filled in:RuntimeWarning")
def test_damage_in_many_files_is_told_of_each(tmp_path, capsys, tiny):
    """Though the same tile of each is damaged."""
    data = bytearray(tiny.encode(skimage.data.chelsea()[:90, :130], 50, tile=64))
    data[-10] ^= 1
    for name in "abc":
        (tmp_path / f"{name}.cae").write_bytes(data)
    decode.main([str(tmp_path), "-o", str(tmp_path / "out"), "--keep-going", *Work.options])
    warnings_seen = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert sorted(line.split(": ")[2] for line in warnings_seen) == [str(tmp_path / f"{name}.cae") for name in "abc"]
