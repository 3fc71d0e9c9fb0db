"""Training on several processes."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import codec
from codec.training.processes import Processes
from codec.training.run import Run

from .conftest import TINY
from .make_tiny_weights import CONFIG
from .training_runs import csv_rows, options

pytestmark = pytest.mark.filterwarnings("ignore:.*are not readable:RuntimeWarning")
ONE_STEP = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from codec.training.export import restore
from codec.training.gradients import Gradients
from codec.training.processes import Processes
processes = Processes.join(torch.device("cpu"))
model = restore(Path(sys.argv[1]))
patches = torch.rand(4, 64, 64, 3, generator=torch.Generator().manual_seed(1))
measured = Gradients(model, 4, 0, torch.float32, processes)(patches[list(processes.share(4))], 7)
if processes.is_first:
    save_file({"measured": measured} | {name: p.grad.clone() for name, p in model.named_parameters()}, sys.argv[2])
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run_python(*command: object, threads: int) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(Path(__file__).parents[1])}
    command_line = [sys.executable, *map(str, command)]
    done = subprocess.run(command_line, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr


def test_two_processes_take_the_step_of_one(tmp_path):
    """Two with a half of the batch each, and one with the whole on two threads: the same gradient but for rounding."""
    script = tmp_path / "step.py"
    script.write_text(ONE_STEP)
    run_python(script, TINY, tmp_path / "one", threads=2)
    run_python(*TORCHRUN, script, TINY, tmp_path / "two", threads=1)
    one, two = (load_file(tmp_path / name) for name in ("one", "two"))
    assert len(one) > 100
    for name, value in one.items():
        assert (value - two[name]).norm() <= 1e-4 * value.norm(), name


def test_torchrun_trains_and_exports_once(mixed_folder, tmp_path):
    words = (mixed_folder, tmp_path / "run", "--steps", 3, "--batch", 4, "--patch", 64, "--quiet", "--start-from", TINY)
    run_python(*TORCHRUN, "-m", "codec.training", *words, "--export", tmp_path / "weights.safetensors", threads=1)
    (row,) = csv_rows(tmp_path / "run")
    assert row["step"] == "3"
    assert codec.Codec(weights=tmp_path / "weights.safetensors", device="cpu").encode(np.zeros((9, 9), np.uint8))


def test_several_processes_need_equal_parts(mixed_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "join", lambda _: Processes(0, 2))
    for changes in ({"batch": 3}, {"steps": None, "minutes": 1.0}):
        with pytest.raises(codec.CaeError, match="2 processes need"):
            Run(dataclasses.replace(options(mixed_folder, tmp_path, 5), **changes), CONFIG)
