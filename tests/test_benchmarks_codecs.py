"""One checker for all codecs under test."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.codecs import cae, compressai, pillow, registry
from benchmarks.core import bd
from benchmarks.core.curves import Curve
from benchmarks.core.metrics import METRICS, psnr_rgb
from benchmarks.rate.run import choose_codecs
from codec import CaeError

# of our own efforts one will do
CODECS = {name: codec for name, codec in registry(threads=1).items() if "-e" not in name}


def picture(height, width):
    """A smooth coloured picture with some texture."""
    noise = np.random.default_rng(2).normal(size=(height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (5, 5, 1)) * 20 + ndimage.gaussian_filter(noise, (1, 1, 1)) * 2
    return np.clip(128 + 40 * smooth / np.abs(smooth).max(), 0, 255).astype(np.uint8)


@pytest.fixture(params=CODECS, ids=str)
def codec(request):
    chosen = CODECS[request.param]
    if reason := chosen.available():
        pytest.skip(reason)
    return chosen


@pytest.mark.parametrize("shape", [(64, 96), (37, 53)])
def test_round_trip(codec, shape):
    pixels = picture(*shape)
    pixels.flags.writeable = False
    before = codec.version
    sizes, qualities = [], []
    for setting in (codec.settings[0], codec.settings[len(codec.settings) // 2], codec.settings[-1]):
        data = codec.encode(pixels, setting)
        assert type(data) is bytes
        decoded = codec.decode(data)
        assert decoded.shape == pixels.shape
        assert decoded.dtype == np.uint8
        sizes.append(len(data))
        qualities.append(psnr_rgb(pixels, decoded))
    assert sizes == sorted(sizes), "settings go from the smallest file to the largest"
    assert qualities == sorted(qualities)
    assert qualities[-1] > 30
    assert codec.version == before


def test_same_file_every_time(codec):
    pixels = picture(40, 56)
    assert codec.encode(pixels, codec.settings[2]) == codec.encode(pixels, codec.settings[2])


def test_travels_to_another_process(codec):
    copy = pickle.loads(pickle.dumps(codec))
    assert (copy.name, copy.version, copy.settings) == (codec.name, codec.version, codec.settings)


@pytest.mark.parametrize("name", ["jpeg-progressive", "webp", "avif-s6", "avif-444-s6", "jpegxl", "heic", "jpeg2000"])
def test_better_than_jpeg(name, astronaut):
    """A wrong option can cost a codec most of its worth, and no round trip shows it."""
    if reason := CODECS[name].available():
        pytest.skip(reason)
    pixels = astronaut[:256, 128:384]

    def curve(codec):
        files = [codec.encode(pixels, setting) for setting in codec.settings[1::2]]
        values = tuple(psnr_rgb(pixels, codec.decode(data)) for data in files)
        return Curve(codec.name, codec.label, (), tuple(map(len, files)), {"psnr_rgb": values})

    assert bd.bd_rate(curve(CODECS["jpeg"]), curve(CODECS[name]), METRICS["psnr_rgb"]).percent < -5


def test_names_fit_options():
    for name, codec in CODECS.items():
        assert codec.name == name
        assert not set(name) & set("=, "), "names stand in --codecs and --settings"
        assert list(codec.settings) == sorted(codec.settings)


def test_missing_library_is_reported(monkeypatch):
    for package in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(pillow.features, "check", lambda name: False)
    assert CODECS["heic"].available() == "needs the package pillow-heif: pip install pillow-heif"
    assert CODECS["jpegxl"].available() == "needs the package pillow-jxl-plugin: pip install pillow-jxl-plugin"
    assert CODECS["avif-s6"].available() == "this build of Pillow has no avif"


def test_version_names_the_options():
    assert "subsampling=4:4:4" in CODECS["jpeg-444"].version
    assert CODECS["jpeg"].version.startswith("pillow ")


def test_version_follows_the_weights(tmp_path):
    path = tmp_path / "mine.safetensors"
    codec = cae.TestedCae("cpu", 1, path)
    assert "does not exist" in codec.available()
    path.write_bytes(b"first")
    assert codec.available() is None
    assert codec.name == "cae-mine" and cae.TestedCae("cpu", 1, path, effort=5).name == "cae-mine-e5"
    assert cae.TestedCae("cpu", 1, path, effort=5).version != codec.version
    before = codec.version
    path.write_bytes(b"second")
    assert codec.version != before


def test_two_weights_of_one_name(tmp_path):
    with pytest.raises(CaeError, match="two codecs are named cae-x"):
        registry(weights=[tmp_path / "a" / "x.safetensors", tmp_path / "b" / "x.safetensors"])


def test_quality_of_ours_is_an_integer():
    with pytest.raises(CaeError, match="not an integer"):
        CODECS["cae"].encode(picture(8, 8), 1.5)


def test_compressai_strings():
    strings = [b"abc", b"", b"\x00" * 300]
    assert compressai.unpack(compressai.pack(strings, 17, 70000)) == (strings, 17, 70000)


def test_compressai_checkpoints(tmp_path, monkeypatch):
    codec = compressai.parse(f"mbt2018-mean={tmp_path}/1.pth,{tmp_path}/2.pth", "cpu")
    assert codec.settings == (1, 2)
    assert codec.paths == (Path(tmp_path, "1.pth"), Path(tmp_path, "2.pth"))
    monkeypatch.setitem(sys.modules, "compressai", None)
    assert "compressai" in codec.available()
    monkeypatch.setattr(compressai.importlib.util, "find_spec", lambda name: name)
    assert "no such checkpoint" in codec.available()
    with pytest.raises(CaeError, match="not of the form"):
        compressai.parse("mbt2018-mean", "cpu")


def test_slow_efforts_are_measured_where_they_are_named():
    codecs = registry()
    usual, _ = choose_codecs(None, codecs, "jpeg")
    assert "cae" in {codec.name for codec in usual} and not [codec.name for codec in usual if "-e" in codec.name]
    assert [codec.name for codec in choose_codecs("cae-e5,jpeg", codecs, "jpeg")[0]] == ["cae-e5", "jpeg"]
