"""Options that contradict each other are refused alike by every door."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

import codec.pillow
from codec.commands import encode
from codec.imagecodecs import cae_encode
from codec.networks.weights import DENOISING, ENCODER, Weights
from codec.numcodecs import Cae
from codec.options import CONTRADICTIONS, TARGETS, EncodeKeywords, EncodeOptions
from codec.training.export import export_part, restore
from codec.zarr import CaeCodec

from .conftest import TINY

PIXELS = np.zeros((20, 30, 3), np.uint8)
VALUES = {
    "quality": 70,  # the default
    "lossless": True,
    "effort": 3,
    "target_size": 1000,
    "target_bpp": 1.0,
    "target_psnr": 36.0,
    "target_score": 80.0,
    "tune": "psnr",
    "weights": TINY,
}
OF_CODECS = ("tune", "weights")
"""Arguments of a `Codec`, which may hold for files of any kind: but for the command, lossless files may go with them."""
OPTIONS = [pair[:2] for pair in CONTRADICTIONS if not {*pair[:2]} & {*OF_CODECS}]
ENCODERS = ("encoder", "denoising")


def test_keywords_are_all_options_but_the_quality():
    """Type checkers and the signature of `encode` know keywords from a class of their own."""
    assert {*EncodeKeywords.__annotations__, "quality"} == {field.name for field in dataclasses.fields(EncodeOptions)}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Files of another encoder for the tiny model, and of one that says that it denoises."""
    folder = tmp_path_factory.mktemp("encoders")
    model, owner = restore(TINY), Weights.read(TINY).id
    export_part(model, ENCODER, owner, folder / "encoder.safetensors", {})
    export_part(model, ENCODER, owner, folder / "denoising.safetensors", {DENOISING: "true"})
    return {name: folder / f"{name}.safetensors" for name in ENCODERS}


@pytest.mark.parametrize(("first", "second"), OPTIONS)
def test_functions(encoders, first, second):
    options = {name: VALUES[name] for name in (first, second) if name in VALUES}
    encoder = encoders.get(first, encoders.get(second))
    arguments = {"weights": TINY, "encoder": encoder, "device": "cpu"}
    with pytest.raises(codec.CaeError, match="exclude each other: "):
        codec.encode(PIXELS, **options, **arguments)
    with pytest.raises(codec.CaeError, match="exclude each other: "):
        codec.Codec(**arguments).encode(Image.fromarray(PIXELS), **options)
    with pytest.raises(codec.CaeError, match="exclude each other: "):
        cae_encode(
            PIXELS, options.get("quality"), **{name: options[name] for name in options if name != "quality"}, **arguments
        )
    if not {*options} & {*TARGETS}:
        with pytest.raises(codec.CaeError, match="exclude each other: "):
            codec.create(io.BytesIO(), (30, 20), "RGB", **options, **arguments)


@pytest.mark.parametrize(("first", "second"), [pair for pair in OPTIONS if not {*pair} & {*ENCODERS}])
def test_plugins(first, second):
    options = {name: VALUES[name] for name in (first, second)}
    with pytest.raises(ValueError, match="exclude each other: "):
        Image.fromarray(PIXELS).save(io.BytesIO(), "CAE", **options)
    if {first, second} == {"lossless", "quality"}:
        options["quality"] = 50
    for kind in (Cae, CaeCodec):
        with pytest.raises(codec.CaeError, match="exclude each other: "):
            kind(**options)


@pytest.mark.parametrize(("first", "second"), [pair[:2] for pair in CONTRADICTIONS])
def test_command(first, second, capsys):
    words = {"lossless": ["--lossless"], "encoder": ["--encoder", "other.safetensors"], "denoising": ["--denoise"]}
    words |= {name: [f"--{name.replace('_', '-')}", str(value)] for name, value in VALUES.items() if name not in words}
    with pytest.raises(SystemExit, match="2"):
        encode.main(["in.png", "out.cae", *words[first], *words[second]])
    (line,) = capsys.readouterr().err.splitlines()
    flags = ("--denoise" if name == "denoising" else words[name][0] for name in (first, second))
    assert "exclude each other" in line and all(flag in line for flag in flags)


def test_a_denoising_encoder_of_ones_own_is_refused_as_usage(encoders, tmp_path, capsys):
    """The command learns what the file is when it reads it."""
    Image.fromarray(PIXELS).save(tmp_path / "in.png")
    names = [str(tmp_path / name) for name in ("in.png", "out.cae")]
    with pytest.raises(SystemExit, match="2"):
        encode.main([*names, "--weights", str(TINY), "--encoder", str(encoders["denoising"]), "--target-psnr", "36"])
    assert "target_psnr" in capsys.readouterr().err and not (tmp_path / "out.cae").exists()


def test_what_agrees(encoders, chelsea):
    """Low efforts with all, a size with an encoder that denoises, and what earlier versions stored of lossless chunks."""
    arguments = {"weights": TINY, "device": "cpu"}
    assert codec.info(codec.encode(PIXELS, lossless=True, effort=2, **arguments)).lossless
    assert len(codec.encode(chelsea[:64, :64], target_size=300, effort=1, encoder=encoders["denoising"], **arguments)) <= 300
    for kind in (Cae, CaeCodec):
        assert kind(quality=70, lossless=True) == kind(lossless=True)


def test_chunks_store_the_quality_that_they_take():
    assert Cae().get_config()["quality"] == 70 and Cae(quality=7).get_config()["quality"] == 7
    assert "quality" not in Cae(lossless=True).get_config() and "quality" not in Cae(target_size=100).get_config()
