"""Exported models: other programs get the package's symbols and pixels from them."""

import hashlib
import json
import sys

import numpy as np
import pytest
import torch

from codec import reference
from codec.commands import export
from codec.networks.config import Config
from codec.onnx_export.tables import make_tables

from .conftest import DATA, TINY
from .make_golden_files import DIGESTS, weights_of

GOLDEN = json.loads(DIGESTS.read_text())


def test_a_page_is_exported(tmp_path):
    export.main([str(TINY), str(tmp_path / "open.html")])
    assert "Drop a .cae file" in (tmp_path / "open.html").read_text()


@pytest.mark.parametrize(("name", "message"), [("nothing", "no weights are named"), ("absent.safetensors", "absent")])
def test_a_model_that_is_not_there_is_named(tmp_path, name, message):
    with pytest.raises(SystemExit, match=message):
        export.main([name, str(tmp_path / "out")])


def test_without_onnx_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "codec.onnx_export.networks", raising=False)
    monkeypatch.delitem(sys.modules, "codec.onnx_export.graph", raising=False)
    with pytest.raises(SystemExit, match=r"onnx is missing; install .*\[onnx\]"):
        export.main([str(TINY), str(tmp_path / "out")])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder of exported files for each weights file."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folders = {}

    def get(weights):
        if weights not in folders:
            folders[weights] = tmp_path_factory.mktemp("exported")
            export.main([str(weights), str(folders[weights])])
        return folders[weights]

    return get


def run(folder, network, **inputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / f"{network}.onnx", options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(values, np.float32) for name, values in inputs.items()})[0]


def channels_first(x):
    """(h, w, C) to (1, C, h, w)."""
    return np.moveaxis(x, -1, 0)[None]


def channels_last(x):
    return np.moveaxis(x[0], 0, -1)


def read_tables(folder):
    """A reference decoder of symbols that knows the exported integers alone, and what describes these."""
    facts = json.loads((folder / "tables.json").read_text())
    data = (folder / facts["file"]).read_bytes()
    model = object.__new__(reference.Model)
    model.config, model.t = facts["config"], {}
    for name, entry in facts["arrays"].items():
        kind, count = np.dtype(entry["type"]).newbyteorder("<"), int(np.prod(entry["shape"]))
        values = np.frombuffer(data, kind, count, entry["offset"]).reshape(entry["shape"])
        model.t[name] = values.astype(np.float32) if name.endswith(".weight") else values
    model.tables = np.split(model.t["tables/scale.frequencies"], np.cumsum(model.t["tables/scale.lengths"])[:-1])
    return model, facts


def decode(data, folder):
    """Pixels (h, w, 3) of the transform, and all tiles' symbols."""
    model, facts = read_tables(folder)
    header, sections = reference.read_header(data)
    assert facts["id"] == header.model_id.hex()
    parts = [part for part in reference.read_index(data, header, reference.read_sections(data, sections)[1]) if part.transform]
    level, found = [facts["levels"][header.quality - 1]], []
    latent = np.zeros((-(-header.height // 16), -(-header.width // 16), facts["config"]["latent_channels"]), np.float32)
    for part in parts:
        symbols = model.read_symbols(part, header.quality)
        inputs = {"hyper": channels_first(symbols.hyper), "symbols": channels_first(symbols.latent)}
        means = channels_last(run(folder, "means", **inputs, level=level))
        reference.place_of(part, latent, 16)[:] = np.rint((means + symbols.latent) * 64)
        found.append(symbols)
    pixels = channels_last(run(folder, "synthesis", latent=channels_first(latent), level=level))
    return pixels[: header.height, : header.width], found, header


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_come_out_the_same(exported, name):
    weights, data = weights_of(name), (DATA / name).read_bytes()
    pixels, symbols, header = decode(data, exported(weights))
    values = [part.astype("<i4").tobytes() for tile in symbols for part in tile]
    assert hashlib.sha256(b"".join(values)).hexdigest() == GOLDEN[name]
    largest = 2**header.depth - 1
    shown = pixels.mean(-1, keepdims=True) if header.colours == 1 else pixels
    expected = reference.decode(data, weights).pixels[..., : header.colours]
    assert abs(np.rint((shown + 0.5) * largest).clip(0, largest) - expected).max() <= largest // 255


def test_the_encoders_networks_are_the_packages(exported, tiny_model, astronaut):
    pixels = astronaut[:128, :192].astype(np.float32) / 255 - 0.5
    quality, folder = 63, exported(TINY)
    level = json.loads((folder / "tables.json").read_text())["levels"][quality - 1]
    with torch.inference_mode():
        expected = tiny_model.analysis(torch.from_numpy(pixels)[None], torch.tensor([level])) * tiny_model.gain[quality - 1]
        expected_hyper = tiny_model.hyper_analysis(expected)[0].numpy()
    latent = run(folder, "analysis", pixels=channels_first(pixels), level=[level])
    hyper = run(folder, "hyper_analysis", latent=latent)
    assert channels_last(latent) == pytest.approx(expected[0].numpy(), abs=2e-3, rel=1e-3)
    assert channels_last(hyper) == pytest.approx(expected_hyper, abs=2e-3, rel=1e-3)


def test_files_do_not_change_from_run_to_run(exported, tmp_path):
    first = exported(TINY)
    export.main([str(TINY), str(tmp_path)])
    assert {path.name for path in first.iterdir()} == {path.name for path in tmp_path.iterdir()}
    assert all(path.read_bytes() == (tmp_path / path.name).read_bytes() for path in first.iterdir())


def test_arrays_lie_at_multiples_of_their_numbers_size():
    tensors = {"priors/a": np.arange(3, dtype=np.uint8), "scales/b": np.arange(4, dtype=np.int32), "means/c": np.zeros(2)}
    described, data = make_tables(tensors, Config(), "00")
    arrays = json.loads(described)["arrays"]
    assert {name: entry["offset"] for name, entry in arrays.items()} == {"priors/a": 0, "scales/b": 4}
    assert data == b"\0\1\2\0" + np.arange(4, dtype="<i4").tobytes()
