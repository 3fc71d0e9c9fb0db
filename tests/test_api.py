"""The package as applications use it: what it takes, what it refuses, and what it shows of itself."""

import array
import copy
import inspect
import io
import mmap
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import typing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import codec
from codec.api.arguments import Arguments
from codec.format.buffers import as_bytes
from codec.networks import registry

from .conftest import DATA, TINY, needs_cuda

FILE = (DATA / "tiny_rgb_v1.cae").read_bytes()
ON_CPU = {"weights": TINY, "device": "cpu", "threads": 2}
CPU_ONLY = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")


def mapped(path):
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


BUFFERS = {
    "bytearray": lambda: bytearray(FILE),
    "memoryview": lambda: memoryview(FILE),
    "memoryview of two-byte numbers": lambda: memoryview(FILE).cast("H"),
    "memoryview with a stride": lambda: memoryview(b"".join(bytes([byte, 0]) for byte in FILE))[::2],
    "mmap": lambda: mapped(DATA / "tiny_rgb_v1.cae"),
    "getbuffer": lambda: io.BytesIO(FILE).getbuffer(),
    "array of bytes": lambda: array.array("B", FILE),
    "array of integers": lambda: array.array("I", FILE),
    "NumPy bytes": lambda: np.frombuffer(FILE, np.uint8),
    "NumPy bytes in columns": lambda: np.frombuffer(FILE, np.uint8).reshape(2, -1),
    "NumPy bytes with a stride": lambda: np.repeat(np.frombuffer(FILE, np.uint8), 3)[::3],
    "NumPy numbers in the other byte order": lambda: np.frombuffer(FILE, np.dtype(np.uint32).newbyteorder()),
    "NumPy bytes mapped from a file": lambda: np.memmap(DATA / "tiny_rgb_v1.cae", np.uint8, "r"),
}


@pytest.mark.parametrize("kind", BUFFERS)
def test_buffers(tiny, kind):
    data = BUFFERS[kind]()
    assert codec.info(data) == codec.info(FILE)
    assert np.array_equal(tiny.decode(data), tiny.decode(FILE))
    assert np.array_equal(np.asarray(tiny.decode_image(data)), tiny.decode(FILE))


def test_buffers_are_not_copied():
    data = bytearray(FILE)
    view = as_bytes(memoryview(data).cast("H"))
    data[0] = 7
    assert (len(view), view[0]) == (len(FILE), 7)


def test_mapped_file_can_be_closed_afterwards(tiny):
    data = mapped(DATA / "tiny_rgb_v1.cae")
    tiny.decode(data, region=(0, 0, 10, 10))
    codec.info(data)
    data.close()


def released():
    view = memoryview(FILE)
    view.release()
    return view


def closed():
    file = mapped(DATA / "tiny_rgb_v1.cae")
    file.close()
    return file


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("picture.cae", "a str is no file's bytes; read the file first"),
        (Path("picture.cae"), "read the file first"),
        (io.BytesIO(FILE), "a BytesIO is no file's bytes; read the file first"),
        (None, "a NoneType is no file's bytes"),
        (17, "an? int is no file's bytes"),
        ([1, 2, 3], "a list is no file's bytes"),
        (np.array([FILE], object), "objects"),
        (released(), "the memoryview holds no bytes"),
        (closed(), "the mmap holds no bytes"),
        (b"", "empty"),
        (np.zeros((0, 3), np.uint8), "empty"),
        (np.uint8(137), "cut off|magic"),
        (np.zeros((3, 4)), "not a .cae file"),
    ],
)
def test_what_holds_no_file(tiny, data, message):
    for function in (codec.info, tiny.decode, tiny.decode_image):
        with pytest.raises(codec.CaeError, match=message):
            function(data)


@pytest.mark.parametrize("integer", [np.uint8, np.int64, np.uint16, lambda value: np.array(value), torch.tensor])
def test_integers_of_other_libraries(tiny, chelsea, integer):
    small = chelsea[:100, :120]
    data = tiny.encode(small, integer(60), tile=integer(64))
    assert data == tiny.encode(small, 60, tile=64)
    region = tuple(integer(value) for value in (10, 20, 30, 40))
    assert np.array_equal(tiny.decode(data, region=region), tiny.decode(data)[20:60, 10:40])
    counts = {"weights": TINY, "device": "cpu", "threads": integer(2)}
    assert codec.Codec(**counts).encode(small, 60, tile=64) == data
    assert codec.encode(small, 60, tile=64, **counts) == data
    with pytest.raises(codec.CaeError, match="limit of 255"):
        codec.decode(data, **counts, pixels_max=integer(255))


@pytest.mark.parametrize(
    "wrong",
    [
        {"pixels_max": 0},
        {"pixels_max": 1e9},
        {"pixels_max": None},
        {"pixels_max": True},
        {"bf16": "no"},
        {"bf16": 1},
        {"weights": 7},
        {"weights": b"tiny.safetensors"},
        {"weights": []},
        {"device": "tpu"},
        {"device": "CUDA"},
        {"device": "cuda:"},
        {"device": "cuda:x"},
        {"device": "cuda:-1"},
        {"device": "cpu:7"},
        {"device": "meta"},
        {"device": torch.device("meta")},
        {"device": 0},
        {"device": ["cpu"]},
        pytest.param({"device": "cuda"}, marks=CPU_ONLY),
        pytest.param({"device": "cuda:0"}, marks=CPU_ONLY),
        pytest.param({"device": torch.device("cuda", 1)}, marks=CPU_ONLY),
    ],
)
def test_bad_arguments(wrong, chelsea):
    (name,) = wrong
    for function in (codec.Codec, lambda **arguments: codec.encode(chelsea, **arguments)):
        with pytest.raises(codec.CaeError, match=name):
            function(**ON_CPU | wrong)


def test_unknown_arguments(chelsea):
    with pytest.raises(TypeError, match="qualty"):
        codec.encode(chelsea, qualty=3)


@pytest.mark.parametrize("device", [None, "auto", "cpu", "cpu:0", torch.device("cpu"), torch.device("cpu", 0)])
def test_devices(tiny, device):
    if device in (None, "auto") and torch.cuda.is_available():
        pytest.skip("a GPU differs by rounding")
    assert np.array_equal(codec.decode(FILE, **ON_CPU | {"device": device}), tiny.decode(FILE))


def test_number_of_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cuda:2", torch.device("cuda", 99)):
        with pytest.raises(codec.CaeError, match="there are 2 CUDA devices"):
            codec.Codec(weights=TINY, device=device)


@needs_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda"), torch.device("cuda", 0)])
def test_cuda_devices(tiny, device):
    assert abs(codec.decode(FILE, **ON_CPU | {"device": device}).astype(int) - tiny.decode(FILE)).max() <= 1


def test_functions_take_what_a_codec_takes(tiny, chelsea):
    of_codec = inspect.signature(codec.Codec).parameters
    assert set(of_codec) == set(Arguments.__annotations__)
    for function in (codec.encode, codec.decode, codec.decode_image, codec.open, codec.create):
        shown = inspect.signature(function).parameters
        assert of_codec.items() <= shown.items()
        assert "**" not in str(inspect.signature(function))
        assert typing.get_type_hints(function)["return"] is not None
    data = codec.encode(chelsea, bf16=False, **ON_CPU)
    assert data == codec.Codec(bf16=False, **ON_CPU).encode(chelsea)
    for function in (codec.decode, codec.decode_image):
        assert np.array_equal(np.asarray(function(data, bf16=True, **ON_CPU)), codec.Codec(bf16=True, **ON_CPU).decode(data))
        with pytest.raises(codec.CaeError, match="limit of 100"):
            function(data, pixels_max=100, **ON_CPU)


def test_functions_see_that_weights_are_replaced(tmp_path, chelsea):
    weights = tmp_path / "weights.safetensors"
    arguments = {"device": "cpu", "threads": 2}
    for source in (TINY, registry.default_path()):
        shutil.copy(source, weights)
        data = codec.encode(chelsea[:50, :50], weights=weights, **arguments)
        assert data == codec.encode(chelsea[:50, :50], weights=source, **arguments)


def test_package_shows_what_there_is():
    """Without the import of torch, which takes a second."""
    code = (
        "import sys, codec\n"
        "assert set(codec.__all__) <= set(dir(codec)), dir(codec)\n"
        "assert '__version__' in dir(codec) and len(dir(codec)) == len(set(dir(codec)))\n"
        f"codec.info(open({str(DATA / 'tiny_rgb_v1.cae')!r}, 'rb').read())\n"
        "assert not hasattr(codec, 'nothing')\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules), 'not light'\n"
        "assert all(hasattr(codec, name) for name in dir(codec))\n"
        "from codec import *\n"
        "assert Codec is codec.Codec and decode is codec.decode\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=DATA.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickled(chelsea, protocol):
    """A codec's arguments travel with it, and little else."""
    original = codec.Codec(bf16=True, pixels_max=chelsea.size // 3, **ON_CPU)
    state = pickle.dumps(original, protocol)
    assert len(state) < 1000
    again = pickle.loads(state)
    data = original.encode(chelsea, 70, tile=64)
    assert again.encode(chelsea, 70, tile=64) == data
    assert np.array_equal(again.decode(data), original.decode(data))
    large = np.zeros((chelsea.shape[0], chelsea.shape[1] + 16), np.uint8)
    larger = codec.encode(large, **ON_CPU)
    for work in (lambda: again.decode(larger), lambda: again.encode(large)):
        with pytest.raises(codec.CaeError, match="limit"):
            work()


def test_sent_to_a_spawned_process(tiny):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        # it decodes by NumPy, since nobody has imported torch there
        decoded = pool.submit(tiny.decode, FILE).result(timeout=200)
    assert np.abs(decoded.astype(int) - tiny.decode(FILE)).max() <= 1


def test_pickled_weights_must_be_there(tmp_path, monkeypatch):
    """They are found from another folder too; others in their place, and none, are told."""
    shutil.copy(TINY, tmp_path / "weights.safetensors")
    monkeypatch.chdir(tmp_path)
    original = codec.Codec(weights="weights.safetensors", device="cpu")
    monkeypatch.chdir(DATA)
    state = pickle.dumps(original)
    assert pickle.loads(state).decode(FILE).shape == original.decode(FILE).shape
    shutil.copy(registry.default_path(), tmp_path / "weights.safetensors")
    with pytest.raises(codec.CaeError, match=r"weights\.safetensors.*pickled.*same weights"):
        pickle.loads(state)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(codec.CaeError, match=r"weights\.safetensors: No such file"):
        pickle.loads(state)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies(tmp_path, copied):
    """They need no weights file: what is loaded already is shared."""
    weights = tmp_path / "weights.safetensors"
    shutil.copy(TINY, weights)
    holder = {"codec": codec.Codec(weights=weights, device="cpu")}
    weights.unlink()
    assert copied(holder)["codec"].decode(FILE).shape == (150, 201, 3)


def test_damage_in_a_mapped_file_is_what_is_told(tiny, chelsea, tmp_path):
    """The error keeps no view of the mapping, which could not be closed then."""
    data = bytearray(tiny.encode(chelsea[:64, :64]))
    data[-1] ^= 1
    for content, use in ((data, tiny.decode), (data[:50], tiny.decode), (data[:50], codec.info)):
        (tmp_path / "x.cae").write_bytes(content)
        with (
            pytest.raises(codec.CaeError, match=r"damaged|cut off"),
            open(tmp_path / "x.cae", "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            use(mapped)
