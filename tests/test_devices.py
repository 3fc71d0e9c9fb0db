"""Devices and processes: settings of the program around the codec, forked processes, a GPU and its limits."""

import dataclasses
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import codec
from codec.coding.jobs import EncodeJob, with_fallback
from codec.coding.settings import Settings
from codec.errors import DeviceError
from codec.networks import model, registry
from codec.networks.model import Files, load
from codec.options import EncodeOptions
from codec.runtime import devices
from codec.training.options import Options
from codec.training.train import train

from .conftest import TINY, needs_cuda
from .make_golden_files import symbols_digest
from .make_tiny_weights import CONFIG

forks = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")


@pytest.fixture(params=["dtype", "device"])
def defaults_of_the_program(request):
    """Torch's defaults as some programs set them: float64 for new tensors, or another device."""
    if request.param == "device":
        with torch.device("meta"):
            yield
    else:
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(torch.float32)


def test_defaults_of_the_program_do_not_matter(tiny, chelsea, defaults_of_the_program):
    two_threads = codec.Codec(weights=TINY, device="cpu", threads=2)
    data = two_threads.encode(chelsea, 60, tile=128)
    assert data == tiny.encode(chelsea, 60, tile=128)
    assert np.array_equal(two_threads.decode(data), tiny.decode(data))


def _code_in_child(inherited, pixels, queue):
    queue.put(inherited.encode(pixels, 50))
    queue.put(codec.encode(pixels, 50, device="cpu", threads=2))


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_processes_code(default, astronaut):
    """They hang where they wait for OpenMP's threads, which only the parent has."""
    expected = default.encode(astronaut, 50)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_code_in_child, args=(default, astronaut, queue))
    child.start()
    try:
        assert [queue.get(timeout=60) for _ in range(2)] == [expected] * 2
    finally:
        child.kill()
        child.join()


BUSY_PARENT = """
import torch
torch.set_num_threads(2)
torch.rand(1000, 1000).exp().sum()
"""
CHILD = """
def work():
    import codec, numpy
    assert codec.decode(codec.encode(numpy.zeros((600, 600), numpy.uint8), device="cpu")).shape == (600, 600)
"""
BY_OS = """
import os, sys
child = os.fork()
if child == 0:
    work()
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
BY_MULTIPROCESSING = """
import multiprocessing, sys
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
sys.exit(child.exitcode)
"""


@forks
@pytest.mark.parametrize(("first", "fork"), [("import codec", BY_OS), ("", BY_MULTIPROCESSING)])
def test_forked_before_torch_was_the_codecs(first, fork):
    """The parent's own use of torch is enough for OpenMP's threads to be missing in the child."""
    subprocess.run([sys.executable, "-c", first + BUSY_PARENT + CHILD + fork], check=True, timeout=100)


def test_out_of_gpu_memory(tiny_model):
    """Smaller windows first, then the CPU, with one warning; on the CPU the error stands."""
    on_cpu = EncodeJob.of(tiny_model, Settings(1), (64, 64), 3, EncodeOptions())
    on_gpu = dataclasses.replace(on_cpu, model=dataclasses.replace(tiny_model, device=torch.device("cuda")))
    tried = []

    def work(job):
        tried.append((job.model.device.type, job.settings.window))
        if job.model.device.type == "cuda":
            raise torch.OutOfMemoryError
        return "done"

    with pytest.warns(RuntimeWarning, match="out of GPU memory") as warned:
        assert with_fallback(work, on_gpu) == "done"
    assert tried == [("cuda", 1024), ("cuda", 512), ("cuda", 256), ("cuda", 128), ("cpu", 1024)]
    assert len(warned) == 1

    tried.clear()
    with pytest.warns(RuntimeWarning, match="out of GPU memory"):
        assert with_fallback(work, on_gpu, windows=False) == "done"
    assert tried == [("cuda", 1024), ("cpu", 1024)]

    def hopeless(job):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        with_fallback(hopeless, on_cpu)


@pytest.fixture
def pretend_gpu(monkeypatch):
    """Makes "auto" find a GPU whose models, which run on the CPU in truth, are given by a function of their files."""

    def install(loaded):
        gpu = torch.device("cuda", 20)
        monkeypatch.setattr(devices, "choose", lambda _: gpu)
        monkeypatch.setattr(model, "load", lambda files, device="cpu": loaded(files) if device == gpu else load(files))

    return install


def test_bad_weights_are_not_blamed_on_the_gpu(pretend_gpu, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(TINY.read_bytes()[:5000])
    pretend_gpu(load)
    with pytest.raises(codec.CaeError, match="weights file"):
        codec.Codec(weights=broken)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        codec.CaeError("device cuda: CUDA error: misaligned address"),
    ],
)
def test_gpu_that_fails_at_loading_means_the_cpu(pretend_gpu, tiny, error, chelsea):
    def fail(_):
        raise error

    pretend_gpu(fail)
    with pytest.warns(RuntimeWarning, match="going on on the CPU") as warned:
        fallen_back = codec.Codec(weights=TINY)
    assert warned[0].filename == __file__
    assert fallen_back.encode(chelsea, 20) == tiny.encode(chelsea, 20)


def test_a_gpu_that_was_asked_for_is_not_given_up(pretend_gpu):
    def fail(_):
        raise DeviceError("device cuda: CUDA error: misaligned address")

    pretend_gpu(fail)
    with pytest.raises(codec.CaeError, match=r"misaligned address; use device cpu$"):
        codec.Codec(weights=TINY, device="cuda")


def test_other_errors_of_cuda_are_told(monkeypatch):
    def fail(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with …")

    monkeypatch.setattr(torch.nn.Module, "to", fail)
    with pytest.raises(codec.CaeError, match=r"^device cpu: CUDA error: an illegal memory access was encountered$"):
        load(Files(TINY))


def test_training_without_fast_bf16_runs_in_float32(monkeypatch, tmp_path, chelsea):
    monkeypatch.setattr(devices, "fast_bf16", lambda _: False)
    Image.fromarray(chelsea).save(tmp_path / "chelsea.png")
    run = train(Options(tmp_path, tmp_path / "run", steps=2, batch=2, patch=64, quiet=True), CONFIG)
    assert run.compute_dtype == torch.float32 and run.step == 2


@needs_cuda
def test_auto_takes_cuda():
    assert codec.Codec()._model.device.type == "cuda"


@needs_cuda
def test_cuda_and_cpu_agree(default, default_model, astronaut):
    on_cuda, cuda_model = codec.Codec(device="cuda"), load(Files(registry.default_path()), "cuda")
    for encoder in (default, on_cuda):
        data = encoder.encode(astronaut, 70)
        assert symbols_digest(data, default_model) == symbols_digest(data, cuda_model)
        assert abs(default.decode(data).astype(int) - on_cuda.decode(data)).max() <= 1


@needs_cuda
def test_training_moves_between_devices(tmp_path, chelsea):
    Image.fromarray(chelsea).save(tmp_path / "chelsea.png")
    weights = tmp_path / "weights.safetensors"
    for steps, device in ((12, "cuda"), (24, "cpu"), (36, "cuda")):
        options = Options(tmp_path, tmp_path / "run", steps=steps, batch=2, patch=64, device=device, export=weights, quiet=True)
        assert train(options, CONFIG).step == steps
    exported = codec.Codec(weights=weights, device="cuda")
    assert exported.decode(exported.encode(chelsea, 50)).shape == chelsea.shape
