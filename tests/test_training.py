"""Training: it learns, resumes as if it had not stopped, exports what the codec can use, and refuses bad input."""

import dataclasses
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file

import codec
from codec.networks.weights import Weights
from codec.training.autoencoder import Autoencoder
from codec.training.data.images import find_images, load_images
from codec.training.export import export, restore
from codec.training.options import Options
from codec.training.run import Run
from codec.training.train import train

from .conftest import TINY, psnr
from .make_tiny_weights import CONFIG, make_model
from .training_runs import csv_rows, options

pytestmark = pytest.mark.filterwarnings("ignore:.*are not readable:RuntimeWarning")


def test_resumed_training_equals_uninterrupted(mixed_folder, tmp_path):
    whole = train(options(mixed_folder, tmp_path / "whole", 6), CONFIG).average
    images = [torch.from_numpy(image) for image in load_images(find_images(mixed_folder), 64, 2**30, quiet=True)]
    run = Run(options(mixed_folder, tmp_path / "parts", 6), CONFIG)
    run.start(images)
    for x in run.batches(images):
        run.train_step(x)
        run.step += 1
        if run.step == 3:
            break
    run.save()
    resumed = train(options(mixed_folder, tmp_path / "parts", 6), CONFIG).average
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_larger_budget_goes_on_from_the_end_at_the_constant_rate(mixed_folder, tmp_path):
    train(options(mixed_folder, tmp_path, 8, decay=0.5), CONFIG)
    train(options(mixed_folder, tmp_path, 20, decay=0.5), CONFIG)
    rows = csv_rows(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[7] < 0.5 * rates[3] < 0.5 * rates[8]


def test_training_lowers_the_loss_and_exports(mixed_folder, tmp_path, no_layers):
    path, held_out = tmp_path / "weights.safetensors", tmp_path / "held-out"
    held_out.mkdir()
    Image.fromarray(skimage.data.astronaut()[:128, 128:256]).save(held_out / "astronaut.png")
    run_options = options(mixed_folder, tmp_path, 200, validation=held_out, validate_every=50, export=path)
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


def test_an_export_counts_its_images(tmp_path):
    """Two passes over one, and the scale of qualities and the rates on two others."""
    crop, done = skimage.data.coffee()[:64, :64], []
    export(make_model(), [crop], tmp_path / "weights.safetensors", {}, [crop, crop], done.append)
    assert done == pytest.approx([number / 6 for number in range(1, 7)])


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


def test_fine_tuning_starts_from_exported_weights(mixed_folder, tmp_path):
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
    run = train(options(mixed_folder, tmp_path, 1, start_from=TINY), Weights.read(TINY).config)
    assert run.step == 1


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
def test_bad_options(mixed_folder, tmp_path, changes):
    with pytest.raises(codec.CaeError):
        Run(dataclasses.replace(options(mixed_folder, tmp_path, 5), **changes), CONFIG)


def test_no_pickle(mixed_folder, tmp_path):
    """State and weights are safetensors files."""
    train(options(mixed_folder, tmp_path, 1), CONFIG)
    with warnings.catch_warnings():
        assert len(load_file(tmp_path / "state.safetensors")) > 100


def test_the_last_step_is_logged(mixed_folder, tmp_path):
    train(dataclasses.replace(options(mixed_folder, tmp_path, 3, validation=mixed_folder), log_every=100), CONFIG)
    (row,) = csv_rows(tmp_path)
    assert row["step"] == "3" and float(row["validation_loss"]) > 0


def test_damaged_state_is_refused(mixed_folder, tmp_path):
    train(options(mixed_folder, tmp_path, 1), CONFIG)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(codec.CaeError, match="not a whole state"):
        train(options(mixed_folder, tmp_path, 2), CONFIG)


def test_resumes_bit_for_bit_after_the_eigenbasis_was_renewed(mixed_folder, tmp_path):
    whole = Run(options(mixed_folder, tmp_path / "whole", 30), CONFIG)
    resumed = Run(options(mixed_folder, tmp_path / "resumed", 30), CONFIG)
    images = [torch.from_numpy(image) for image in load_images(find_images(mixed_folder), 64, 2**30, quiet=True)]
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


def test_bad_weights_to_start_from_are_refused(mixed_folder, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(TINY.read_bytes()[:-1000])
    with pytest.raises(codec.CaeError, match="not a whole weights file"):
        Run(options(mixed_folder, tmp_path, 1, start_from=cut), CONFIG)


def test_state_of_another_optimiser_is_refused(mixed_folder, tmp_path):
    run = Run(options(mixed_folder, tmp_path, 1), CONFIG)
    run.optimizer = torch.optim.AdamW(run.model.parameters())
    run.save()
    with pytest.raises(codec.CaeError, match="version's optimiser"):
        train(options(mixed_folder, tmp_path, 2), CONFIG)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_transforms_train_alike(mixed_folder, tmp_path):
    """By the compiler's first half alone: the second takes minutes, and rounds otherwise."""
    plain, compiled = (
        train(options(mixed_folder, tmp_path / str(chosen), 1, compile=chosen, compiler="eager"), CONFIG).model.state_dict()
        for chosen in (False, True)
    )
    assert all(torch.allclose(compiled[name], value, atol=1e-5) for name, value in plain.items())


def test_the_log_has_each_step_once_after_a_kill(mixed_folder, tmp_path):
    """Steps that a killed run had logged beyond its last state are done again."""
    train(options(mixed_folder, tmp_path, 2), CONFIG)
    shutil.copy(tmp_path / "state.safetensors", tmp_path / "before")
    train(options(mixed_folder, tmp_path, 4), CONFIG)
    shutil.move(tmp_path / "before", tmp_path / "state.safetensors")
    with open(tmp_path / "log.csv", "a") as file:
        file.write("5,0.0")
    train(options(mixed_folder, tmp_path, 4), CONFIG)
    assert [row["step"] for row in csv_rows(tmp_path)] == list("1234")
    (tmp_path / "state.safetensors").unlink()
    train(options(mixed_folder, tmp_path, 1), CONFIG)
    assert [row["step"] for row in csv_rows(tmp_path)] == ["1"]


@pytest.mark.parametrize("part", [{"freeze": "decoder"}, {"reduced": 8}])
def test_a_part_is_not_trained_on_for_another_model(mixed_folder, tmp_path, part):
    export(make_model(), [skimage.data.coffee()[:64, :64]], tmp_path / "other.safetensors", {})
    assert Weights.read(tmp_path / "other.safetensors").id != Weights.read(TINY).id
    train(options(mixed_folder, tmp_path / "run", 1, start_from=TINY, **part), Weights.read(TINY).config)
    with pytest.raises(codec.CaeError, match="is of a run with model"):
        train(options(mixed_folder, tmp_path / "run", 2, start_from=tmp_path / "other.safetensors", **part), CONFIG)


def test_what_was_trained_before_is_trained_gently(mixed_folder, tmp_path):
    """Unless told otherwise."""
    fresh, further, small = (
        Options(mixed_folder, tmp_path, steps=1, **more)
        for more in ({}, {"start_from": TINY}, {"start_from": TINY, "reduced": 8})
    )
    assert [(each.learning_rate, each.decay) for each in (fresh, further, small)] == [(1e-3, 0.25), (5e-4, 0.8), (1e-3, 0.8)]
    assert Options(mixed_folder, tmp_path, steps=1, start_from=TINY, learning_rate=1e-4, decay=1).learning_rate == 1e-4
