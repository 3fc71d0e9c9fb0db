"""Chunks of Zarr arrays as pictures."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import ShardingCodec, TransposeCodec

import codec
import codec.chunks
from codec import CaeError
from codec.numcodecs import Cae
from codec.zarr import CaeCodec

from .conftest import TINY, psnr


@pytest.fixture(autouse=True)
def tiny_weights(monkeypatch):
    monkeypatch.setattr(codec.chunks, "ARGUMENTS", {"weights": TINY, "device": "cpu", "threads": 1})


def stored(pixels, chunks, store=None, **options):
    array = zarr.create_array({} if store is None else store, shape=pixels.shape, dtype=pixels.dtype, chunks=chunks,
                              serializer=CaeCodec(**options), compressors=None)  # fmt: skip
    array[...] = pixels
    return array


def test_pyramid(tmp_path, chelsea):
    """As OME-Zarr has it: levels in a group, axes t, c, z, y, x, chunks of one plane each; read anew by Zarr alone."""
    image = np.moveaxis(chelsea[:120, :150], -1, 0)[None, :, None]
    group = zarr.open_group(tmp_path / "cat.zarr", mode="w")
    datasets = []
    for level in range(3):
        pixels = image[..., :: 2**level, :: 2**level]
        array = group.create_array(str(level), shape=pixels.shape, dtype="uint8", chunks=(1, 1, 1, 64, 64),
                                   serializer=CaeCodec(quality=80), compressors=None)  # fmt: skip
        array[...] = pixels
        scaling = {"type": "scale", "scale": [1, 1, 1, 2**level, 2**level]}
        datasets.append({"path": str(level), "coordinateTransformations": [scaling]})
    axes = [{"name": name, "type": kind} for name, kind in zip("tczyx", ["time", "channel", *["space"] * 3], strict=True)]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}

    again, whole = zarr.open_group(tmp_path / "cat.zarr", mode="r"), {}
    for level, entry in enumerate(again.attrs["ome"]["multiscales"][0]["datasets"]):
        array = again[entry["path"]]
        assert array.shape == (1, 3, 1, -(-120 // 2**level), -(-150 // 2**level))
        whole[level] = array[...]
        assert psnr(whole[level], image[..., :: 2**level, :: 2**level]) > 22
    assert np.array_equal(again["0"][0, 1, 0, 50:100, 25:140], whole[0][0, 1, 0, 50:100, 25:140])
    # a chunk is a file that anything else may read
    chunk = (tmp_path / "cat.zarr/0/c/0/2/0/0/1").read_bytes()
    assert np.array_equal(codec.decode(chunk, weights=TINY), whole[0][0, 2, 0, :64, 64:128])
    saved = json.loads((tmp_path / "cat.zarr/0/zarr.json").read_text())["codecs"]
    assert saved == [{"name": "cae", "configuration": {"quality": 80, "channel_axis": "auto"}}]


@pytest.mark.parametrize(
    ("shape", "axis", "mode", "size"),
    [
        ((40, 60), "auto", "L", (60, 40)),
        ((40, 60, 1), "auto", "L", (60, 40)),
        ((40, 60, 3), "auto", "RGB", (60, 40)),
        ((40, 60, 4), "auto", "RGBA", (60, 40)),
        ((40, 60, 2), -1, "LA", (60, 40)),
        ((1, 1, 1, 40, 60), "auto", "L", (60, 40)),
        ((1, 40, 60, 3), "auto", "RGB", (60, 40)),
        ((3, 40, 60), "auto", "L", (60, 120)),
        ((3, 40, 60), 0, "RGB", (60, 40)),
        ((2, 3, 2, 40, 60), 1, "RGB", (60, 160)),
        ((5, 40, 60), None, "L", (60, 200)),
    ],
)
def test_axes(tmp_path, chelsea, shape, axis, mode, size):
    """Axes come back as they were, from the picture that the documentation describes."""
    colours = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    gray = np.stack([chelsea[20 * plane : 20 * plane + 40, :60, 1] for plane in range(np.prod(shape) // 2400)])
    at = len(shape) - 1 if axis == "auto" and shape[-1] <= 4 else axis
    pixels = gray.reshape(shape) if at in ("auto", None) else np.moveaxis(
        gray.reshape(*np.delete(shape, at)[:-2], shape[at], 40, 60), -3, at
    )  # fmt: skip
    assert pixels.shape == shape
    array = stored(pixels, shape, tmp_path, channel_axis=axis, lossless=True)
    assert np.array_equal(array[...], pixels)
    info = codec.info((tmp_path / "/".join(["c", *"0" * len(shape)])).read_bytes())
    assert (info.mode, (info.width, info.height)) == (mode, size) and len(info.mode) == colours


def test_loss_and_none(chelsea):
    """Lossy by default; labels need `lossless`. A write to a part codes its chunk again, and leaves other chunks."""
    labels = (chelsea[:64, :128, 0] // 16).astype(np.uint8)
    assert np.array_equal(stored(labels, (64, 64), lossless=True)[...], labels)
    array = stored(chelsea[:64, :128], (64, 64, 3), quality=30)
    before = array[...]
    assert not np.array_equal(before, chelsea[:64, :128])
    array[:8, :8] = 255
    assert np.array_equal(array[:, 64:], before[:, 64:]) and psnr(array[32:, 32:64], before[32:, 32:64]) > 20


def test_beside_other_codecs(chelsea):
    """Inside shards, and after a transposition of the axes."""
    pixels = chelsea[:128, :128]
    shards = zarr.create_array(
        {}, data=pixels, chunks=(64, 64, 3), shards=(128, 128, 3), serializer=CaeCodec(), compressors=None
    )
    assert psnr(shards[...], pixels) > 25 and type(shards.metadata.codecs[0]) is ShardingCodec
    turned = zarr.create_array({}, data=pixels, chunks=(64, 64, 3), filters=TransposeCodec(order=(2, 0, 1)),
                               serializer=CaeCodec(channel_axis=0), compressors=None)  # fmt: skip
    assert np.array_equal(turned[...], shards[...])


@pytest.mark.parametrize(
    ("dtype", "chunks", "options", "message"),
    [
        ("float32", (8, 8), {}, "chunks of float32 cannot be coded, only of uint8 and uint16"),
        ("float32", (8, 8), {}, "chunks of float32"),
        ("uint8", (8,), {}, "no rows and columns"),
        ("uint8", (8, 8), {"channel_axis": -1}, "no rows and columns"),
        ("uint8", (8, 8, 8), {"channel_axis": 0}, "channel_axis 0 is no axis of 1 to 4 channels"),
        ("uint8", (8, 8, 3), {"channel_axis": 3}, "channel_axis 3 is no axis"),
        ("uint8", (8, 8), {"channel_axis": "c"}, "channel_axis 'c' is not an integer"),
        ("uint8", (8, 8), {"quality": "best"}, "quality 'best'"),
        ("uint8", (8, 8), {"quality": 700}, "quality 700 is not in 1 to 100"),
        ("uint8", (8, 8), {"level": 3}, "unknown option 'level'"),
    ],
)
def test_refused(dtype, chunks, options, message):
    with pytest.raises(CaeError, match=message):
        stored(np.zeros(chunks, dtype) + 1, chunks, **options)


def test_chunks_that_are_damaged_or_foreign(tmp_path, chelsea):
    array = stored(chelsea[:64, :64], (64, 64, 3), tmp_path)
    path = tmp_path / "c/0/0/0"
    data = path.read_bytes()
    path.write_bytes(data[:-8])
    with pytest.raises(CaeError, match="cut off"):
        array[...]
    path.write_bytes(codec.encode(chelsea[:32, :64], weights=TINY))
    with pytest.raises(CaeError, match=r"a RGB picture of \(64, 32\) pixels is no chunk of shape \(64, 64, 3\)"):
        array[...]


def test_numcodecs(tmp_path, chelsea):
    """A Zarr 2 array, and numcodecs' own contract: configurations, buffers, `out`."""
    array = zarr.create_array(tmp_path, data=chelsea, chunks=(128, 128, 3), zarr_format=2, compressors=Cae(quality=70))
    again = zarr.open_array(tmp_path, mode="r")
    assert psnr(again[...], chelsea) > 28 and again.compressors == array.compressors
    coder = numcodecs.get_codec({"id": "cae", "lossless": True})
    assert numcodecs.get_codec(coder.get_config()) == coder
    data = coder.encode(chelsea[:40, :50])
    out = np.empty((40, 50, 3), np.uint8)
    assert coder.decode(bytearray(data), out) is out and np.array_equal(out, chelsea[:40, :50])
    with pytest.raises(CaeError, match="order='C'"):
        coder.encode(np.asfortranarray(out))
    with pytest.raises(CaeError, match="channel_axis 0"):
        Cae(channel_axis=0)


def test_entry_points():
    """The entry points of an installation exist; and the package alone loads none of them."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    loaded = {group: EntryPoint("cae", points["cae"], group).load() for group, points in project["entry-points"].items()}
    assert loaded == {"zarr.codecs": CaeCodec, "numcodecs.codecs": Cae}
    code = "import codec, sys; assert not {'zarr', 'numcodecs', 'imageio', 'torch'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "u1"])
@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3)])
def test_byte_order(dtype, shape):
    """Numbers come back as they were in any byte order, from Zarr 2 and 3, shards, and numcodecs with `out` or without."""
    pixels = (np.arange(np.prod(shape)).reshape(shape) % 251 + 1).astype(dtype)
    coder = Cae(lossless=True)
    second = zarr.create_array({}, data=pixels, chunks=shape, zarr_format=2, compressors=coder)
    third = stored(pixels, shape, lossless=True)
    sharded = zarr.create_array({}, data=pixels, chunks=(32, 32, *shape[2:]), shards=shape, compressors=None,
                                serializer=CaeCodec(lossless=True))  # fmt: skip
    for array in (second, third, sharded):
        assert array.dtype == pixels.dtype and np.array_equal(array[...], pixels)
    data = coder.encode(pixels)
    plain = coder.decode(data)
    assert np.array_equal(plain, pixels) and plain.tobytes() == pixels.tobytes()
    for order in "<>":
        out = np.zeros(shape, pixels.dtype.newbyteorder(order))
        assert coder.decode(data, out) is out and np.array_equal(out, pixels)
    as_bytes = np.zeros(pixels.nbytes, np.uint8)
    assert coder.decode(data, as_bytes).tobytes() == pixels.tobytes()
    assert np.array_equal(codec.decode(data), pixels)
