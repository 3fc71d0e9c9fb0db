"""Weights files that are none, are not whole, or were forged."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import codec
from codec.networks.weights import Weights

from .conftest import TINY


def test_foreign_weights(tmp_path):
    """A safetensors file that is no weights file, or lacks a tensor."""
    tensors = load_file(TINY)
    save_file(tensors, tmp_path / "bare.safetensors")
    tensors.pop("synthesis/patch_out.weight")
    save_file(tensors, tmp_path / "lacking.safetensors", metadata=Weights.read(TINY).metadata)
    for name in ("bare", "lacking"):
        with pytest.raises(codec.CaeError, match="weights file"):
            codec.Codec(weights=tmp_path / f"{name}.safetensors")


def test_a_file_that_is_cut_off(tmp_path):
    whole = TINY.read_bytes()
    for length in (7, 100, len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"{length}.safetensors"
        path.write_bytes(whole[:length])
        with pytest.raises(codec.CaeError, match=f"{length}.safetensors: not a whole weights file"):
            Weights.read(path).arrays()


@pytest.mark.parametrize("name", ["analysis/patch_in.weight", "synthesis/patch_out.bias", "levels/log_gain"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_values_that_are_not_finite(tmp_path, name, value):
    tensors = load_file(TINY)
    tensors[name].flat[3] = value
    save_file(tensors, tmp_path / "forged.safetensors", metadata=Weights.read(TINY).metadata)
    with pytest.raises(codec.CaeError, match="not finite"):
        codec.Codec(weights=tmp_path / "forged.safetensors", device="cpu")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scales/map.weight", lambda t: t.astype(np.float32)),
        ("scales/map.weight", lambda t: t[:, :-1]),
        ("scales/own.weight", lambda t: np.full_like(t, -128)),
        ("scales/context.shift", lambda t: np.full_like(t, 32)),
        ("scales/bias", lambda t: np.full_like(t, 2**31 - 1)),
        ("scales/expected", lambda t: t[:50]),
        ("priors/mean", lambda t: t.astype(np.int32) + 2**16),
        ("priors/index", lambda t: np.full_like(t, 64)),
        ("priors/frequencies", lambda t: np.zeros_like(t)),
        ("tables/scale.lengths", lambda t: t[:-1]),
        ("means/embed.weight", lambda t: t[:, :-1]),
        ("levels/log_gain", lambda t: t[:, :5]),
    ],
)
def test_forged_operands_are_refused(tmp_path, name, change):
    """Weights whose sums might not be exact, or that do not fit together, never get as far as coding a picture."""
    tensors = load_file(TINY)
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    save_file(tensors, tmp_path / "forged.safetensors", metadata=Weights.read(TINY).metadata)
    with pytest.raises(codec.CaeError, match="weights file"):
        codec.Codec(weights=tmp_path / "forged.safetensors", device="cpu")


def test_a_zipped_package(tmp_path):
    """It has its weights and pages, and leaves no copies behind."""
    archive = tmp_path / "codec.zip"
    package = Path(codec.__file__).parent
    with zipfile.ZipFile(archive, "w") as file:
        for path in package.rglob("*"):
            if path.is_file() and path.suffix in (".py", ".safetensors", ".html", ".js", ".css"):
                file.write(path, path.relative_to(package.parent))
    code = f"import sys; sys.path.insert(0, {str(archive)!r})\n"
    code += "import codec, numpy as np\n"
    code += "from codec.serve.application import STATIC_FOLDER\n"
    code += "pixels = np.zeros((20, 30, 3), np.uint8)\n"
    code += "assert np.array_equal(codec.decode(codec.encode(pixels, lossless=True)), pixels)\n"
    code += "codec.decode(codec.encode(pixels))\n"
    code += "print(codec.__file__, (STATIC_FOLDER / 'viewer.html').exists())"
    command, environment = [sys.executable, "-c", code], os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stderr == "" and done.stdout.split() == [str(archive / "codec" / "__init__.py"), "True"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("cae-")] == []
