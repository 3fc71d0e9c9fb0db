"""Small decoders trained on patches that were coded before."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from PIL import Image
from skimage import data

from codec.errors import CaeError
from codec.networks.weights import Weights
from codec.training import run as run_module
from codec.training.decoders.reduced import ReducedDecoder
from codec.training.export import restore
from codec.training.loss import Objective, code_patches, measure_coded_losses, measure_losses
from codec.training.options import Options
from codec.training.replay import CodedPatches, Replay
from codec.training.schedule import StepSchedule
from codec.training.train import train

from .conftest import TINY


def numbered(*numbers: int) -> CodedPatches:
    """Patches that are but their numbers."""
    values = torch.tensor(numbers, dtype=torch.float32)
    return CodedPatches(values[:, None], values, values, values[:, None])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(4, 9), st.integers(1, 12))
def test_it_keeps_the_last_and_draws_each_once(sizes, capacity, count):
    replay, total = Replay(capacity), 0
    for size in sizes:
        replay.add(numbered(*range(total, total + size)))
        total += size
    kept = list(range(max(0, total - capacity), total))
    drawn = replay.draw(count, torch.Generator().manual_seed(0))
    numbers = [int(number) for number in drawn.level]
    assert len(replay) == len(kept) and len(numbers) == count
    assert set(numbers) <= set(kept) and len(set(numbers)) == min(count, len(kept))
    assert all(torch.equal(part.flatten(), drawn.level) for part in drawn)


@pytest.mark.parametrize("choose", [True, False])
def test_what_was_coded_is_measured_as_if_it_were_coded_now(choose):
    """And to the same gradients; what is wanted is the ordinary decoder's picture, reduced."""
    restored = restore(TINY)
    model = ReducedDecoder(restored, 4)
    x = torch.from_numpy(np.stack([data.astronaut()[:128, :128], data.coffee()[:128, :128]])).float() / 255
    objective, level = Objective(choose=choose), torch.tensor([1.0, 3.0])
    arguments = (model, x, level, objective)
    noise = [torch.Generator().manual_seed(0) for _ in range(2)]
    with torch.no_grad():
        decoded = restored(x, level, torch.Generator().manual_seed(0), choose=choose)[0].clamp(0, 1)
    now = measure_losses(*arguments, target=decoded, noise=noise[0], compute_dtype=torch.float32)
    kept = code_patches(*arguments, noise=noise[1], compute_dtype=torch.float32)
    again = measure_coded_losses(model, kept, objective, compute_dtype=torch.float32)
    for ours, theirs in zip(again, now, strict=True):
        assert torch.equal(ours, theirs)
    parameters = list(model.parameters())
    for ours, theirs in zip(*(torch.autograd.grad(made.loss.sum(), parameters) for made in (again, now)), strict=True):
        assert torch.equal(ours, theirs)


@pytest.fixture
def options(tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.fromarray(data.coffee()).save(photographs / "coffee.png")
    run, export = tmp_path / "run", tmp_path / "made.safetensors"
    defaults = {"batch": 2, "patch": 64, "start_from": TINY, "reduced": 8, "replay": 3, "quiet": True, "export": export}
    return lambda **more: Options(photographs, run, **{"steps": 5, **defaults, **more})


def test_each_batch_is_coded_once_for_several_steps(options, monkeypatch):
    """A resumed run begins with a batch of its own, since what was coded is not kept in its state."""
    shapes = []
    code = ReducedDecoder.latent
    monkeypatch.setattr(ReducedDecoder, "latent", lambda self, x, *more: shapes.append(x.shape) or code(self, x, *more))
    config = Weights.read(TINY).config
    for steps, batches in ((5, 2), (7, 1)):
        shapes.clear()
        assert train(options(steps=steps), config).step == steps
        assert sum(shape[0] for shape in shapes) == 2 * batches
    before, after = (Weights.read(path) for path in (TINY, options().export))
    assert after.id == before.id and "reduced" in after.arrays()


def test_schedules_count_steps_not_batches(options, monkeypatch):
    asked = []
    cut = run_module.random_patches
    monkeypatch.setattr(run_module, "random_patches", lambda *arguments: asked.append(arguments[-1]) or cut(*arguments))
    train(options(steps=9, resolution_schedule=StepSchedule.parse("2:5")), Weights.read(TINY).config)
    assert asked[:3] == [2, 2, 1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"replay": 0}, "replay 0"),
        ({"patch": 128, "patch_schedule": StepSchedule.parse("64:2")}, "of one size"),
    ],
)
def test_what_cannot_be(options, more, said):
    with pytest.raises(CaeError, match=said):
        options(**more).check()
