"""Patches of large pictures: what each augmentation does, grids that overlap, and schedules, the same again on resuming."""

import csv
import dataclasses

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import codec
from codec.training import command
from codec.training.data.augmentation import JITTER_MAX, Augmentation
from codec.training.data.patches import random_patches
from codec.training.options import AUGMENTATIONS, Options
from codec.training.run import Run
from codec.training.schedule import StepSchedule
from codec.training.train import train

from .make_tiny_weights import CONFIG

NONE = Augmentation.named(())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("images")
    Image.fromarray(skimage.data.astronaut()).save(made / "astronaut.png")
    return made


def patches(picture: np.ndarray, augmentation: Augmentation, count: int = 200, size: int = 64, reduction: int = 1):
    rngs = [np.random.default_rng([7, number]) for number in range(count)]
    return random_patches([torch.from_numpy(picture)], count, size, rngs, augmentation, reduction).numpy()


def corners(size: int = 256) -> np.ndarray:
    """A picture whose pixels say where they are: rows in red, columns in green."""
    rows, columns = np.indices((size, size))
    return np.stack([rows, columns, np.zeros_like(rows)], -1).astype(np.uint8)


def test_without_augmentation_patches_are_the_picture():
    for patch in patches(corners(), NONE):
        top, left = map(int, patch[0, 0, :2])
        assert np.array_equal(patch, corners()[top : top + 64, left : left + 64])


def test_each_augmentation_changes_its_share():
    """With flips alone, columns run backwards in half of the patches, and so on."""
    changed = {
        "flip": lambda patch: patch[0, 0, 1] > patch[0, -1, 1] and patch[0, 0, 0] < patch[-1, 0, 0],
        "rotate": lambda patch: not (patch[0, 0, 0] < patch[-1, 0, 0] and patch[0, 0, 1] < patch[0, -1, 1]),
        "rescale": lambda patch: int(patch[-1, 0, 0]) - patch[0, 0, 0] > 63,
        "noise": lambda patch: (patch[..., 2] > 0).any(),
        "plain": lambda patch: len(np.unique(patch[..., 0])) < 60 or (patch[..., 2] > 0).any(),
        "drawn": lambda patch: len(np.unique(patch[..., 0])) < 60 or (patch[..., 2] > 0).any(),
        "jitter": lambda patch: (np.diff(patch[:, 0, 0].astype(int)) != 1).any(),
    }
    expected = AUGMENTATIONS | {"rotate": 0.75}
    for name, differs in changed.items():
        share = np.mean([differs(patch) for patch in patches(corners(), Augmentation.named((name,)))])
        assert abs(share - expected[name]) < 0.1, name


def test_plain_grounds_are_of_one_colour():
    """Pixels under a shape have one colour, and the others are the picture's."""
    cut = patches(corners(), dataclasses.replace(NONE, plain=1.0), 60)
    for patch, whole in zip(cut, patches(corners(), NONE, 60), strict=True):
        kept = (patch == whole).all(-1)
        colours, counts = np.unique(patch[~kept], axis=0, return_counts=True)
        assert kept.all() or len(colours) == 1 or counts.max() > 0.3 * counts.sum()
    assert np.mean([(patch == 255).all(-1).any() for patch in cut]) > 0.2


def test_drawn_patches():
    """Many are of few colours, the others the picture under what is drawn."""
    drawn = patches(corners(), dataclasses.replace(NONE, drawn=1.0), 60)
    same = np.array([(patch == whole).all(-1).mean() for patch, whole in zip(drawn, patches(corners(), NONE, 60), strict=True)])
    assert 0.2 < (same > 0.3).mean() < 0.7 and same[same > 0.3].mean() < 0.97


def test_jitter_is_bounded():
    gray = np.full((64, 64, 3), 100, np.uint8)
    values = patches(gray, dataclasses.replace(NONE, jitter=1.0))[:, 0, 0, 0] / 100
    assert 1 - JITTER_MAX - 0.01 <= values.min() < 0.85 and 1.15 < values.max() <= 1 + JITTER_MAX + 0.01


@pytest.mark.parametrize(("overlap", "places"), [(0.0, {0, 64, 128, 192}), (0.5, {0, 32, 64, 96, 128, 160, 192})])
def test_overlap(overlap, places):
    grid = dataclasses.replace(NONE, overlap=overlap)
    grid_patches = patches(corners(), grid)
    assert set(grid_patches[:, 0, 0, 0]) == set(grid_patches[:, 0, 0, 1]) == places
    cut = patches(corners(240), grid)
    assert set(cut[:, 0, 0, 0]) == {min(place, 176) for place in places}


def test_reduced_pictures():
    """Patches of pictures of half the size cover twice the side; where that is too much, all of it."""
    picture = skimage.data.astronaut()
    for reduction, side in ((2, 128), (4, 256), (16, 512)):
        for patch in patches(corners(512) if reduction < 8 else picture, NONE, 5, reduction=reduction):
            assert patch.shape == (64, 64, 3)
            if reduction == 2:
                assert (patch[-1, 32, 1].astype(int) - patch[0, 32, 1]) in range(-1, 2)
            if side == 512:
                assert np.abs(patch.mean() - picture.mean()) < 2


def test_schedule():
    schedule = StepSchedule.parse("64:10,128:30")
    assert [schedule.at(step, 256) for step in (0, 9, 10, 29, 30, 999)] == [64, 64, 128, 128, 256, 256]
    for wrong in ("", "64", "64:0", "64:20,128:10", "a:1", "0:5", "1:2:3"):
        with pytest.raises(ValueError):
            StepSchedule.parse(wrong)


def test_scheduled_training_resumes_as_if_it_had_not_stopped(folder, tmp_path):
    choices = {"patch": 128, "batch": 2, "log_every": 1, "quiet": True, "overlap": 0.5, "augment": tuple(AUGMENTATIONS)}
    choices |= {"patch_schedule": StepSchedule.parse("64:2"), "resolution_schedule": StepSchedule.parse("2:1")}
    options = Options(folder, tmp_path / "whole", steps=3, **choices)
    whole = train(options, CONFIG).average
    with open(tmp_path / "whole" / "log.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    parts = dataclasses.replace(options, run=tmp_path / "parts")
    run = Run(parts, CONFIG)
    images = [torch.from_numpy(skimage.data.astronaut())]
    run.start(images)
    sides = []
    for x in run.batches(images):
        sides.append(x.shape[1])
        run.train_step(x)
        run.step += 1
        if run.step == 1:
            break
    assert sides == [64]
    run.save()
    for a, b in zip(whole.parameters(), train(parts, CONFIG).average.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_schedule": StepSchedule.parse("100:5")}, "multiples of 64"),
        ({"patch_schedule": StepSchedule.parse("512:5")}, "up to --patch"),
        ({"patch_schedule": StepSchedule.parse("128:5"), "loss": "ms-ssim"}, "ms-ssim needs patches of 192"),
        ({"resolution_schedule": StepSchedule.parse("99:5")}, "at most 1/16"),
        ({"augment": ("shear",)}, "there are flip"),
        ({"overlap": 1.0}, "less than 1"),
        ({"overlap": float("nan")}, "less than 1"),
    ],
)
def test_bad_options(folder, tmp_path, changes, message):
    with pytest.raises(codec.CaeError, match=message):
        train(Options(folder, tmp_path, steps=1, **changes), CONFIG)


def test_the_command_takes_them(folder, tmp_path):
    words = ["--patch-schedule", "64:5", "--resolution-schedule", "2:5", "--augment", "flip,jitter", "--overlap", "0.25"]
    arguments = command.parser().parse_args([str(folder), str(tmp_path), "--steps", "1", *words])
    assert arguments.augment == ("flip", "jitter") and arguments.overlap == 0.25
    assert arguments.patch_schedule == StepSchedule(((64, 5),))
    assert command.parser().parse_args([str(folder), str(tmp_path), "--steps", "1", "--augment", "none"]).augment == ()
    with pytest.raises(SystemExit):
        command.parser().parse_args([str(folder), str(tmp_path), "--steps", "1", "--patch-schedule", "64"])
