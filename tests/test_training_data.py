"""Pictures and patches to train on."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import codec
from codec.training.data.augmentation import Augmentation
from codec.training.data.images import find_images, load_images
from codec.training.data.patches import random_patches

pytestmark = pytest.mark.filterwarnings("ignore:.*are not readable:RuntimeWarning")


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


def test_deep_pictures_are_trained_on_in_8_bits(tmp_path):
    ramp = np.arange(80 * 90, dtype=np.uint16).reshape(80, 90) * 9
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    (image,) = load_images(find_images(tmp_path), 64, 2**30, quiet=True)
    assert image.dtype == np.uint8 and np.abs(image.astype(float) - ramp[..., None] / 257).max() < 1


def test_pictures_that_memory_does_not_hold_are_told(mixed_folder):
    size = skimage.data.astronaut().nbytes + skimage.data.coffee().nbytes + skimage.data.chelsea().nbytes
    with pytest.warns(RuntimeWarning, match="only 2 of 4 images"):
        assert len(load_images(find_images(mixed_folder), 64, size - 1, quiet=True)) == 2


def test_pictures_left_out_are_told(mixed_folder):
    with pytest.warns(RuntimeWarning, match="1 images are not readable"):
        load_images(find_images(mixed_folder), 64, 2**30, quiet=True)
