"""The command `cae-train`: what it takes, shows, and says when it is ended."""

import contextlib
import dataclasses
import io
import os
import re
import shutil
import signal
import time

import pytest

from codec.cli import bars
from codec.training.command import main
from codec.training.run import Run
from codec.training.train import Interrupted, train

from .command_line import Terminal
from .conftest import TINY
from .make_tiny_weights import CONFIG
from .training_runs import options

pytestmark = pytest.mark.filterwarnings("ignore:.*are not readable:RuntimeWarning")


def test_weights_to_start_from_may_be_named(mixed_folder, tmp_path, install_weights, capsys):
    command = [str(mixed_folder), str(tmp_path / "run"), "--steps", "1", "--batch", "1", "--patch", "64", "--quiet"]
    shutil.copy(TINY, tmp_path / "eye.safetensors")
    install_weights(tmp_path)
    main([*command, "--start-from", "default"])
    assert "1 steps done" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no weights are named"):
        main([*command, "--start-from", "nobody's"])


def test_sizes_beside_finished_weights_are_refused(mixed_folder, tmp_path):
    command = [str(mixed_folder), str(tmp_path / "run"), "--steps", "1", "--start-from", str(TINY), "--model", "fast"]
    with pytest.raises(SystemExit, match="starts afresh"):
        main(command)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_it_shows_life_in_each_phase(mixed_folder, tmp_path, monkeypatch, stream):
    """On a terminal, also when it is called again after it has finished; a log stays empty."""
    start = Run.start

    def validate(_model, images, *_):
        return sum(time.sleep(0.6) or 1.0 for _ in images)

    monkeypatch.setattr(bars, "DELAY", 0.3)
    monkeypatch.setattr(Run, "start", lambda *arguments: (time.sleep(0.6), start(*arguments)))
    monkeypatch.setattr("codec.training.run.validate", validate)
    monkeypatch.setattr("codec.training.train.export", lambda *arguments: (arguments[-1](0.5), time.sleep(1.6)))
    chosen = options(mixed_folder, tmp_path / "run", 1, validation=mixed_folder, validate_every=1, export=tmp_path / "weights")
    for _ in range(2):
        with contextlib.redirect_stderr(stream()) as shown_on:
            train(dataclasses.replace(chosen, quiet=False), CONFIG)
        shown = shown_on.getvalue()
        if stream is io.StringIO:
            assert shown == ""
            continue
        for phase in ("preparing the model", "validating, image 2 of 3", "calibrating and writing"):
            assert phase in shown
        assert re.search(r"calibrating and writing \S+ +50%\|.*\| 00:01", shown)


def test_asked_to_end_it_saves_and_says_so(mixed_folder, tmp_path, monkeypatch):
    step = Run.train_step

    def stopped(run, x):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(run, x)

    monkeypatch.setattr(Run, "train_step", stopped)
    with pytest.raises(Interrupted) as stop:
        train(options(mixed_folder, tmp_path, 5, export=tmp_path / "weights.safetensors"), CONFIG)
    assert stop.value.number == signal.SIGTERM
    assert (tmp_path / "state.safetensors").exists() and not (tmp_path / "weights.safetensors").exists()
