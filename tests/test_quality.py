"""A step of quality: its effect on a file's size and on the picture, with the shipped weights.

`python -m tests.test_quality` prints it for photographs' crops and for plain colours.
"""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
import skimage.data

import codec
from benchmarks.core.metrics import ssimulacra2
from codec.coding import encoder
from codec.options import TUNES

from .conftest import psnr

QUALITIES = range(1, 101)


def curve(subject: codec.Codec, pixels: np.ndarray, qualities: Iterable[int] = QUALITIES) -> tuple[np.ndarray, np.ndarray]:
    """Sizes in bytes and mean squared errors at each quality."""
    files = [subject.encode(pixels, quality) for quality in qualities]
    return np.array([len(data) for data in files]), np.array(
        [np.mean((subject.decode(f) - pixels.astype(float)) ** 2) for f in files]
    )


@pytest.mark.parametrize("first", [1, 30, 48, 70, 95])
def test_each_step_counts_on_a_photograph(astronaut, first):
    sizes, errors = curve(codec.Codec(tune="psnr", device="cpu"), astronaut[:192, 150:342], range(first, first + 6))
    assert (np.diff(sizes) > 0).all()
    assert (np.diff(errors) < 0).all()


@pytest.mark.parametrize("first", [1, 30, 48, 70, 80])
def test_each_step_costs_bytes_and_six_are_seen(default, astronaut, first):
    """Where qualities are points of a score, squared errors may grow by a step."""
    crop = astronaut[:192, 150:342]
    sizes, errors = curve(default, crop, range(first, first + 6))
    assert (np.diff(sizes) >= 0).all() and sizes[-1] > sizes[0] and errors[-1] < errors[0]
    first, last = (ssimulacra2(crop, default.decode(default.encode(crop, quality))) for quality in (first, first + 5))
    assert 0.5 < last - first < 9


@pytest.mark.parametrize("colour", [(120, 170, 220), (200, 30, 90)])
def test_no_step_tints_a_plain_colour(default, no_layers, colour):
    """A bound for these two colours; the report shows others."""
    sizes, errors = curve(default, np.full((128, 128, 3), colour, np.uint8))
    assert np.diff(errors).max() < 3
    assert sizes[-1] > sizes[49]  # up to there a file of a plain colour hardly grows
    assert errors[-1] < errors[49] < errors[0]


@pytest.mark.parametrize("grey", [77, 128])
def test_plain_greys_come_out_close(default, no_layers, grey):
    pixels = np.full((128, 128), grey, np.uint8)
    for quality in range(20, 60, 4):
        assert psnr(default.decode(default.encode(pixels, quality)), pixels) > 48.5


@pytest.mark.parametrize(("side", "bound"), [(64, 0.25), (32, 0.5)])
def test_no_step_loses_much_on_a_small_crop(default, astronaut, side, bound):
    sizes, errors = curve(default, astronaut[100 : 100 + side, 200 : 200 + side])
    assert (10 * np.diff(np.log10(errors))).max() < bound
    assert np.diff(sizes).min() >= -8


def report() -> None:
    """Prints, for each model and kind of pictures: steps without a larger file, or a better picture, and the greatest loss.

    All is coded by the transform, as nothing else has steps.
    """
    encoder.choose_layers = lambda *_: {}
    crops = [(skimage.data.astronaut(), 100, 200), (skimage.data.coffee(), 200, 300), (skimage.data.chelsea(), 100, 100)]
    kinds = {
        f"crops of photographs, {side} x {side}": [picture[y : y + side, x : x + side] for picture, y, x in crops]
        for side in (192, 64, 32)
    }
    colours = np.random.default_rng(0).integers(0, 256, (14, 3), np.uint8)
    kinds["plain colours, 64 x 64"] = [np.broadcast_to(colour, (64, 64, 3)).copy() for colour in colours]
    kinds["plain greys, 128 x 128"] = [np.full((128, 128), level, np.uint8) for level in (0, 77, 128, 255)]
    for tune, (kind, pictures) in itertools.product(TUNES, kinds.items()):
        subject = codec.Codec(device="cpu", tune=tune)
        sizes, errors = (np.array(values) for values in zip(*(curve(subject, picture) for picture in pictures), strict=True))
        change = -10 * np.diff(np.log10(np.maximum(errors, 1e-2)), axis=1)
        small, worse = (np.diff(sizes, axis=1) <= 0).mean(), (change <= 0).mean()
        visible = np.where(errors[:, 1:] > 1, change, 0)
        print(
            f"{tune}, {kind}: {small:.1%} of the steps no larger, {worse:.1%} no better, a step loses "
            f"{max(0, -change.min()):.2f} dB at most ({max(0, -visible.min()):.2f} where the squared error is above 1)"
        )


if __name__ == "__main__":
    report()
