"""The scale of qualities: levels at which a quality is its own score."""

import dataclasses

import numpy as np
import pytest
import skimage.data

from codec.networks.config import SCORED_UP_TO, Config, checked
from codec.training import quality_scale
from codec.training.export import restore
from codec.training.quality_scale import KNOTS, levels_of, with_quality_scale

from .conftest import TINY


def test_levels_lie_on_straight_lines_between_qualities():
    config = Config(quality_levels=(-1.0, 2.0, 8.0))
    assert [config.level(quality) for quality in (1, 25.75, 50.5, 75.25, 100)] == [-1.0, 0.5, 2.0, 5.0, 8.0]


def test_expected_scores():
    """The quality itself, then evenly up to the highest score."""
    config = Config(score_max=93.4)
    assert [config.expected_score(quality) for quality in (1, 40, SCORED_UP_TO, 100)] == [1, 40, 89, 93.4]
    assert config.expected_score(90) == pytest.approx(89.4)
    assert Config().expected_score(40) is None


def test_levels_of_scores():
    levels = np.array([-1.0, 0.0, 1.0, 2.0])
    assert levels_of([10, 15, 20, 50, 80], levels, np.array([10.0, 20.0, 60.0, 80.0])) == [-1.001, -0.5, 0.0, 0.75, 2.0]


def test_levels_below_the_lowest_score_still_rise():
    levels = levels_of([1, 5, 10, 15], np.array([0.0, 1.0]), np.array([10.0, 20.0]))
    assert levels == sorted(set(levels)) and levels[-1] == 0.5


def test_a_scale_is_measured(monkeypatch):
    """A model that scores 10 points more at each level reaches a quality's score at its level."""
    model = restore(TINY)
    model.config = dataclasses.replace(model.config, levels=10)
    monkeypatch.setattr(quality_scale, "mean_scores", lambda model, images, levels: 7.0 * levels + 5)
    config = checked(with_quality_scale(model, []))
    assert len(config.quality_levels) == KNOTS and config.score_max == 94.0
    for quality in (5, 30, 50, 89):
        assert 7 * config.level(quality) + 5 == pytest.approx(quality, abs=0.01)


def test_a_poor_model_keeps_its_levels():
    model = restore(TINY)
    assert with_quality_scale(model, [skimage.data.astronaut()[:64, :64]]) == model.config


@pytest.mark.parametrize(
    "changes", [{"quality_levels": (1.0,)}, {"quality_levels": (2.0, 1.0)}, {"quality_levels": (0.0, float("nan"))}]
)
def test_levels_that_are_none(changes):
    with pytest.raises(ValueError, match="quality_levels"):
        checked(Config(**changes))
