"""Searched symbols: better files of the same format, the same each time."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import codec
from benchmarks.core.metrics import ssimulacra2
from codec.coding.jobs import EncodeJob
from codec.coding.latent_search import SCHEDULES, SearchTarget, annealed_rounding
from codec.commands import encode
from codec.format.geometry import Rect
from codec.networks.quantisation import Quantiser
from codec.options import TUNES, EncodeOptions

from .conftest import TINY, psnr

PHOTOGRAPH = skimage.data.astronaut()[:160, 96:288]


def fidelity(data: bytes, tune: str) -> float:
    """PSNR or SSIMULACRA 2, by what the model was trained for."""
    decoded = codec.decode(data, device="cpu")
    return psnr(decoded, PHOTOGRAPH) if tune == "psnr" else ssimulacra2(PHOTOGRAPH, decoded)


def excess(data: bytes, tune: str, others: list[bytes]) -> float:
    """The logarithm of a file's size over that at which others, of rising quality, would be as good."""
    points = [(fidelity(other, tune), math.log(len(other))) for other in others]
    assert points == sorted(points)
    return math.log(len(data)) - float(np.interp(fidelity(data, tune), *zip(*points, strict=True)))


@pytest.mark.parametrize(("tune", "effort"), [("eye", 3), ("psnr", 3), ("psnr", 4)])
def test_a_search_saves_bits_at_equal_fidelity(tune, effort):
    """On one thread, since other sums of products end at other symbols."""
    coder = codec.Codec(tune=tune, device="cpu", threads=1)
    usual = [coder.encode(PHOTOGRAPH, quality) for quality in (35, 38, 40, 43, 46)]
    assert excess(coder.encode(PHOTOGRAPH, 40, effort=effort), tune, usual) < -0.01


@pytest.mark.parametrize("tune", TUNES)
def test_choosing_by_bits_beats_rounding(tune):
    coder = codec.Codec(tune=tune, device="cpu")
    rounded = [coder.encode(PHOTOGRAPH, quality, effort=1) for quality in (45, 50, 55, 60)]
    assert excess(coder.encode(PHOTOGRAPH, 55), tune, rounded) < 0


@pytest.mark.parametrize("shape", [(70, 130), (70, 130, 3), (130, 70, 4), (1, 1, 3), (64, 64, 2)])
def test_every_kind_of_picture_and_of_tile(tiny, shape):
    """Tiles that end anywhere, next to others, above and below, gray and with alpha."""
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    data = tiny.encode(image, 60, tile=64, effort=3)
    decoded = tiny.decode(data)
    assert decoded.shape == shape
    if len(shape) == 3 and shape[2] in (2, 4):
        assert (decoded[..., -1] == image[..., -1]).all()


def test_the_number_of_threads_changes_nothing():
    image = skimage.data.coffee()[:70, :130]
    one, two = (codec.Codec(weights=TINY, threads=threads).encode(image, 40, tile=64, effort=3) for threads in (1, 2))
    assert one == two


def test_rows_by_pieces_give_the_same_file(tiny, tmp_path):
    image = skimage.data.coffee()[:140, :70]
    with tiny.create(tmp_path / "a.cae", (70, 140), "RGB", tile=64, effort=3) as out:
        for row in image:
            out.write(row[None])
    assert (tmp_path / "a.cae").read_bytes() == tiny.encode(image, tile=64, effort=3)


def test_the_command_passes_the_effort_on(tiny, tmp_path):
    image = skimage.data.coffee()[:70, :100]
    Image.fromarray(image).save(tmp_path / "a.png")
    for effort in (1, 2, 3):
        encode.main(
            [str(tmp_path / "a.png"), str(tmp_path / "a.cae"), "-e", str(effort), "--weights", str(TINY), "--device", "cpu"]
        )
        assert (tmp_path / "a.cae").read_bytes() == tiny.encode(image, effort=effort)
    assert tiny.encode(image, effort=3) != tiny.encode(image)


@pytest.mark.parametrize("effort", [0, 6, -1, 2.5, "4", True])
def test_other_efforts_are_refused(tiny, effort):
    with pytest.raises(codec.CaeError, match="effort"):
        tiny.encode(PHOTOGRAPH, effort=effort)


def test_efforts_take_more_and_more_iterations():
    iterations = [sum(each.iterations for each in SCHEDULES[effort]) for effort in sorted(SCHEDULES)]
    assert iterations == sorted(set(iterations)) and list(SCHEDULES) == list(range(3, 6))


def test_relaxed_rounding_becomes_rounding():
    x = torch.tensor([-2.3, -0.9, 0.1, 0.4, 0.6, 3.8])
    hot, cold = annealed_rounding(0.5)(x), annealed_rounding(0.01)(x)
    assert torch.allclose(cold, x.round(), atol=1e-3)
    assert not torch.allclose(hot, x.round(), atol=1e-3)


def test_bits_of_real_symbols_meet_the_tables(tiny):
    tables = tiny._model.coder.exact.tables
    quantiser = Quantiser(tables)
    for number in (0, 20, 63):
        frequencies = tables[number].frequencies.astype(float)
        symbols = torch.arange(-2.0, 3.0)
        expected = np.log2(frequencies.sum()) - np.log2(frequencies[tables[number].radius + np.arange(-2, 3)])
        expected = np.concatenate([expected[2:][::-1][:2], expected[2:]])  # of a magnitude, the positive symbol's
        assert np.allclose(quantiser.bits(symbols, torch.full((5,), float(number))), expected, atol=1e-3)


def test_the_search_counts_the_pixels_that_it_is_done_with(tiny, tmp_path):
    image = skimage.data.coffee()[:150, :100]
    done = []
    with tiny.create(tmp_path / "a.cae", (100, 150), "RGB", tile=64, effort=3, progress=done.append) as out:
        out.write(image)
    assert sum(done) == pytest.approx(100 * 150) and sum(map(bool, done)) == 6 * SCHEDULES[3][0].iterations


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_programs_mode_does_not_matter(mode):
    image = PHOTOGRAPH[:64, :64]
    arguments = {"weights": TINY, "device": "cpu", "threads": torch.get_num_threads()}
    plain = codec.Codec(**arguments).encode(image, 40, effort=3)
    with mode():
        reused = codec.Codec(**arguments)
        assert reused.encode(image, 40, effort=3) == plain
    assert reused.encode(image, 40, effort=3) == plain


def test_the_default_type_does_not_matter(tiny, monkeypatch):
    monkeypatch.setitem(SCHEDULES, 5, (dataclasses.replace(SCHEDULES[5][-1], iterations=4),))
    plain = tiny.encode(PHOTOGRAPH[:64, :64], 40, effort=5)
    torch.set_default_dtype(torch.float64)
    try:
        assert tiny.encode(PHOTOGRAPH[:64, :64], 40, effort=5) == plain
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_lower_efforts_try_is_tried_again():
    for effort in range(4, 6):
        assert SCHEDULES[effort][:-1] == SCHEDULES[effort - 1]


def test_pixels_that_nobody_sees_do_not_count(tiny):
    image = np.dstack([PHOTOGRAPH[:128, :128], np.zeros((128, 128), np.uint8)])
    rows, columns = np.ogrid[:128, :128]
    image[(rows - 64) ** 2 + (columns - 64) ** 2 < 900, 3] = 255
    shown = image[..., 3] > 0
    job = EncodeJob.of(tiny._model, tiny._settings, (128, 128), 4, EncodeOptions(40, effort=3))
    latent = torch.randn(8, 8, tiny._model.config.latent_channels)
    whole, part = (
        SearchTarget.of(image[..., :3], seen, latent, Rect(0, 0, 8, 8)).cost(
            torch.zeros(1, *latent.shape, dtype=torch.int32), job
        )
        for seen in (None, shown)
    )
    other = np.where(shown[..., None], image[..., :3], 0)
    again = SearchTarget.of(other, shown, latent, Rect(0, 0, 8, 8)).cost(torch.zeros(1, *latent.shape, dtype=torch.int32), job)
    assert 0 < part < 0.5 * whole and part == again


def test_a_target_is_met_where_the_effort_is_to_round(tiny):
    for size in (400, 450, 500, 550):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert 0.98 * size <= len(tiny.encode(PHOTOGRAPH[:128, :128], effort=1, target_size=size)) <= size


def test_files_that_are_tried_for_a_target_are_counted(tiny):
    done = []
    tiny.encode(PHOTOGRAPH[:64, :64], effort=3, target_size=300, progress=done.append)
    assert sum(done) >= 64 * 64


def test_tiles_without_a_search_are_counted(tiny):
    """Flat ones, and those that are wholly coded without loss."""
    done = []
    image = np.full((64, 128, 3), 200, np.uint8)
    image[:, 64:] = 255 * (np.indices((64, 64)).sum(0) // 8 % 2)[..., None]
    tiny.encode(image, 60, tile=64, effort=3, progress=done.append)
    assert sum(done) == pytest.approx(64 * 128)
