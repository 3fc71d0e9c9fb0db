"""Many files and folders at a time."""

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import codec
from codec.commands import decode, encode
from codec.commands.batch.plan import make_plan
from codec.commands.batch.pool import PixelBudget, TaskPool
from codec.commands.batch.progress import FilesBar
from codec.commands.batch.task import Summary, Task, Tools
from codec.images import streams

from .command_line import Terminal
from .conftest import TINY

SMALL = ("--weights", str(TINY), "-j", "2")


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def photographs(tmp_path) -> Path:
    """a.png, sub/b.jpg, sub/deep/c.npy, and files that are no pictures."""
    folder = tmp_path / "photographs"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    cat = skimage.data.chelsea()
    Image.fromarray(cat[:40, :50]).save(folder / "a.png")
    Image.fromarray(cat[40:90, :30]).save(folder / "sub" / "b.jpg")
    np.save(folder / "sub" / "deep" / "c.npy", cat[:20, 100:160])
    Image.fromarray(cat[:40, :50]).save(folder / ".hidden" / "d.png")
    (folder / "notes.txt").write_text("none")
    return folder


def fails(main, *arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments), *SMALL])
    return stop.value.code


def test_folders_there_and_back(tmp_path, photographs):
    coded, decoded = tmp_path / "coded", tmp_path / "decoded"
    encode.main([str(photographs), "-o", str(coded), "--recursive", *SMALL])
    assert tree(coded) == ["a.cae", "sub/b.cae", "sub/deep/c.cae"]
    one = tmp_path / "one.cae"
    encode.main([str(photographs / "a.png"), str(one), *SMALL])
    assert one.read_bytes() == (coded / "a.cae").read_bytes()
    decode.main([str(coded), "-r", "-o", str(decoded), "--format", ".ppm", *SMALL])
    assert tree(decoded) == ["a.ppm", "sub/b.ppm", "sub/deep/c.ppm"]
    with Image.open(decoded / "sub" / "deep" / "c.ppm") as image:
        expected = codec.decode((coded / "sub" / "deep" / "c.cae").read_bytes(), weights=TINY)
        assert np.array_equal(np.asarray(image), expected)


def test_files_and_the_top_of_folders(tmp_path, photographs):
    encode.main([str(photographs), str(photographs / "sub" / "b.jpg"), "-o", str(tmp_path / "coded"), *SMALL])
    assert tree(tmp_path / "coded") == ["a.cae", "b.cae"]
    encode.main([str(photographs / "a.png"), "-o", f"{tmp_path}/new/", *SMALL])
    assert tree(tmp_path / "new") == ["a.cae"]


def test_an_output_in_the_folder_is_not_read(tmp_path, photographs):
    out = photographs / "sub" / "out"
    encode.main([str(photographs), "-r", "-o", str(out), *SMALL])
    decode.main([str(out), "-r", "-o", str(out), *SMALL])
    encode.main([str(photographs), "-r", "-o", str(out), *SMALL])
    assert tree(out) == [f"{stem}.{suffix}" for stem in ("a", "sub/b", "sub/deep/c") for suffix in ("cae", "png")]


def test_goes_on_after_bad_files(tmp_path, photographs, capsys):
    (photographs / "bad.png").write_text("Dear reader")
    (photographs / "sub" / "b.png").write_bytes((photographs / "a.png").read_bytes())
    out = tmp_path / "coded"
    arguments = (photographs, tmp_path / "none.png", "-r", "-o", out, "--json")
    assert fails(encode.main, *arguments) == "cae-encode: 4 of 6 files failed"
    assert tree(out) == ["a.cae", "sub/deep/c.cae"]
    output = capsys.readouterr()
    lines = output.err.splitlines()
    (clash,) = (line for line in lines if "would both be written to" in line)
    assert clash.endswith("; pass --keep-suffix") and "b.png" in clash and "b.jpg" in clash
    assert lines[-1].startswith("cae-encode: 2 files, ") and lines[-1].endswith(" s; 1 other file ignored")
    assert f"cae-encode: {photographs / 'bad.png'}: not an image that Pillow can read" in lines
    assert f"cae-encode: {tmp_path / 'none.png'}: No such file or directory" in lines
    facts = [json.loads(line) for line in output.out.splitlines()]
    assert sum("error" in fact for fact in facts) == 4 and sum("bytes" in fact for fact in facts) == 2


def test_update_and_no_overwrite(tmp_path, photographs, capsys):
    out = tmp_path / "coded"

    def made(*options: str) -> set[str]:
        encode.main([str(photographs), "-r", "-o", str(out), "--json", *options, *SMALL])
        facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {Path(fact["output"]).name for fact in facts if "skipped" not in fact}

    assert made("--update") == {"a.cae", "b.cae", "c.cae"}
    assert made("--update") == made("--no-overwrite") == set()
    later = time.time() + 10
    os.utime(photographs / "sub" / "b.jpg", (later, later))
    assert made("--no-overwrite") == set()
    assert made("--update") == {"b.cae"}
    assert made() == {"a.cae", "b.cae", "c.cae"}


def test_what_many_refuse(tmp_path, photographs, capsys):
    a = photographs / "a.png"

    def misused(*arguments: object) -> str:
        assert fails(encode.main, *arguments) == 2
        return capsys.readouterr().err

    assert "is a file" in misused(a, photographs / "sub" / "b.jpg", "-o", a)
    assert "standard streams" in misused(a, "-", "-o", tmp_path / "out")
    assert "several inputs need" in misused(a, a, a)
    for name in ("y.cae", "y.png"):
        assert "names a file" in misused(a, tmp_path / "x.cae", "-o", tmp_path / name)
        assert "names a file" in misused(photographs, "-o", tmp_path / name)
    (tmp_path / "in the way").touch()
    assert "is a file" in misused(photographs, "-o", tmp_path / "in the way")
    assert "1 of 1 files" in fails(encode.main, photographs, "-o", tmp_path / "in the way" / "out")
    assert f"{tmp_path / 'in the way' / 'out'}: Not a directory" in capsys.readouterr().err
    assert "no files to read (--recursive" in fails(decode.main, photographs, "-o", tmp_path / "out")
    assert "no files to read" in fails(decode.main, photographs, "-o", tmp_path / "out", "-r")


def test_plan_takes_a_file_once(tmp_path):
    (tmp_path / "a.png").touch()
    plan = make_plan([str(tmp_path), str(tmp_path / "a.png")], "out", ".cae", lambda _: True, recursive=False)
    assert [task.target for task in plan.tasks] == [Path("out/a.cae")] and not plan.refused


def test_folders_in_which_links_lead_back(tmp_path, photographs):
    (photographs / "sub" / "again").symlink_to(photographs, target_is_directory=True)
    encode.main([str(photographs), "-r", "-o", str(tmp_path / "out"), *SMALL])
    assert len(tree(tmp_path / "out")) == 3


def test_stopping_leaves_no_partial_files(tmp_path, photographs, monkeypatch):
    """At SIGTERM, pictures that are under way are given up at their next rows."""
    begun = threading.Event()

    def slow(source):
        for band in source:
            begun.set()
            time.sleep(0.2)
            yield band

    reading = streams.open_picture

    @contextlib.contextmanager
    def slowly(*arguments):
        with reading(*arguments) as source:
            bands = [row[None] for band in source.bands for row in band]
            yield dataclasses.replace(source, bands=slow(bands))

    monkeypatch.setattr(streams, "open_picture", slowly)
    threading.Thread(target=lambda: (begun.wait(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
    start = time.monotonic()
    assert fails(encode.main, photographs, "-r", "-o", tmp_path / "out") == 128 + signal.SIGTERM
    assert time.monotonic() - start < 4
    assert tree(tmp_path / "out") == []


def test_room_is_bounded():
    budget, most, inside, lock = PixelBudget(100), [0], [0], threading.Lock()

    def work(pixels: int) -> None:
        with budget.reserve(pixels):
            with lock:
                inside[0] += min(pixels, 100)
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            with lock:
                inside[0] -= min(pixels, 100)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (40, 40, 40, 0, 500, 100, 60, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert 40 < most[0] <= 100 and inside[0] == 0


class Recording:
    """Work that notes which tools each file gets; a file's name is its number of pixels."""

    suffix = ".out"

    def __init__(self) -> None:
        self.arguments, self.threads = argparse.Namespace(), {}

    def count_pixels(self, path: Path) -> int:
        return int(path.name)

    def run(self, task: Task, tools: Tools) -> Summary:
        self.threads[int(task.source.name)] = tools.threads
        return {}


def test_large_pictures_get_all_threads(tmp_path):
    work = Recording()
    pool = TaskPool(work, work.arguments, threads=4, tasks=2, count_pixels=lambda _: None, large=1800)
    for pixels in (1799, 1800, 10**9, 0):
        assert pool.run(Task(Path(str(pixels)), tmp_path / "out")).error is None
    assert work.threads == {1799: 2, 1800: 4, 10**9: 4, 0: 2}


def test_waiting_threads_do_not_spin_for_long(tmp_path, photographs):
    """Many files prepare the environment before the import of torch, as a single file does."""
    code = "import os, sys; from codec.commands.encode import main; main(sys.argv[1:]); print(os.environ['GOMP_SPINCOUNT'])"
    command = [sys.executable, "-c", code, photographs, "-o", tmp_path / "out", *SMALL]
    others = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    assert subprocess.run(command, capture_output=True, text=True, env=others, check=True).stdout == "3000\n"


def test_progress_of_files():
    with contextlib.redirect_stderr(Terminal()) as terminal, FilesBar(4, quiet=False, delay=0.0) as bar:
        for _ in range(4):
            time.sleep(0.12)
            bar.add_pixels(10**6)
            bar.add_file()
    shown = terminal.getvalue()
    assert "4/4 files" in shown and "MP/s" in shown and "left" in shown


def test_pictures_by_their_names():
    assert {".png", ".jpeg", ".tif", ".npy", ".avif"} <= streams.suffixes()
    assert not {".pdf", ".eps", ".mpg", ".cae", ".h5", ".txt"} & streams.suffixes()


@pytest.mark.parametrize("name", ["new", "2026.11", "new.cae/"])
def test_one_file_into_a_new_folder(tmp_path, photographs, name):
    """As `cae-encode *.png -o new` has it, whether there is one file or two."""
    encode.main([str(photographs / "a.png"), "-o", f"{tmp_path}/{name}", *SMALL])
    assert tree(tmp_path / name) == ["a.cae"]
    decode.main([str(tmp_path / name / "a.cae"), "-o", f"{tmp_path}/decoded", *SMALL])
    assert tree(tmp_path / "decoded") == ["a.png"]


def test_missing_inputs_are_named(tmp_path, photographs, capsys):
    assert fails(encode.main, tmp_path / "none", "-o", tmp_path / "out") == "cae-encode: 1 of 1 files failed"
    assert f"{tmp_path / 'none'}: No such file or directory" in capsys.readouterr().err
    assert "none: No such file or directory" in fails(encode.main, tmp_path / "none", tmp_path / "out")
    assert "is a directory; name an output folder" in fails(encode.main, photographs, tmp_path / "out")


def test_both_of_two_names_that_differ_by_their_suffix(tmp_path, photographs):
    (photographs / "a.jpg").write_bytes((photographs / "sub" / "b.jpg").read_bytes())
    encode.main([str(photographs), "-o", str(tmp_path / "out"), "--keep-suffix", *SMALL])
    assert tree(tmp_path / "out") == ["a.jpg.cae", "a.png.cae"]
    decode.main([str(tmp_path / "out"), "-o", str(tmp_path / "back"), *SMALL])
    assert tree(tmp_path / "back") == ["a.jpg.png", "a.png.png"]


def test_the_line_at_the_end(tmp_path, photographs, capsys):
    def last(*options: str) -> list[str]:
        encode.main([str(photographs), "-r", "-o", str(tmp_path / "out"), *options, *SMALL])
        return capsys.readouterr().err.splitlines()

    (line,) = last()
    before = sum((photographs / name).stat().st_size for name in ("a.png", "sub/b.jpg", "sub/deep/c.npy"))
    assert line.startswith(f"cae-encode: 3 files, {before / 1000:.1f} kB -> ") and line.endswith("; 1 other file ignored")
    (line,) = last("--update")
    assert line.startswith("cae-encode: 0 files") and "; 3 skipped: it is up to date; 1 other" in line
    assert last("--quiet") == []


def test_formats_that_cannot_be_written_are_refused_once(tmp_path, photographs, capsys):
    encode.main([str(photographs), "-r", "-o", str(tmp_path / "out"), *SMALL])
    capsys.readouterr()
    for arguments in (("--format", "gif", "-o", "new"), ("-o", "new.gif"), ("--format", "webp", "-o", "one.png")):
        source = tmp_path / "out" if "new" in arguments else tmp_path / "out" / "a.cae"
        assert fails(decode.main, source, *arguments[:-1], tmp_path / arguments[-1]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_that_cannot_be_read(tmp_path, photographs, capsys, monkeypatch):
    """The files of the others are coded all the same."""
    scan = os.scandir

    def scandir(path):
        if Path(os.fsdecode(path)).name == "deep":
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert fails(encode.main, photographs, "-r", "-o", tmp_path / "out") == "cae-encode: 1 of 3 files failed"
    assert f"{photographs / 'sub' / 'deep'}: Permission denied" in capsys.readouterr().err
    assert tree(tmp_path / "out") == ["a.cae", "sub/b.cae"]


def test_a_folder_that_vanishes_is_named(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.png").touch()

    def accepts(path: Path) -> bool:
        path.with_name("sub").rmdir()
        return True

    plan = make_plan([str(tmp_path / "in")], str(tmp_path / "out"), ".cae", accepts, recursive=True)
    assert [task.source.name for task in plan.tasks] == ["a.png"]
    assert [refusal.message for refusal in plan.refused] == [f"{tmp_path / 'in' / 'sub'}: No such file or directory"]
