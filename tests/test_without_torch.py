"""Decoding without torch: where it is not installed, and where nobody has imported it."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from codec.coding.decoder import decode
from codec.coding.jobs import DecodeJob
from codec.coding.settings import Settings
from codec.entropy.symbols import Symbols
from codec.format import container
from codec.networks.decoding import LATENT_BITS
from codec.networks.invariance import kernels_are_size_invariant
from codec.numpy_networks.layers import STRIP_POSITIONS
from codec.numpy_networks.model import load as load_by_numpy
from codec.options import DecodeOptions

from .conftest import DATA, TINY
from .make_golden_files import weights_of

GOLDEN = sorted(DATA.glob("*.cae"))
ROOT = DATA.parents[1]
WITHOUT = "import sys; sys.modules['torch'] = None\n"
"""Python finds no torch then."""


def run(code: str, *arguments: object) -> str:
    """What a program prints, in a new process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_command(name: str, *words: object) -> subprocess.CompletedProcess:
    """Runs a command where torch is not installed."""
    code = WITHOUT + f"from codec.commands import start\nsys.argv[0] = 'cae-{name}'\nstart.{name}()"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)


def decoded_without_torch(path: Path, folder: Path, **options: object) -> np.ndarray:
    """A file's pixels by the API, where torch is not installed."""
    weights = {"weights": str(TINY)} if path.name.startswith("tiny") else {}
    code = WITHOUT + "import codec, numpy\n"
    code += f"numpy.save(sys.argv[2], codec.decode(open(sys.argv[1], 'rb').read(), **{weights | options!r}))"
    run(code, path, folder / "decoded.npy")
    return np.load(folder / "decoded.npy")


def assert_close(found: np.ndarray, expected: np.ndarray, depth: int = 8) -> None:
    """Within one level of 8 bits."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.abs(found.astype(int) - expected).max() <= (2**depth - 1) // 255


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files(path, tmp_path):
    data = path.read_bytes()
    expected = codec.decode(data, weights=weights_of(path.stem), device="cpu")
    assert_close(decoded_without_torch(path, tmp_path), expected, codec.info(data).depth)


@pytest.mark.parametrize("options", [{"region": (30, 20, 40, 50)}, {"scale": 0.5}, {"scale": 0.125}, {"scale": 2}], ids=str)
def test_regions_and_sizes(options, tmp_path):
    path = DATA / "eye_astronaut_v1.cae"
    assert_close(decoded_without_torch(path, tmp_path, **options), codec.decode(path.read_bytes(), device="cpu", **options))


def test_damage_is_filled(tmp_path):
    data = bytearray((DATA / "eye_astronaut_v1.cae").read_bytes())
    data[-40] ^= 1
    (tmp_path / "eye_damaged.cae").write_bytes(data)
    with pytest.warns(RuntimeWarning, match="damaged and filled in"):
        expected = codec.decode(bytes(data), device="cpu", on_error="fill")
    assert_close(decoded_without_torch(tmp_path / "eye_damaged.cae", tmp_path, on_error="fill"), expected)


def test_commands(tmp_path):
    """Decoding and facts; encoding says in one line what to install."""
    source, target = DATA / "eye_astronaut_v1.cae", tmp_path / "out.png"
    assert run_command("info", source).returncode == 0
    done = run_command("decode", source, target)
    assert (done.returncode, done.stderr) == (0, "")
    expected = codec.decode(source.read_bytes(), device="cpu")
    assert_close(np.asarray(Image.open(target)), expected)
    done = run_command("encode", target, tmp_path / "again.cae")
    assert done.returncode == 1 and not (tmp_path / "again.cae").exists()
    assert "encoding needs torch; install the extra" in done.stderr and len(done.stderr.splitlines()) == 1
    for name, words in (
        ("train", [tmp_path, tmp_path / "w.safetensors", "--steps", 1]),
        ("decode", [source, target, "--device", "cuda"]),
    ):
        done = run_command(name, *words)
        assert done.returncode == 1 and "torch" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_plugin_and_chunks(tmp_path):
    """Pillow's plugin and Zarr's chunks read; both say what encoding needs."""
    source = DATA / "eye_astronaut_v1.cae"
    expected = codec.decode(source.read_bytes(), device="cpu")
    code = WITHOUT + (
        "import io, numpy, codec.pillow, codec.zarr\n"
        "from PIL import Image\n"
        "image = Image.open(sys.argv[1])\n"
        "pixels = numpy.asarray(image)\n"
        "coding = codec.zarr.CaeCodec(quality=50).coding\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "chunk = coding.decode(data, pixels.shape, pixels.dtype)\n"
        "assert numpy.array_equal(pixels, chunk)\n"
        "numpy.save(sys.argv[2], pixels)\n"
        "for work in (lambda: coding.encode(pixels), lambda: image.save(io.BytesIO(), 'CAE')):\n"
        "    try: work()\n"
        "    except (codec.CaeError, OSError) as error: print(error)\n"
    )
    said = run(code, source, tmp_path / "pixels.npy").splitlines()
    assert_close(np.load(tmp_path / "pixels.npy"), expected)
    assert len(said) == 2 and all("encoding needs torch; install the extra" in line for line in said)


def test_small_pictures_import_no_torch(tmp_path):
    """Where it is installed: by the API, the plugin and the command; the import costs more than it saves."""
    source = DATA / "eye_astronaut_v1.cae"
    code = (
        "import sys, codec, codec.pillow\n"
        "from PIL import Image\n"
        "codec.decode(open(sys.argv[1], 'rb').read())\n"
        "Image.open(sys.argv[1]).load()\n"
        "from codec.commands import decode\n"
        "decode.main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules"
    )
    run(code, source, tmp_path / "out.png")


def test_torch_takes_over(tmp_path):
    """It encodes at once, and decodes after many small pictures."""
    code = (
        "import sys, codec\n"
        "from codec.api import loading\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "held, area = codec.Codec(), codec.info(data).width * codec.info(data).height\n"
        "for _ in range(loading.NUMPY_PIXELS // area + 1):\n"
        "    assert 'torch' not in sys.modules\n"
        "    with held.open(data): pass\n"
        "assert 'torch' in sys.modules"
    )
    run(code, DATA / "eye_astronaut_v1.cae")


def test_torch_that_cannot_be_imported(tmp_path):
    """Pictures decode by NumPy, with one warning; encoding says what is wrong."""
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so is missing')")
    code = (
        "import sys, warnings; sys.path.insert(0, sys.argv[2])\n"
        "import codec, numpy\n"
        "from codec.api import loading\n"
        "loading.NUMPY_PIXELS = 1\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "held = codec.Codec()\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(2): assert held.decode(data).shape == (512, 512, 3)\n"
        "print(*(warning.message for warning in caught))\n"
        "for codec_ in (held, codec.Codec()):\n"
        "    try: codec_.encode(numpy.zeros((8, 8), 'u1'))\n"
        "    except codec.CaeError as error: print(error)"
    )
    warned, held, fresh = run(code, DATA / "eye_astronaut_v1.cae", tmp_path).splitlines()
    assert (
        warned
        == "torch cannot be imported (libcudart.so is missing); install it again; going on by NumPy, which decodes more slowly"
    )
    assert "needs torch" in held and "libcudart.so is missing" in fresh


def test_threads_meet_the_import_of_torch():
    """A codec that several threads share may turn to torch in the midst of them."""
    code = (
        "import sys, codec, numpy\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from codec.api import loading\n"
        "data, held = open(sys.argv[1], 'rb').read(), codec.Codec(threads=1)\n"
        "loading.NUMPY_PIXELS = 3 * 512 * 512\n"
        "first = held.decode(data).astype(int)\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    others = list(pool.map(held.decode, [data] * 6))\n"
        "assert 'torch' in sys.modules\n"
        "assert max(numpy.abs(other - first).max() for other in others) <= 1"
    )
    run(code, DATA / "eye_astronaut_v1.cae")


def test_latents_agree(tiny_model):
    """Of symbols on grids of every kind, up to a unit of the fixed point."""
    by_numpy, config = load_by_numpy(tiny_model.files), tiny_model.config
    rng = np.random.default_rng(2)
    for height, width in ((1, 1), (1, 6), (3, 5), (9, 17)):
        hyper = rng.integers(-9, 10, (-(-height // 4), -(-width // 4), config.hyper_channels), np.int32)
        latent = rng.integers(-5, 6, (height, width, config.latent_channels), np.int32)
        symbols = Symbols(np.zeros(hyper.shape[:2], np.int32), hyper, latent, np.zeros(latent.shape, np.uint8))
        found, expected = (model.reconstruct(symbols, 60) for model in (by_numpy, tiny_model))
        assert found.dtype == np.int32 and np.abs(found - expected).max() <= 1


def test_pixels_agree(tiny_model):
    """Of latents of every size, and with halos at any of the sides."""
    by_numpy = load_by_numpy(tiny_model.files)
    rng = np.random.default_rng(1)
    assert by_numpy.id == tiny_model.id and sorted(by_numpy.resized) == sorted(tiny_model.resized)
    n, margin = tiny_model.config.latent_channels, tiny_model.receptive_field(1) // 16
    assert by_numpy.receptive_field(1) == 16 * margin
    for height, width in ((1, 1), (3, 5), (17, 40), (2, STRIP_POSITIONS + 3)):
        latent = rng.integers(-3 << LATENT_BITS, 3 << LATENT_BITS, (height + 2 * margin, width + 2 * margin, n), np.int32)
        for halo in ((0, 0, 0, 0), (margin,) * 4, (0, margin, margin, 0), (1, 0, margin, 1)):
            found, expected = (model.synthesise(latent, 60, 1, halo) for model in (by_numpy, tiny_model))
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < 1e-3


def test_regions_are_crops(tiny, tiny_model, astronaut):
    """Of a picture of four windows, of which NumPy synthesises no more than a region needs."""
    data = tiny.encode(astronaut, 60, tile=128)
    file, networks, settings = container.read(data), load_by_numpy(tiny_model.files), Settings(1, window=256)
    assert kernels_are_size_invariant(networks, Fraction(1), False)
    whole = decode(data, file, DecodeJob(networks, settings, file.header))
    assert_close(whole, tiny.decode(data))
    for x, y, width, height in ((200, 210, 100, 90), (0, 300, 300, 3), (511, 0, 1, 512)):
        part = decode(data, file, DecodeJob(networks, settings, file.header, DecodeOptions((x, y, width, height))))
        assert np.array_equal(part, whole[y : y + height, x : x + width])
