"""The integer scale model: exact sums, stages that see what is coded, and indices that are pinned."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.entropy.scale_model import (
    DIAGONALS,
    EDGES,
    MAGNITUDE_UNIT,
    SCALES,
    STAGES,
    ScaleModel,
    indices,
    places,
    stage_of,
)

from .scale_models import HYPER, LATENT, scale_tensors


def by_the_format(tensors, hyper, quality, symbols):
    """Scale indices (h, w, N) as FORMAT.md words them: position by position, in Python's integers."""
    h, w, n = symbols.shape
    out, surprise = np.zeros((h, w, n), int), {}
    magnitudes = [round(MAGNITUDE_UNIT * np.log2(1 + magnitude)) for magnitude in range(32)]

    def divided(value, shift):
        return (value + (2**shift >> 1)) >> shift

    for stage in range(STAGES):
        for row, column, c in np.ndindex(h, w, n):
            if stage_of(row, column, c) != stage:
                continue
            at = (4 * (row % 4) + column % 4) * n + c
            steps = [-1 if part % 4 < 2 else 1 for part in (row, column)]
            near = [(row // 4 + i, column // 4 + j) for i in (0, steps[0]) for j in (0, steps[1])]
            near = [(max(0, min(len(hyper) - 1, i)), max(0, min(hyper.shape[1] - 1, j))) for i, j in near]
            z = [max(-127, min(127, int(value))) for position in near for value in hyper[position]]
            weights = tensors["map.weight"][at].tolist()
            scale = divided(sum(a * b for a, b in zip(weights, z, strict=True)), int(tensors["map.shift"][at]))
            scale += int(tensors["bias"][quality - 1, c])
            total = 0
            for m in range(n):
                if stage and stage_of(row, column, m) < stage:
                    total += int(tensors["own.weight"][c, m]) * surprise[row, column, m]
                if stage and stage_of(row, column, m) == stage:
                    for name, offsets in (("edge", EDGES), ("diagonal", DIAGONALS)):
                        around = sum(surprise.get((row + i, column + j, m), 0) for i, j in offsets)
                        total += int(tensors[f"{name}.weight"][c, m]) * (around // 4)
            if stage:
                scale += divided(total, int(tensors["context.shift"][c]))
            out[row, column, c] = max(0, min(SCALES - 1, (scale + 8) >> 4))
        for row, column, c in np.ndindex(h, w, n):
            if stage_of(row, column, c) == stage:
                magnitude = magnitudes[min(31, abs(int(symbols[row, column, c])))]
                surprise[row, column, c] = magnitude - int(tensors["expected"][out[row, column, c]])
    return out


def stage_by_stage(model, hyper, quality, symbols):
    """The same by `TileScales`."""
    scales = model.coding(hyper, quality, *symbols.shape[:2])
    out = np.full(symbols.shape, 255, np.uint8)
    for stage in range(STAGES):
        for place, index in list(scales.stage(stage)):
            out[place] = index
            scales.add(place, symbols[place], index)
    return out


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (5, 4), (4, 9)])
def test_indices_are_those_of_the_format(height, width):
    """Every step, by Python's integers: with weights as large as they may be, float32 sums come out exact."""
    rng = np.random.default_rng(height)
    tensors = scale_tensors(rng)
    hyper = rng.integers(-200, 200, (-(-height // 4), -(-width // 4), HYPER)).astype(np.int32)
    symbols = (rng.standard_cauchy((height, width, LATENT)) * 3).clip(-500, 500).astype(np.int32)
    made = stage_by_stage(ScaleModel(tensors, LATENT, HYPER), hyper, 37, symbols)
    assert np.array_equal(made, by_the_format(tensors, hyper, 37, symbols))


def test_stages_part_the_latents():
    """Each latent is coded once, and every position has a fourth of its channels in each stage."""
    seen = np.full((6, 7, 8), -1)
    for stage in range(STAGES):
        for place in places(stage):
            assert (seen[place] == -1).all()
            seen[place] = stage
    assert (seen >= 0).all() and all((seen == stage).sum(-1).min() == 2 for stage in range(STAGES))
    assert all(seen[at] == stage_of(*at) for at in np.ndindex(seen.shape))


@given(st.integers(0, 2**32), st.integers(1, 100))
def test_order_of_summation_does_not_matter(seed, quality):
    """The same map with its inputs in another order, which is what other libraries' products amount to."""
    rng = np.random.default_rng(seed)
    tensors, order = scale_tensors(rng), rng.permutation(HYPER)
    hyper = rng.integers(-127, 128, (2, 2, HYPER)).astype(np.int32)
    other = tensors | {"map.weight": tensors["map.weight"].reshape(-1, 4, HYPER)[..., order].reshape(-1, 4 * HYPER)}
    expected = ScaleModel(tensors, LATENT, HYPER).base(hyper, quality, 8, 8)
    assert np.array_equal(ScaleModel(other, LATENT, HYPER).base(hyper[..., order], quality, 8, 8), expected)


def test_indices_are_pinned():
    """A digest that no version may change."""
    rng = np.random.default_rng(1)
    model = ScaleModel(scale_tensors(rng), LATENT, HYPER)
    hyper = rng.integers(-20, 20, (3, 4, HYPER)).astype(np.int32)
    symbols = rng.integers(-9, 10, (11, 13, LATENT)).astype(np.int32)
    digest = hashlib.sha256(stage_by_stage(model, hyper, 60, symbols).tobytes()).hexdigest()
    assert digest[:16] == "85215ef826a412d6"


def test_scales_round_to_the_nearest_index():
    scales = np.array([-100, 7, 8, 23, 24, 2000], np.int32)
    assert indices(scales).tolist() == [0, 0, 1, 1, 2, SCALES - 1]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("map.weight", lambda values: values[1:]),
        ("map.weight", lambda values: np.full_like(values, -128)),
        ("own.weight", lambda values: values.astype(np.float32)),
        ("map.shift", lambda values: values + 24),
        ("bias", lambda values: values + 2**21),
        ("expected", lambda values: np.full_like(values, -128)),
    ],
)
def test_bad_tensors_are_refused(name, change):
    tensors = scale_tensors(np.random.default_rng(0))
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        ScaleModel(tensors | {name: change(tensors[name])}, LATENT, HYPER)


def test_channels_whose_sums_might_not_be_exact_are_refused():
    with pytest.raises(ValueError, match="exact sums"):
        ScaleModel(
            {
                "map.weight": np.zeros((64, 4400), np.int8), "map.shift": np.zeros(64, np.uint8),
                "bias": np.zeros((100, 4), np.int32), "context.shift": np.zeros(4, np.uint8), "expected": np.zeros(64, np.int8),
                **{f"{name}.weight": np.zeros((4, 4), np.int8) for name in ("own", "edge", "diagonal")},
            },
            4,
            1100,
        )  # fmt: skip
