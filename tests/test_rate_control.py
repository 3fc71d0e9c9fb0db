"""Files of a given size, and pictures of a given fidelity."""

import dataclasses
import warnings

import numpy as np
import pytest
from PIL import Image

import codec
from benchmarks.core.metrics import ssimulacra2
from benchmarks.core.synthetic_pictures import PICTURES
from codec import CaeError
from codec.coding.encoder import encode
from codec.coding.jobs import EncodeJob
from codec.coding.secant_search import TRIES_MAX, best, secant_search
from codec.coding.settings import Settings
from codec.commands.encode import main
from codec.networks.config import RDO_WEIGHT
from codec.options import EncodeOptions

from .conftest import TINY, psnr


@pytest.mark.parametrize("share", [0.3, 0.62])
def test_sizes_are_met_from_below(default, astronaut, share):
    """The integer qualities alone would miss these targets, as their sizes are 3 % apart."""
    pixels = astronaut[:192, 150:342]
    low, high = (len(default.encode(pixels, quality)) for quality in (40, 60))
    target = round(low + share * (high - low))
    data = default.encode(pixels, target_size=target)
    assert 0.98 * target <= len(data) <= target
    assert 40 <= codec.info(data).quality <= 60
    bits = 8 * target / (192 * 192)
    assert 0.98 * bits <= codec.info(default.encode(pixels, target_bpp=bits)).bits_per_pixel <= bits


def test_psnr_is_met(default, astronaut):
    pixels = np.dstack([astronaut[:192, 150:342], np.arange(192 * 192, dtype=np.uint8).reshape(192, 192)])
    decoded = default.decode(default.encode(pixels, target_psnr=34.3))
    seen = pixels[..., 3] > 0
    assert 34.25 - 1e-3 <= psnr(decoded[seen, :3], pixels[seen, :3]) <= 34.35 + 1e-3


def test_a_score_is_met(default, astronaut):
    """As the package `ssimulacra2` measures it; 16-bit pictures and gray ones have one as well."""
    pixels = astronaut[:256, 128:384]
    decoded = default.decode(default.encode(pixels, target_score=70))
    assert abs(ssimulacra2(pixels, decoded) - 70) <= 0.5
    deep = pixels[..., 1].astype(np.uint16) * 257
    shown = default.decode(default.encode(deep, target_score=60)) / 257
    gray = [np.repeat(part[..., None], 3, 2).round().astype(np.uint8) for part in (pixels[..., 1], shown)]
    assert abs(ssimulacra2(*gray) - 60) <= 0.5


@pytest.mark.parametrize(
    ("target", "quality", "message"),
    [
        ({"target_size": 60}, 1, "quality 1 is the minimum"),
        ({"target_size": 10**6}, 100, "quality 100 is the maximum"),
        ({"target_psnr": 99}, 100, "target of 99.0 dB is not met: the file has no errors in .* dB in"),
        ({"target_score": 99.5}, 100, r"target of 99.5 points is not met: the file has no errors in \d+ bytes"),
        ({"target_bpp": 1e-3}, 1, "bits per pixel is not met.* quality 1 is the minimum"),
    ],
)
def test_what_cannot_be_reached_is_said(tiny, chelsea, target, quality, message):
    with pytest.warns(RuntimeWarning, match=message):
        data = tiny.encode(chelsea[:64, :64], **target)
    assert codec.info(data).quality == quality


def test_what_the_transform_cannot_show_is_coded_without_loss_where_a_target_asks_for_it(tiny):
    """As at quality 100 without a target, and no more than a size allows."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    exact = len(tiny.encode(noise, 100))
    assert np.array_equal(tiny.decode(tiny.encode(noise, 100)), noise)
    for target, is_exact in (({"target_psnr": 45}, True), ({"target_size": exact}, True), ({"target_size": exact - 1}, False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = tiny.encode(noise, **target)
        assert np.array_equal(tiny.decode(data), noise) == is_exact
        assert is_exact or len(data) < exact


def test_drawings_that_turn_exact(default):
    """From one quality to the next: the exact file rather than one that is far below what was asked for."""
    drawing = np.asarray(PICTURES["diagram"]())[:256, :384]
    with pytest.warns(
        RuntimeWarning, match=r"the file has no errors in \d+ bytes, the next below would have a PSNR of \d\d\.\d\d dB in"
    ):
        data = default.encode(drawing, target_psnr=45)
    assert np.array_equal(default.decode(data), drawing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target = psnr(default.decode(default.encode(drawing, 10)), drawing)
        data = default.encode(drawing, target_psnr=target)
    assert abs(psnr(default.decode(data), drawing) - target) <= 0.05


@pytest.mark.parametrize(
    "options",
    [
        {"target_size": 0},
        {"target_size": 1.5},
        {"target_bpp": float("nan")},
        {"target_psnr": "36"},
        {"target_psnr": True},
        {"target_score": -5},
        {"target_score": 80, "target_psnr": 36},
        {"target_size": 9, "target_bpp": 1},
    ],
)
def test_what_is_no_target(options):
    with pytest.raises(CaeError, match="target_"):
        EncodeOptions(**options)


def test_a_lower_weight_saves_bits(default_model, astronaut):
    """About what a step of quality does, see STEP."""
    pixels = astronaut[:192, 150:342]
    job = EncodeJob.of(default_model, Settings(1), (192, 192), 3, EncodeOptions(60))
    sizes = [len(encode(pixels, dataclasses.replace(job, rdo_weight=share * RDO_WEIGHT), {})) for share in (0.5, 0.7, 1, 1.4)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    assert len(encode(pixels, job, {})) == sizes[2]


@pytest.mark.parametrize("seed", range(20))
def test_seeking_ends(seed):
    """On functions that rise, but for noise, and on those that do not rise at all."""
    rng = np.random.default_rng(seed)
    noise, rise = rng.normal(size=10_001), rng.choice([0, 0.01, 1, 100])

    def measure(place: float) -> float:
        return rise * place + noise[round(100 * place)]

    tried = secant_search(measure, 40, 41, within=(0, 100), start=rng.uniform(-50, 150), slope=rng.choice([0.1, 1, 10]))
    assert len(tried) <= TRIES_MAX and all(0 <= place <= 100 for place in tried)
    assert best(tried, 41) in tried


def test_seeking_finds_what_there_is():
    tried = secant_search(lambda place: np.exp(place / 30), 20, 20.3, within=(0, 100), start=10, slope=0.3)
    assert 20 <= list(tried.values())[-1] <= 20.3 and len(tried) <= 8
    tried = secant_search(float, 200, 300, within=(0, 100), start=10, slope=1)
    assert best(tried, 300) == 100


def test_command(tmp_path, astronaut, capsys):
    source, out = tmp_path / "a.png", tmp_path / "a.cae"
    Image.fromarray(astronaut[:192, 150:342]).save(source)
    main([str(source), str(out), "--weights", str(TINY), "--target-size", "2.5k"])
    assert 2450 <= out.stat().st_size <= 2500
    for options, message in (
        (["--target-size", "2x"], "2x"),
        (["--target-size", "1k", "-q", "3"], "-q"),
        (["--target-bpp", "0"], "--target-bpp"),
        (["--target-psnr", "30", "--max-pixels", "128"], "limit of 128"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([str(source), str(out), "--weights", str(TINY), *options])
        assert message in (capsys.readouterr().err if stop.value.code == 2 else str(stop.value.code))
    assert 2450 <= out.stat().st_size <= 2500
