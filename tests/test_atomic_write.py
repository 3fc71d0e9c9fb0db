"""Files that are written: nothing is replaced that should not be, and what is replaced keeps its permissions."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from codec import CaeError
from codec.runtime.atomic_write import atomic_write, check_target

ROOT = hasattr(os, "getuid") and os.getuid() == 0
NOBODY = 65534
needs_root = pytest.mark.skipif(not ROOT, reason="needs files of several users")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def unprivileged(code: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs a script, in which `os`, `sys`, `Path`, `check_target` and `atomic_write` are known, as who is not root."""
    script = "import os, sys\nfrom pathlib import Path\nfrom codec.runtime.atomic_write import check_target, atomic_write\n"
    script += f"if os.getuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    command = [sys.executable, "-c", script + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])


def test_unwritable_folder(shared):
    shared.chmod(0o555)
    result = unprivileged("check_target(Path(sys.argv[1]))", shared / "x")
    shared.chmod(0o755)
    assert "CaeError" in result.stderr and f"the folder {shared} is not writable" in result.stderr


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o000])
def test_a_read_only_file_is_refused_to_everyone(shared, mode):
    path = shared / "kept"
    path.write_bytes(b"old")
    path.chmod(mode)
    for write in (check_target, lambda path: atomic_write(path).__enter__()):
        with pytest.raises(CaeError, match="kept: is read-only; make it writable"):
            write(path)
    shared.chmod(0o777)
    assert "is read-only" in unprivileged("with atomic_write(Path(sys.argv[1])): print('begun')", path).stderr
    path.chmod(0o600)
    assert path.read_bytes() == b"old"
    assert list(shared.iterdir()) == [path]


@needs_root
def test_a_file_that_only_others_may_write_is_refused(shared):
    path = shared / "theirs"
    path.write_bytes(b"old")
    shared.chmod(0o777)
    assert "is read-only" in unprivileged("check_target(Path(sys.argv[1]))", path).stderr
    path.chmod(0o666)
    assert unprivileged("check_target(Path(sys.argv[1]))", path).returncode == 0
    shared.chmod(0o1777)
    assert "belongs to someone else" in unprivileged("check_target(Path(sys.argv[1]))", path).stderr


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_permissions_of_a_replaced_file_stay(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    with atomic_write(path) as file:
        (partial,) = tmp_path.glob("*.partial")
        assert partial.stat().st_mode & 0o777 == mode
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == mode


@needs_root
def test_the_owner_of_a_replaced_file_stays_where_that_is_allowed(shared):
    path = shared / "file"
    path.write_bytes(b"old")
    os.chown(path, NOBODY, 12345)
    path.chmod(0o640)
    with atomic_write(path) as file:
        file.write(b"new")
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (NOBODY, 12345, 0o640)
    shared.chmod(0o777)
    os.chown(path, 0, 0)
    path.chmod(0o666)
    result = unprivileged("with atomic_write(Path(sys.argv[1])) as file: file.write(b'newer')", path)
    assert result.returncode == 0, result.stderr
    assert path.read_bytes() == b"newer"
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (NOBODY, 0o666)


def test_new_files_have_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "new") as file:
            file.write(b"data")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_links_are_followed(tmp_path):
    real = tmp_path / "real"
    link = tmp_path / "link"
    link.symlink_to(real)
    for content in (b"made", b"replaced"):
        check_target(link)
        with atomic_write(link) as file:
            file.write(content)
        assert link.is_symlink()
        assert real.read_bytes() == content


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "lost").symlink_to(tmp_path / "none" / "file")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for name, message in (("lost", "none, which does not exist"), ("one", "symbolic links")):
        with pytest.raises(CaeError, match=message):
            check_target(tmp_path / name)


def test_what_is_no_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "file").touch()
    for path, message in (
        (pipe, "regular"),
        (tmp_path, "folder"),
        (tmp_path / "none" / "x", "does not exist"),
        (tmp_path / "file" / "x", "does not exist"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        for write in (check_target, lambda path: atomic_write(path).__enter__()):
            with pytest.raises(CaeError, match=message):
                write(path)
    assert pipe.is_fifo()


def test_its_own_source_is_not_replaced(tmp_path):
    (tmp_path / "source").touch()
    (tmp_path / "link").symlink_to("source")
    os.link(tmp_path / "source", tmp_path / "other name")
    for name in ("source", "link", "other name"):
        with pytest.raises(CaeError, match="its own source"):
            check_target(tmp_path / name, tmp_path / "source")
    check_target(tmp_path / "new", tmp_path / "source")
    check_target(tmp_path / "new", tmp_path / "no source")


def test_long_names_and_failures(tmp_path):
    name = tmp_path / ("x" * 250)
    with atomic_write(name) as file:
        file.write(b"data")
    assert name.read_bytes() == b"data"
    with pytest.raises(ZeroDivisionError), atomic_write(name) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert name.read_bytes() == b"data"
    assert list(tmp_path.iterdir()) == [name]
