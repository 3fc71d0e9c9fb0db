"""CompressAI's models as the benchmark runs them, and its parts as second implementations, where it is installed."""

import json
import warnings

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.codecs import compressai as peers
from benchmarks.core import metrics
from benchmarks.speed import speed
from codec import CaeError
from codec.networks.entropy_model import SCALE_MIN, LowerBound, gaussian_bits
from codec.training.calibration import gaussian_mass

# the code that torch compiles as CompressAI is imported is CompressAI's
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(scope="module", autouse=True)
def compressai():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("compressai")


@pytest.fixture(scope="module")
def checkpoints(compressai, tmp_path_factory):
    """Two small models of mean-scale hyperpriors, untrained."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for number in (1, 2):
        torch.manual_seed(number)
        model = compressai.models.MeanScaleHyperprior(8, 8 * number)
        torch.save({"state_dict": model.state_dict()}, folder / f"{number}.pth")
    return f"mbt2018-mean={folder}/1.pth,{folder}/2.pth"


@pytest.mark.parametrize("name", peers.ARCHITECTURES)
def test_untrained_models(name):
    """Every file is decoded to a picture of its size, by the model's own entropy coder."""
    codec = peers.untrained("cpu")[name]
    pixels = skimage.data.chelsea()[:70, :100]
    data = codec.encode(pixels, *codec.settings)
    decoded = codec.decode(data)
    assert codec.available() is None and len(data) > 20
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8
    assert np.array_equal(decoded, codec.decode(data))


def test_speed_of_an_untrained_model():
    timing = speed.measure(speed.SpeedJob("mbt2018-mean", 1, (70, 130), 1, 1, "cpu"))
    # 5x5 convolutions at 1/2, 1/4, 1/8 and 1/16 dominate
    assert timing.macs is not None and 30_000 < min(timing.macs) < max(timing.macs) < 120_000
    assert len(timing.encode) == len(timing.decode) == 2 and timing.bpp > 0


def test_curves_from_checkpoints(tmp_path, checkpoints):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(skimage.data.chelsea()[:80, :100]).save(folder / "cat.png")
    options = ["--checkpoints", checkpoints, "--codecs", "jpeg,mbt2018-mean", "--metrics", "psnr_rgb", "--no-page"]
    main(["run", str(folder), *options, "--out", str(tmp_path), "--jobs", "1"])
    points = [json.loads(line) for line in (tmp_path / "points.jsonl").read_text().splitlines()]
    assert sum("mbt2018-mean" in json.dumps(point) for point in points) == 2


def test_architectures_that_are_none(checkpoints):
    with pytest.raises(CaeError, match="no architecture 'elic'; it has bmshj2018-factorized"):
        peers.parse(checkpoints.replace("mbt2018-mean", "elic"), "cpu").encode(np.zeros((64, 64, 3), np.uint8), 1)


def test_metrics_are_those_of_its_evaluation():
    from compressai.utils.eval_model.__main__ import compute_metrics

    original = skimage.data.chelsea()
    decoded = np.clip(original + np.random.default_rng(0).normal(0, 9, original.shape), 0, 255).astype(np.uint8)
    pair = [torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None] / 255 for pixels in (original, decoded)]
    expected = compute_metrics(*pair)
    assert metrics.psnr_rgb(original, decoded) == pytest.approx(expected["psnr-rgb"], abs=1e-4)
    assert metrics.ms_ssim_rgb(original, decoded) == pytest.approx(expected["ms-ssim-rgb"], abs=1e-5)


def test_lower_bound(compressai):
    x = torch.linspace(-1, 1, 21)
    for sign in (1.0, -1.0):
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        values = LowerBound.apply(ours, 0.25), compressai.ops.LowerBound(0.25)(theirs)
        for value in values:
            (sign * value).sum().backward()
        assert torch.equal(*values) and torch.equal(ours.grad, theirs.grad)


def test_gaussian_bits(compressai):
    """Bits that training estimates, of latents and hyper-latents, and the masses of the tables that are made of them."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.empty(1, 4, 4, 8, dtype=torch.float64).uniform_(SCALE_MIN, 8, generator=generator)
    deviation = torch.round(3 * torch.randn(1, 4, 4, 8, dtype=torch.float64, generator=generator))
    theirs = compressai.entropy_models.GaussianConditional(None, scale_bound=SCALE_MIN).double()
    expected = -torch.log2(theirs._likelihood(deviation, scale).clamp_min(1e-9))
    assert torch.allclose(gaussian_bits(deviation.abs(), scale.log()), expected, rtol=1e-5)
    symbols = torch.arange(-5, 6, dtype=torch.float64)
    assert np.allclose(gaussian_mass(1.7, 5), theirs._likelihood(symbols, torch.full_like(symbols, 1.7)).numpy())
