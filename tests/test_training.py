"""Training: it learns, resumes as if it had not stopped, exports what the codec can use, and refuses bad input."""

import contextlib
import csv
import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file

import codec
from codec.cli import bars
from codec.networks import registry
from codec.networks.weights import Weights
from codec.training.autoencoder import Autoencoder
from codec.training.command import main
from codec.training.data.augmentation import Augmentation
from codec.training.data.images import find_images, load_images
from codec.training.data.patches import random_patches
from codec.training.export import export, restore
from codec.training.options import Options
from codec.training.processes import Processes
from codec.training.run import Run
from codec.training.train import Interrupted, train

from .conftest import TINY, psnr
from .make_tiny_weights import CONFIG, make_model

pytestmark = pytest.mark.filterwarnings("ignore:.*are not readable:RuntimeWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name in ("astronaut", "coffee", "chelsea"):
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("not an image either")
    return folder


def options(folder: Path, run: Path, steps: int, **more) -> Options:
    return Options(folder, run, steps=steps, batch=2, patch=64, log_every=1, quiet=True, **more)


def csv_rows(run: Path) -> list[dict[str, str]]:
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_resumed_training_equals_uninterrupted(folder, tmp_path):
    whole = train(options(folder, tmp_path / "whole", 6), CONFIG).average
    images = [torch.from_numpy(image) for image in load_images(find_images(folder), 64, 2**30, quiet=True)]
    run = Run(options(folder, tmp_path / "parts", 6), CONFIG)
    run.start(images)
    for x in run.batches(images):
        run.train_step(x)
        run.step += 1
        if run.step == 3:
            break
    run.save()
    resumed = train(options(folder, tmp_path / "parts", 6), CONFIG).average
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_larger_budget_goes_on_from_the_end_at_the_constant_rate(folder, tmp_path):
    train(options(folder, tmp_path, 8, decay=0.5), CONFIG)
    train(options(folder, tmp_path, 20, decay=0.5), CONFIG)
    rows = csv_rows(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[7] < 0.5 * rates[3] < 0.5 * rates[8]


def test_training_lowers_the_loss_and_exports(folder, tmp_path, no_layers):
    path = tmp_path / "weights.safetensors"
    run_options = options(folder, tmp_path, 200, validation=folder, validate_every=50, export=path)
    train(dataclasses.replace(run_options, batch=4), CONFIG)
    rows = csv_rows(tmp_path)
    assert 0 < float(rows[-1]["validation_loss"]) < 0.998 * float(rows[49]["validation_loss"])
    assert json.loads(Weights.read(path).metadata["training"])["steps"] == 200
    assert Weights.read(path).metadata["licence"] == "MIT"
    assert "% rate" in Weights.read(path).metadata["integer_cost"]
    assert sorted(tmp_path.glob("*.partial")) == []
    crop = skimage.data.coffee()[:128, :128]
    trained = codec.Codec(weights=path, device="cpu")
    data = trained.encode(crop, 100)
    assert psnr(trained.decode(data), crop) > 22


@pytest.mark.parametrize("trained", [True, False])
def test_exports_whatever_the_size_of_activations(tmp_path, trained):
    """Flat pictures and untrained networks leave activations far smaller than photographs do."""
    torch.manual_seed(0)
    model = make_model() if trained else Autoencoder(CONFIG)
    path = tmp_path / "weights.safetensors"
    export(model, [np.full((64, 64, 3), 128, np.uint8)], path, {})
    exported = codec.Codec(weights=path, device="cpu")
    assert exported.decode(exported.encode(skimage.data.coffee()[:70, :80], 50)).shape == (70, 80, 3)


def test_equal_models_give_equal_weights_files(tmp_path):
    """Exporting once more shows by a comparison of files that nothing has changed."""
    record = {name: name for name in ("licence", "training", "a", "b", "c", "d")}
    for number in range(4):
        export(make_model(), [skimage.data.coffee()[:64, :64]], tmp_path / f"{number}.safetensors", record)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_exported_rate_is_close_to_the_float_models(tmp_path):
    """Files are not longer than the float networks estimate (but may be shorter: tables fit the symbols seen)."""
    model = make_model().eval()
    crop = skimage.data.astronaut()[:256, :256]
    path = tmp_path / "weights.safetensors"
    export(model, [crop], path, {})
    with torch.inference_mode():
        x = torch.from_numpy(crop[None].copy()).float() / 255
        _, bits_y, bits_z = model(x, torch.tensor([CONFIG.level(60)]))
    length = 8 * len(codec.Codec(weights=path, device="cpu", bf16=False).encode(crop, 60))
    assert 0.8 < length / (bits_y + bits_z).item() < 1.01


def test_fine_tuning_starts_from_exported_weights(folder, tmp_path):
    """A model restored from a weights file codes as the original did, up to rounding."""
    original, restored = make_model().eval(), restore(TINY).eval()
    x = torch.from_numpy(skimage.data.coffee()[None, :128, :128].copy()).float() / 255
    with torch.inference_mode():
        for level in map(torch.tensor, ([0.0], [2.5])):
            before, after = (model(x, level)[1] for model in (original, restored))
            assert abs(after / before - 1) < 0.01
            y, again = (model.analysis(x - 0.5, level) for model in (original, restored))
            assert (again - y).square().mean() < 1e-6 * y.square().mean()
            pixels, again = (model.synthesis(y, level) for model in (original, restored))
            assert (again - pixels).square().mean() < 1e-7
    run = train(options(folder, tmp_path, 1, start_from=TINY), Weights.read(TINY).config)
    assert run.step == 1


def patches_of(pictures: list[np.ndarray], count: int, noisy: float = 0) -> list[np.ndarray]:
    images = [torch.from_numpy(picture) for picture in pictures]
    return list(random_patches(images, count, 64, [np.random.default_rng(3)] * count, Augmentation(noise=noisy)).numpy())


def test_patches_are_reproducible_and_varied():
    pictures = [skimage.data.astronaut(), skimage.data.chelsea()]
    first, second = patches_of(pictures, 8), patches_of(pictures, 8)
    assert np.array_equal(first, second)
    assert len({patch.tobytes() for patch in first}) == 8


def test_patches_show_their_picture():
    """Whatever they were turned, flipped and reduced to, mean and range stay."""
    ramp = np.add.outer(np.arange(300), np.zeros(400)).astype(np.uint8)[..., None].repeat(3, -1)
    for patch in patches_of([ramp], 50):
        steps = [np.abs(np.diff(patch[..., 0].astype(int), axis=axis)) for axis in (0, 1)]
        along, across = sorted(steps, key=np.mean)
        assert across.mean() >= 1 and along.max() <= 1


def test_some_patches_are_noisy():
    gray = [np.full((64, 64, 3), 128, np.uint8)]
    clean, noisy = patches_of(gray, 400), patches_of(gray, 400, 0.3)
    assert all((patch == 128).all() for patch in clean)
    assert 60 < sum(patch.std() > 1 for patch in noisy) < 180
    repeated = sum((patch[:24, :24] == patch[24:48, 24:48]).all() and patch.std() > 1 for patch in noisy)
    assert 5 < repeated < 60


def test_bad_folders(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(codec.CaeError):
            find_images(folder)
    Image.new("RGB", (100, 100)).save(tmp_path / "large.png")
    with pytest.raises(codec.CaeError, match="memory"):
        load_images(find_images(tmp_path), 64, 10_000, quiet=True)
    (tmp_path / "large.png").unlink()
    Image.new("RGB", (30, 30)).save(tmp_path / "small.png")
    with pytest.raises(codec.CaeError, match="at least 64"):
        load_images(find_images(tmp_path), 64, 2**30, quiet=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"steps": None},
        {"minutes": 1.0},
        {"patch": 100},
        {"batch": 0},
        {"decay": 0.0},
        {"learning_rate": -1.0},
        {"steps": None, "minutes": float("nan")},
        {"memory_gib": 0.0},
        {"run": Path(__file__)},
        {"device": "tpu"},
        {"seed": -1},
        {"export": Path("none/x.safetensors")},
    ],
)
def test_bad_options(folder, tmp_path, changes):
    with pytest.raises(codec.CaeError):
        Run(dataclasses.replace(options(folder, tmp_path, 5), **changes), CONFIG)


def test_deep_pictures_are_trained_on_in_8_bits(tmp_path):
    ramp = np.arange(80 * 90, dtype=np.uint16).reshape(80, 90) * 9
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    (image,) = load_images(find_images(tmp_path), 64, 2**30, quiet=True)
    assert image.dtype == np.uint8 and np.abs(image.astype(float) - ramp[..., None] / 257).max() < 1


def test_no_pickle(folder, tmp_path):
    """State and weights are safetensors files."""
    train(options(folder, tmp_path, 1), CONFIG)
    with warnings.catch_warnings():
        assert len(load_file(tmp_path / "state.safetensors")) > 100


def test_the_last_step_is_logged(folder, tmp_path):
    train(dataclasses.replace(options(folder, tmp_path, 3, validation=folder), log_every=100), CONFIG)
    (row,) = csv_rows(tmp_path)
    assert row["step"] == "3" and float(row["validation_loss"]) > 0


def test_damaged_state_is_refused(folder, tmp_path):
    train(options(folder, tmp_path, 1), CONFIG)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(codec.CaeError, match="not a whole state"):
        train(options(folder, tmp_path, 2), CONFIG)


def test_resumes_bit_for_bit_after_the_eigenbasis_was_renewed(folder, tmp_path):
    whole = Run(options(folder, tmp_path / "whole", 30), CONFIG)
    resumed = Run(options(folder, tmp_path / "resumed", 30), CONFIG)
    images = [torch.from_numpy(image) for image in load_images(find_images(folder), 64, 2**30, quiet=True)]
    whole.start(images)
    for x in whole.batches(images):
        whole.train_step(x)
        whole.step += 1
        if whole.step == 13:
            whole.save()
            shutil.copy(whole.state, resumed.state)
            resumed.start(images)
        elif whole.step > 13:
            resumed.train_step(x)
            resumed.step += 1
        if whole.step == 25:
            break
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_bad_weights_to_start_from_are_refused(folder, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(TINY.read_bytes()[:-1000])
    with pytest.raises(codec.CaeError, match="not a whole weights file"):
        Run(options(folder, tmp_path, 1, start_from=cut), CONFIG)


def test_state_of_another_optimiser_is_refused(folder, tmp_path):
    run = Run(options(folder, tmp_path, 1), CONFIG)
    run.optimizer = torch.optim.AdamW(run.model.parameters())
    run.save()
    with pytest.raises(codec.CaeError, match="version's optimiser"):
        train(options(folder, tmp_path, 2), CONFIG)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_transforms_train_alike(folder, tmp_path):
    """By the compiler's first half alone: the second takes minutes, and rounds otherwise."""
    plain, compiled = (
        train(options(folder, tmp_path / str(chosen), 1, compile=chosen, compiler="eager"), CONFIG).model.state_dict()
        for chosen in (False, True)
    )
    assert all(torch.allclose(compiled[name], value, atol=1e-5) for name, value in plain.items())


def test_weights_to_start_from_may_be_named(folder, tmp_path, monkeypatch, capsys):
    command = [str(folder), str(tmp_path / "run"), "--steps", "1", "--batch", "1", "--patch", "64", "--quiet"]
    monkeypatch.setattr(registry, "default_path", lambda: TINY)
    main([*command, "--start-from", "default"])
    assert "1 steps done" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no weights are named"):
        main([*command, "--start-from", "nobody's"])


def test_the_log_has_each_step_once_after_a_kill(folder, tmp_path):
    """Steps that a killed run had logged beyond its last state are done again."""
    train(options(folder, tmp_path, 2), CONFIG)
    shutil.copy(tmp_path / "state.safetensors", tmp_path / "before")
    train(options(folder, tmp_path, 4), CONFIG)
    shutil.move(tmp_path / "before", tmp_path / "state.safetensors")
    with open(tmp_path / "log.csv", "a") as file:
        file.write("5,0.0")
    train(options(folder, tmp_path, 4), CONFIG)
    assert [row["step"] for row in csv_rows(tmp_path)] == list("1234")
    (tmp_path / "state.safetensors").unlink()
    train(options(folder, tmp_path, 1), CONFIG)
    assert [row["step"] for row in csv_rows(tmp_path)] == ["1"]


@pytest.mark.parametrize("part", [{"freeze": "decoder"}, {"reduced": 8}])
def test_a_part_is_not_trained_on_for_another_model(folder, tmp_path, part):
    export(make_model(), [skimage.data.coffee()[:64, :64]], tmp_path / "other.safetensors", {})
    assert Weights.read(tmp_path / "other.safetensors").id != Weights.read(TINY).id
    train(options(folder, tmp_path / "run", 1, start_from=TINY, **part), Weights.read(TINY).config)
    with pytest.raises(codec.CaeError, match="is of a run with model"):
        train(options(folder, tmp_path / "run", 2, start_from=tmp_path / "other.safetensors", **part), CONFIG)


def test_sizes_beside_finished_weights_are_refused(folder, tmp_path):
    command = [str(folder), str(tmp_path / "run"), "--steps", "1", "--start-from", str(TINY), "--model", "fast"]
    with pytest.raises(SystemExit, match="starts afresh"):
        main(command)
    assert not (tmp_path / "run").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_it_shows_life_in_each_phase(folder, tmp_path, monkeypatch, stream):
    """On a terminal, also when it is called again after it has finished; a log stays empty."""
    start = Run.start

    def validate(_model, images, *_):
        return sum(time.sleep(0.6) or 1.0 for _ in images)

    monkeypatch.setattr(bars, "DELAY", 0.3)
    monkeypatch.setattr(Run, "start", lambda *arguments: (time.sleep(0.6), start(*arguments)))
    monkeypatch.setattr("codec.training.run.validate", validate)
    monkeypatch.setattr("codec.training.train.export", lambda *_: time.sleep(0.6))
    chosen = options(folder, tmp_path / "run", 1, validation=folder, validate_every=1, export=tmp_path / "weights")
    for _ in range(2):
        with contextlib.redirect_stderr(stream()) as shown_on:
            train(dataclasses.replace(chosen, quiet=False), CONFIG)
        shown = shown_on.getvalue()
        if stream is io.StringIO:
            assert shown == ""
            continue
        for phase in ("preparing the model", "validating, image 2 of 3", "calibrating and writing"):
            assert phase in shown


def test_asked_to_end_it_saves_and_says_so(folder, tmp_path, monkeypatch):
    step = Run.train_step

    def stopped(run, x):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(run, x)

    monkeypatch.setattr(Run, "train_step", stopped)
    with pytest.raises(Interrupted) as stop:
        train(options(folder, tmp_path, 5, export=tmp_path / "weights.safetensors"), CONFIG)
    assert stop.value.number == signal.SIGTERM
    assert (tmp_path / "state.safetensors").exists() and not (tmp_path / "weights.safetensors").exists()


def test_pictures_that_memory_does_not_hold_are_told(folder):
    size = skimage.data.astronaut().nbytes + skimage.data.coffee().nbytes + skimage.data.chelsea().nbytes
    with pytest.warns(RuntimeWarning, match="only 2 of 4 images"):
        assert len(load_images(find_images(folder), 64, size - 1, quiet=True)) == 2


def test_pictures_left_out_are_told(folder):
    with pytest.warns(RuntimeWarning, match="1 images are not readable"):
        load_images(find_images(folder), 64, 2**30, quiet=True)


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


def test_torchrun_trains_and_exports_once(folder, tmp_path):
    words = (folder, tmp_path / "run", "--steps", 3, "--batch", 4, "--patch", 64, "--quiet", "--start-from", TINY)
    run_python(*TORCHRUN, "-m", "codec.training", *words, "--export", tmp_path / "weights.safetensors", threads=1)
    (row,) = csv_rows(tmp_path / "run")
    assert row["step"] == "3"
    assert codec.Codec(weights=tmp_path / "weights.safetensors", device="cpu").encode(np.zeros((9, 9), np.uint8))


def test_several_processes_need_equal_parts(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "join", lambda _: Processes(0, 2))
    for changes in ({"batch": 3}, {"steps": None, "minutes": 1.0}):
        with pytest.raises(codec.CaeError, match="2 processes need"):
            Run(dataclasses.replace(options(folder, tmp_path, 5), **changes), CONFIG)


def test_what_was_trained_before_is_trained_gently(folder, tmp_path):
    """Unless told otherwise."""
    fresh, further, small = (
        Options(folder, tmp_path, steps=1, **more) for more in ({}, {"start_from": TINY}, {"start_from": TINY, "reduced": 8})
    )
    assert [(each.learning_rate, each.decay) for each in (fresh, further, small)] == [(1e-3, 0.25), (5e-4, 0.8), (1e-3, 0.8)]
    assert Options(folder, tmp_path, steps=1, start_from=TINY, learning_rate=1e-4, decay=1).learning_rate == 1e-4
