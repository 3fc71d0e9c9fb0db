"""Many files on a Dask cluster: the same files as on one machine, and no file lost with a worker."""

import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import os
import socket
import time
import warnings
from multiprocessing import forkserver
from pathlib import Path

import dask
import distributed
import numpy as np
import pytest
from distributed import LocalCluster
from PIL import Image, PngImagePlugin

import codec
from codec import CaeError
from codec.commands import decode, encode
from codec.commands.batch import cluster, remote
from codec.commands.batch.plan import Plan
from codec.commands.batch.pool import TaskPool
from codec.commands.batch.run import run_many
from codec.commands.batch.task import Task

from .conftest import TINY
from .deadly import Killing
from .test_many_files import photographs, tree  # noqa: F401

SMALL = ("--weights", str(TINY))


@pytest.fixture(scope="module")
def address():
    """A scheduler with a worker of two threads, all in this process."""
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as local:
        yield local.scheduler_address


@pytest.fixture
def arguments(tmp_path):
    """A command's arguments, as far as the cluster needs them."""
    paths = {"inputs": [str(tmp_path)], "output": str(tmp_path), "weights": TINY}
    flags = dict.fromkeys(("verbose", "update", "no_overwrite"), False)
    return argparse.Namespace(**paths, **flags, json=True, threads=None, quiet=True, device="cpu")


def reports(capsys) -> dict[str, dict]:
    """The JSON reports of a command, by the names of its inputs."""
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return {Path(report["input"]).name: report for report in lines}


def fails(main, *arguments: object) -> str | int:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments), *SMALL])
    return stop.value.code


def test_warnings_of_workers_are_told(tmp_path, address, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        data = bytearray(codec.encode(np.random.default_rng(0).integers(0, 256, (70, 70, 3), np.uint8), tile=64, weights=TINY))
        data[-1] ^= 1
        (tmp_path / "in" / f"{name}.cae").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        decode.main([str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--keep-going", "--scheduler", address, *SMALL])
    *lines, last = capsys.readouterr().err.splitlines()
    assert last.startswith("cae-decode: 2 files, ")
    assert [name in line for line, name in zip(sorted(lines), ("a.cae", "b.cae"), strict=True)] == [True, True]
    assert all(line.startswith("cae-decode: warning: ") and "tile 3" in line for line in lines)


def test_workers_collect_warnings_without_a_change_to_their_process(tmp_path, address, monkeypatch):
    """Files with the same fault are named, one by one."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "no digits")
    for name in ("a.png", "b.png"):
        Image.new("L", (8, 8)).save(tmp_path / name, pnginfo=text)
    seen = []
    run_in_pool = TaskPool.run

    def run(pool, task):
        outcome = run_in_pool(pool, task)
        seen.append((warnings.showwarning, *warnings.filters))
        return outcome

    monkeypatch.setattr(TaskPool, "run", run)
    works = []
    monkeypatch.setattr(encode, "run", lambda work, _: works.append(work))
    encode.main([str(tmp_path / "a.png"), str(tmp_path / "a.cae"), *SMALL])
    before = warnings.showwarning, *warnings.filters
    with distributed.Client(address, set_as_default=False) as client:
        for name in ("a.png", "b.png"):
            paths = (str(tmp_path / name), str(tmp_path / f"{name}.cae"))
            outcome = client.submit(remote.run_task, remote.RemoteWork.pack(works[0]), *paths, pure=False).result()
            assert [text.startswith(f"{paths[0]}: the EXIF") for text in outcome.warnings] == [True]
    assert seen == [before, before]


def test_folders_there_and_back(tmp_path, photographs, address, monkeypatch, capsys):  # noqa: F811
    """Named from where the command stands, the files are those that this machine makes alone."""
    monkeypatch.chdir(tmp_path)
    encode.main(["photographs", "-r", "-o", "alone", *SMALL])
    encode.main(["photographs", "-r", "-o", "coded", "--scheduler", address, "--json", *SMALL])
    reported = reports(capsys)
    assert tree(Path("coded")) == tree(Path("alone")) == ["a.cae", "sub/b.cae", "sub/deep/c.cae"]
    for name in tree(Path("alone")):
        assert Path("coded", name).read_bytes() == Path("alone", name).read_bytes()
    assert reported.keys() == {"a.png", "b.jpg", "c.npy"}
    assert all(Path(report["input"]).is_absolute() for report in reported.values())  # since workers run elsewhere
    assert all(Path(report["output"]).stat().st_size == report["bytes"] for report in reported.values())
    assert [reported["a.png"][key] for key in ("width", "height", "mode")] == [50, 40, "RGB"]
    decode.main(["coded", "-r", "-o", "back", "--format", "ppm", "--scheduler", address, *SMALL])
    with Image.open("back/sub/b.ppm") as image:
        assert np.array_equal(np.asarray(image), codec.decode(Path("coded/sub/b.cae").read_bytes(), weights=TINY))


def test_goes_on_after_bad_files(tmp_path, photographs, address, capsys):  # noqa: F811
    (photographs / "bad.png").write_text("Dear reader")
    out = tmp_path / "coded"
    options = ("-r", "-o", out, "--scheduler", address, "--update", "--json")
    assert fails(encode.main, photographs, *options) == "cae-encode: 1 of 4 files failed"
    output = capsys.readouterr()
    assert f"cae-encode: {photographs / 'bad.png'}: not an image that Pillow can read" in output.err
    errors = [report["error"] for report in map(json.loads, output.out.splitlines()) if "error" in report]
    assert len(errors) == 1 and "not an image" in errors[0]
    assert tree(out) == ["a.cae", "sub/b.cae", "sub/deep/c.cae"]
    assert fails(encode.main, photographs, *options) == "cae-encode: 1 of 4 files failed"
    assert {report.get("skipped") for report in reports(capsys).values()} == {None, "it is up to date"}


def test_a_file_that_is_nowhere(tmp_path, photographs, address):  # noqa: F811
    out = tmp_path / "coded"
    arguments = (photographs / "a.png", photographs / "none.png", "-o", out, "--scheduler", address)
    assert fails(encode.main, *arguments) == "cae-encode: 1 of 2 files failed"
    assert tree(out) == ["a.cae"]


def test_weights_are_loaded_once(tmp_path, photographs, address, monkeypatch):  # noqa: F811
    made = []
    with_arguments = codec.Codec.__init__
    monkeypatch.setattr(
        codec.Codec, "__init__", lambda self, **arguments: (made.append(arguments), with_arguments(self, **arguments))[1]
    )
    for name in ("once", "again"):
        encode.main([str(photographs), "-r", "-q", "41", "-o", str(tmp_path / name), "--scheduler", address, *SMALL])
    assert len(made) == 1


def test_workers_that_are_unlike_the_command(tmp_path, photographs, address, monkeypatch):  # noqa: F811
    pack = remote.RemoteWork.pack
    monkeypatch.setattr(remote.RemoteWork, "pack", lambda work: dataclasses.replace(pack(work), versions="cae-codec 0.0.1"))
    arguments = (photographs, "-r", "-o", tmp_path / "coded", "--scheduler", address)
    message = fails(encode.main, *arguments)
    assert "cae-encode: worker inproc" in message and "but the command cae-codec 0.0.1; install the same" in message
    # one that joins later
    monkeypatch.setattr(cluster, "find_problem", lambda *_: None)
    assert "but the command cae-codec 0.0.1; install the same" in fails(encode.main, *arguments)
    assert tree(tmp_path / "coded") == []


def test_files_that_workers_do_not_see(tmp_path, arguments):
    work = remote.RemoteWork.pack(Killing(arguments))
    assert remote.find_problem(work, [str(tmp_path)]) is None
    elsewhere = tmp_path / "elsewhere"
    message = remote.find_problem(work, [str(tmp_path), str(elsewhere)])
    assert message == f"{elsewhere} is not there; the files must lie where all machines see them, in the same place"


def test_one_file_needs_no_cluster(tmp_path, photographs, address, capsys):  # noqa: F811
    assert fails(encode.main, photographs / "a.png", tmp_path / "a.cae", "--scheduler", address) == 2
    assert "--scheduler is for many files" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["", "nowhere", "foo://127.0.0.1:1", "closed", "silent"])
def test_schedulers_that_are_none(tmp_path, arguments, wrong):
    with contextlib.ExitStack() as open_until_here:
        if wrong in ("closed", "silent"):
            port = open_until_here.enter_context(socket.create_server(("127.0.0.1", 0)))
            number = port.getsockname()[1]
            wrong = f"tcp://127.0.0.1:{number if wrong == 'silent' else 1}"
        arguments.scheduler, arguments.output = wrong, str(tmp_path / "coded")
        start = time.monotonic()
        with pytest.raises(CaeError) as caught:
            next(cluster.run_tasks(Killing(arguments), [], arguments, lambda _: None, connect_timeout=0.3))
    message = str(caught.value)
    assert message.startswith(f"--scheduler {wrong}: ") and "\n" not in message
    assert time.monotonic() - start < 5 and not (tmp_path / "coded").exists()


def test_without_workers(arguments):
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as local:
        arguments.scheduler = local.scheduler_address
        with pytest.raises(CaeError, match="it has had no workers for"):
            next(cluster.run_tasks(Killing(arguments), [], arguments, lambda _: None, worker_timeout=0.2))


def test_workers_that_die(tmp_path, arguments, capsys):
    """Other workers do what was under way; only the file that kills each worker is given up."""
    # new workers need not import torch again
    multiprocessing.set_forkserver_preload(["distributed", "codec.networks.registry", "tests.deadly"])
    forkserver.ensure_running()  # before distributed names other modules
    tasks = []
    for number in range(40):
        source = tmp_path / f"{number}.txt"
        source.write_text({10: "unlucky", 20: "deadly"}.get(number, "harmless"))
        tasks.append(Task(source, tmp_path / "out" / f"{number}.copy"))
    options = {"distributed.scheduler.allowed-failures": 1, "distributed.worker.multiprocessing-method": "forkserver"}
    # those would stay in this process, and be those of later tests
    options["distributed.nanny.pre-spawn-environ"] = {}
    before = os.environ.get("MKL_NUM_THREADS")
    with dask.config.set(options), LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local:
        arguments.scheduler = local.scheduler_address
        with pytest.raises(SystemExit, match="1 of 40 files failed"):
            run_many(Killing(arguments), Plan(tasks, []), "copy")
    assert os.environ.get("MKL_NUM_THREADS") == before
    output = capsys.readouterr()
    assert f"copy: {tmp_path / '20.txt'}: the worker died each time" in output.err
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == sorted(f"{n}.copy" for n in range(40) if n != 20)
    texts = {number: (tmp_path / "out" / f"{number}.copy").read_text().split() for number in range(40) if number != 20}
    assert texts[10][0] == "unlucky" and len({process for _, process in texts.values()}) > 2
    reported = list(map(json.loads, output.out.splitlines()))
    assert len(reported) == 40
    assert [report["input"] for report in reported if "error" in report] == [str(tmp_path / "20.txt")]


def test_lost_scheduler(tmp_path, arguments):
    """A scheduler that ends gives one error."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as local:
        arguments.scheduler = local.scheduler_address
        source = tmp_path / "0.txt"
        source.write_text("harmless")
        tasks = [Task(source, tmp_path / f"{n}.copy") for n in range(9)]
        outcomes = cluster.run_tasks(Killing(arguments), tasks, arguments, lambda _: None)
        next(outcomes)
        local.close()
        with pytest.raises(CaeError, match="the connection is lost"):
            list(outcomes)
