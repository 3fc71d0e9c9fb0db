"""BD-rates against known answers, and curves."""

import dataclasses

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from benchmarks.core import bd
from benchmarks.core.curves import Curve, choose_published, image_curve, mean_curve, published
from benchmarks.core.metrics import METRICS
from benchmarks.core.store import Point
from benchmarks.rate import check_jpeg
from codec import CaeError

PSNR = METRICS["psnr_rgb"]


def curve(rates, heights, name="test"):
    return Curve(name, name, tuple(range(len(rates))), tuple(rates), {"psnr_rgb": tuple(heights)})


ANCHOR = curve([0.2, 0.4, 0.9, 1.5, 2.6], [25, 28, 32, 35, 39], "anchor")


def test_a_fifth_fewer_bits():
    test = curve([0.8 * rate for rate in ANCHOR.bpp], ANCHOR.values["psnr_rgb"])
    assert bd.bd_rate(ANCHOR, test, PSNR) == bd.BdRate(pytest.approx(-20), 1.0)
    assert bd.bd_rate(ANCHOR, ANCHOR, PSNR).percent == pytest.approx(0)


def test_second_implementation():
    test = curve([0.15, 0.3, 0.8, 2.0], [26, 29, 33.5, 37])
    grid = np.linspace(26, 37, 20001)
    logs = [PchipInterpolator(side.values["psnr_rgb"], np.log(side.bpp))(grid) for side in (ANCHOR, test)]
    expected = 100 * (np.exp(np.mean(logs[1] - logs[0])) - 1)
    result = bd.bd_rate(ANCHOR, test, PSNR)
    assert result.percent == pytest.approx(expected, abs=1e-3)
    assert result.overlap == pytest.approx(11 / 14)
    assert result.note is None


def test_little_overlap_is_noted():
    result = bd.bd_rate(ANCHOR, curve([1, 2, 3, 4], [34, 38, 42, 46]), PSNR)
    assert result.overlap == pytest.approx(5 / 21)
    assert result.note == "the curves overlap by only 24%"


@pytest.mark.parametrize(
    ("rates", "heights", "note"),
    [
        ([1, 2, 3, 4], [41, 42, 43, 44], "no quality in common"),
        ([1, 2, 3], [26, 30, 34], "fewer than 4 points"),
        ([1, 2, 3, 4, 5], [26, 30, 29, 28, 34], "fewer than 4 points"),
        ([1, 2, 3, 4], [26, 30, None, 34], "fewer than 4 points"),
        ([], [], "fewer than 4 points"),
    ],
)
def test_no_bd_rate(rates, heights, note):
    result = bd.bd_rate(ANCHOR, curve(rates, heights), PSNR)
    assert result.percent is None
    assert note in result.note


def test_points_worse_than_cheaper_ones_do_not_count():
    odd = curve([0.2, 0.3, 0.4, 0.9, 0.9, 1.5, 2.6], [25, 24, 28, 32, 31, 35, 39])
    assert odd.front(PSNR) == ([0.2, 0.4, 0.9, 1.5, 2.6], [25, 28, 32, 35, 39])
    assert bd.bd_rate(ANCHOR, odd, PSNR).percent == pytest.approx(0)


def test_both_averages():
    half, same = (curve([factor * rate for rate in ANCHOR.bpp], ANCHOR.values["psnr_rgb"]) for factor in (0.5, 1.0))
    far = curve([1, 2, 3, 4], [51, 52, 53, 54])
    pairs = [("a", ANCHOR, half), ("b", ANCHOR, same), ("c", ANCHOR, far)]
    result = bd.compare(ANCHOR, half, pairs, PSNR, samples=3)
    assert result.mean_of_image_bd_rates == pytest.approx(-25)
    assert result.bd_rate_of_mean_curve == pytest.approx(-50)
    assert result.images == 2
    assert result.notes == ("images: only 2 of 3 have a BD-rate",)


def test_comparison_notes_weak_overlap():
    weak = curve([1, 2, 3, 4], [34, 38, 42, 46])
    result = bd.compare(ANCHOR, weak, [("a", ANCHOR, weak)], PSNR, samples=1)
    assert result.overlap == pytest.approx(5 / 21)
    assert result.notes == (
        "mean curve: the curves overlap by only 24%",
        "images: on 1 of 1 the curves overlap by less than 50%",
    )


def test_comparison_without_any_bd_rate():
    far = curve([1, 2, 3, 4], [51, 52, 53, 54])
    result = bd.compare(ANCHOR, far, [], PSNR, samples=1)
    assert (result.mean_of_image_bd_rates, result.bd_rate_of_mean_curve, result.overlap) == (None, None, 0.0)


def point(image, setting, size, psnr):
    return Point(image, image * 64, 80, 100, "c", "1", setting, size, {"psnr_rgb": psnr}, 0, 0)


def test_image_curve_ascends():
    made = image_curve([point("a", 10, 300, 30.0), point("a", 20, 100, 20.0)], "C")
    assert (made.settings, made.bpp, made.values["psnr_rgb"]) == ((20, 10), (0.1, 0.3), (20.0, 30.0))


def test_mean_curve():
    points = [
        point("a", 1, 100, 20.0),
        point("b", 1, 300, 24.0),
        point("a", 2, 400, 30.0),  # failed on b
        point("a", 3, 600, 40.0),
        point("b", 3, 800, None),
    ]
    made = mean_curve(points, "C", images=2)
    assert made.settings == (1, 3)
    assert made.bpp == pytest.approx((0.2, 0.7))
    assert made.values["psnr_rgb"] == (22.0, None)
    assert made.scaled(PSNR) == ([pytest.approx(0.2)], [22.0])


def test_published_curves():
    for name, made in published().items():
        assert made.published
        assert made.source.startswith("InterDigitalInc/CompressAI"), name
        assert list(made.bpp) == sorted(made.bpp)
        assert made.values.keys() <= METRICS.keys()
        assert all(len(values) == len(made.bpp) for values in made.values.values())
    # VTM, the reference software of the best standard codec, takes well under half of JPEG's bits
    assert -70 < bd.bd_rate(published()["JPEG"], published()["VVC VTM intra"], PSNR).percent < -50


def test_unknown_published_curve():
    with pytest.raises(CaeError, match="'VVC' is unknown; there are JPEG"):
        choose_published(["VVC"])


def test_agreement_of_jpeg_curves():
    reference = published()["JPEG"]
    more = dataclasses.replace(reference, bpp=tuple(1.015 * rate for rate in reference.bpp))
    agreement = check_jpeg.compare(more, reference)
    assert agreement.rate == pytest.approx(0.015)
    assert agreement.bd_rates["psnr_rgb"] == pytest.approx(1.5)
    assert agreement.values["psnr_rgb"] == 0
    assert agreement.holds()
    worse = {name: tuple(value - 0.2 for value in values) for name, values in reference.values.items()}
    assert not check_jpeg.compare(dataclasses.replace(reference, values=worse), reference).holds()
    with pytest.raises(CaeError, match="one by one"):
        check_jpeg.compare(curve([1], [30]), reference)
