"""Photographs from scikit-image's wheel, and codecs with small and with real weights."""

from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import codec
from codec.commands import encode
from codec.images.streams import bands
from codec.networks import registry
from codec.networks.model import Files, Model, load

# the same examples every time, and no clock: a busy machine must not fail a test
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

DATA = Path(__file__).with_name("data")
TINY = DATA / "tiny.safetensors"

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="session")
def tiny() -> codec.Codec:
    return codec.Codec(weights=TINY, device="cpu", threads=2)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A folder with a small photograph, to train on."""
    made = tmp_path_factory.mktemp("images")
    Image.fromarray(skimage.data.astronaut()[:256, :256]).save(made / "astronaut.png")
    return made


@pytest.fixture(scope="session")
def mixed_folder(tmp_path_factory) -> Path:
    """A folder with three photographs, a broken file and one that is no picture, to train on."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("astronaut", "coffee", "chelsea"):
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("not an image either")
    return folder


@pytest.fixture(scope="session")
def default() -> codec.Codec:
    return codec.Codec(device="cpu", threads=2)


@pytest.fixture
def install_weights(monkeypatch) -> Callable[[Path], None]:
    """Makes a folder the one that installed weights are looked for in."""
    return lambda folder: monkeypatch.setattr(registry, "WEIGHTS_FOLDER", folder)


@pytest.fixture
def tiny_plugin(monkeypatch) -> None:
    """Makes Pillow's plugin use the tiny weights, on the CPU."""
    from codec import pillow

    monkeypatch.setattr(pillow, "ARGUMENTS", {"weights": TINY, "device": "cpu"})


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    return load(Files(TINY))


@pytest.fixture(scope="session")
def default_model() -> Model:
    return load(Files(registry.default_path()))


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def chelsea() -> np.ndarray:
    """300 x 451 pixels: no multiple of anything."""
    return skimage.data.chelsea()


@pytest.fixture
def photograph(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(skimage.data.chelsea()).save(path)
    return path


@pytest.fixture
def encoded(tmp_path, photograph) -> Path:
    path = tmp_path / "photo.cae"
    encode.main([str(photograph), str(path), "--weights", str(TINY), "--tile", "128"])
    return path


@pytest.fixture
def no_layers(monkeypatch) -> None:
    """Nothing is coded without loss for being cheaper so."""
    monkeypatch.setattr("codec.coding.encoder.choose_layers", lambda *_: {})


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(float) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


@pytest.fixture
def many_bands(monkeypatch):
    """A picture of this size would be one band."""
    monkeypatch.setattr(bands, "BAND_PIXELS", 5000)
