"""The whole codec on photographs: sizes, modes, seams, exactness of symbols, damage."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import codec
from benchmarks.core.metrics import ssimulacra2
from codec.coding import decoder, encoder, windowed_analysis
from codec.coding.jobs import DecodeJob, EncodeJob
from codec.coding.settings import Settings
from codec.coding.tile_decoder import TileDecoder
from codec.format import container
from codec.format.geometry import LATENT_STRIDE, Rect
from codec.networks import registry
from codec.networks.latent_coder import LATENT_BITS
from codec.networks.model import Files, Model, load
from codec.networks.transforms import receptive_field
from codec.options import DecodeOptions, EncodeOptions

from .conftest import DATA, TINY, needs_cuda, psnr
from .make_golden_files import DIGESTS, symbols_digest, weights_of


def latent(data: bytes, model: Model, **changes) -> np.ndarray:
    """The reconstructed latent (h, w, N) int32 of a file, in units of 2**-LATENT_BITS quantisation steps."""
    file = container.read(data)
    job = DecodeJob(model, Settings(**{"threads": 2} | changes), file.header, DecodeOptions())
    window = TileDecoder(data, file, job, None).latents(file.header.bounds)
    window.move(file.header.bounds)
    return window.gather(file.header.bounds.outward(LATENT_STRIDE))


def decode(data: bytes, model: Model, **changes) -> np.ndarray:
    file = container.read(data)
    settings = Settings(**{"threads": 2} | changes)
    return decoder.decode(data, file, DecodeJob(model, settings, file.header, DecodeOptions()))


def test_photograph_with_shipped_weights(default, astronaut):
    """Far better than JPEG at the same size: a guard against broken weights, not a benchmark."""
    data = default.encode(astronaut, 70)
    assert len(data) * 8 / (512 * 512) < 0.55
    assert psnr(default.decode(data), astronaut) > 32 and ssimulacra2(astronaut, default.decode(data)) > 64


def test_quality_raises_size_and_fidelity(default, chelsea):
    crop = chelsea[:192, 100:292]
    files = [default.encode(crop, quality) for quality in (1, 20, 40, 60, 80, 100)]
    fidelity = [psnr(default.decode(data), crop) for data in files]
    assert sorted(map(len, files)) == list(map(len, files))
    assert sorted(fidelity) == fidelity


@settings(max_examples=25)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([(), (1,), (2,), (3,), (4,)]), st.integers(1, 100))
def test_every_size_and_mode_comes_back(tiny, height, width, channels, quality):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, *channels), np.uint8)
    decoded = tiny.decode(tiny.encode(pixels, quality, tile=64))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (pixels[..., 0] if channels == (1,) else pixels).shape
    if channels in ((2,), (4,)):
        assert np.array_equal(decoded[..., -1], pixels[..., -1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (15, 17), (64, 64), (65, 129), (3, 2000)])
def test_extreme_shapes_with_shipped_weights(default, shape):
    pixels = np.full((*shape, 3), (200, 30, 90), np.uint8)
    decoded = default.decode(default.encode(pixels, 90, tile=64))
    assert decoded.shape == pixels.shape
    assert abs(decoded.astype(int) - pixels).mean() < 16


@pytest.mark.parametrize("content", ["noise", "black", "white", "checker", "text"])
def test_unnatural_pictures(default, no_layers, content):
    rng = np.random.default_rng(0)
    picture = {
        "noise": rng.integers(0, 256, (130, 140, 3), np.uint8),
        "black": np.zeros((130, 140, 3), np.uint8),
        "white": np.full((130, 140, 3), 255, np.uint8),
        "checker": (np.indices((130, 140)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1),
        "text": skimage.data.text()[:130, :140, None].repeat(3, -1),
    }[content]
    for quality in (1, 100):
        decoded = default.decode(default.encode(picture, quality))
        assert decoded.shape == picture.shape
    if content in ("black", "white", "text"):
        assert psnr(decoded, picture) > 30


@pytest.mark.parametrize("size", [(300, 451), (257, 190)])
def test_no_seams(default_model, default, chelsea, size):
    """Synthesis in small windows differs nowhere from synthesis of the whole picture at once by more than one level."""
    data = default.encode(chelsea[: size[0], : size[1]], 70, tile=64)
    whole = decode(data, default_model, window=4096)
    for window in (64, 128, 1024):
        tiled = decode(data, default_model, window=window)
        assert abs(tiled.astype(int) - whole).max() <= 1


def test_windows_do_not_matter_to_the_analysis(default_model, astronaut):
    settings = [Settings(2, window=window, bf16=False) for window in (64, 4096)]
    jobs = [EncodeJob.of(default_model, each, (512, 512), 3, EncodeOptions(90)) for each in settings]
    whole = Rect(0, 0, 512, 512)
    small, large = (windowed_analysis.analyse(astronaut, whole, Rect(0, 0, 300, 333), job) for job in jobs)
    assert abs(small - large).max() < 2e-3


def test_regions_and_windows(default_model, chelsea, default):
    """A region that crosses windows is the crop to the bit, in either precision."""
    data = default.encode(chelsea, 40, tile=128)
    file = container.read(data)
    for bf16 in (True, False):
        settings = Settings(2, window=128, bf16=bf16)
        part = decoder.decode(data, file, DecodeJob(default_model, settings, file.header, DecodeOptions((60, 100, 340, 190))))
        assert np.array_equal(part, decode(data, default_model, window=128, bf16=bf16)[100:290, 60:400])


def test_bands_do_not_show(tiny_model, chelsea):
    """Encoding and decoding in many bands gives what one band gives, but for the rounding of floating point."""
    many, one = (Settings(1, window=window, bf16=False) for window in (64, 1024))
    jobs = [EncodeJob.of(tiny_model, settings, (451, 300), 3, EncodeOptions(60, 64)) for settings in (many, one)]
    files = [encoder.encode(chelsea, job, {}) for job in jobs]
    assert abs(len(files[0]) - len(files[1])) <= 8
    latents = [latent(file, tiny_model) for file in files]
    assert (latents[0] != latents[1]).mean() < 1e-3
    pictures = [decode(files[0], tiny_model, window=window, bf16=False).astype(int) for window in (64, 1024)]
    assert abs(pictures[0] - pictures[1]).max() <= 1
    assert (pictures[0] != pictures[1]).mean() < 1e-3


@pytest.mark.parametrize("name", ["analysis", "synthesis"])
def test_halo_covers_the_receptive_field(tiny_model, name):
    """Pixels beyond the halo have no influence at all, and the halo is as narrow as whole latents allow."""
    network = getattr(tiny_model, name)
    unit, channels = (1, tiny_model.config.latent_channels) if name == "synthesis" else (16, 3)
    x = torch.zeros(1, 17 * unit, 17 * unit, channels, requires_grad=True)
    out = network(x, tiny_model.level(50))
    middle = slice(8 * 16 // unit, 9 * 16 // unit)
    (gradient,) = torch.autograd.grad(out[:, middle, middle].sum(), x)
    rows = torch.nonzero(gradient.abs().sum((0, 2, 3))) // unit
    reach = int(max(8 - rows.min(), rows.max() - 8))
    assert receptive_field(network) == 16 * reach


def test_symbols_do_not_depend_on_how_they_are_decoded(default_model, default, astronaut):
    """One thread or two, one tile at a time or many: the latent is the same to the bit, also after a decoder in bf16."""
    data = default.encode(astronaut, 60, tile=128)
    expected = latent(data, default_model)
    assert np.array_equal(latent(data, default_model, threads=1), expected)
    assert np.array_equal(latent(data, default_model, threads=7), expected)
    low, full = (decode(data, default_model, bf16=bf16) for bf16 in (True, False))
    difference = abs(low.astype(int) - full)
    assert difference.max() <= 2 and (difference == 2).mean() < 1 / 50_000
    assert np.array_equal(latent(data, default_model), expected)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_means_that_differ_in_their_last_bits_move_no_pixel_far(default, astronaut, device):
    """Symbols are read without the means, and pixels stay within a level of those that other machines decode."""
    data = default.encode(astronaut[:256, :256], 90, tile=128)
    model = load(Files(registry.default_path()), device)
    before = decode(data, model)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.coder.means.parameters():
            weight.mul_(1 + 1e-5 * torch.randn(weight.shape, generator=noise).to(device))
    assert (latent(data, model) != latent(data, load(Files(registry.default_path())))).any()
    assert abs(decode(data, model).astype(int) - before).max() <= 1


@pytest.mark.parametrize(
    "content", ["photograph", "page", "noise", "black and white noise", "checkerboard", "two-valued noise"]
)
def test_pixels_agree_with_float64(default_model, default, no_layers, astronaut, content):
    """Within one level and 0.01 dB of what the decoder would give without any error of rounding."""
    rng = np.random.default_rng(0)
    picture = {
        "photograph": astronaut[:192, :192],
        "page": skimage.data.page()[:128, :128, None].repeat(3, -1),
        "noise": rng.integers(0, 256, (128, 128, 3), np.uint8),
        "black and white noise": rng.integers(0, 2, (128, 128, 1), np.uint8).repeat(3, -1) * 255,
        "checkerboard": (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1),
        "two-valued noise": rng.integers(0, 2, (128, 128, 3), np.uint8) * 255,
    }[content]
    synthesis = copy.deepcopy(default_model.synthesis).double()
    for quality in (5, 50, 100):
        data = default.encode(picture, quality)
        decoded = default.decode(data)
        y = torch.from_numpy(latent(data, default_model))[None].double() / 2**LATENT_BITS / default_model.gain[quality - 1]
        with torch.inference_mode():
            exact = synthesis(y, default_model.level(quality).double(), torch.float64)[0].add(0.5).mul(255).clamp(0, 255)
        exact = exact.round().to(torch.uint8).numpy()
        assert abs(decoded.astype(int) - exact).max() <= 1
        assert abs(psnr(decoded, picture) - psnr(exact, picture)) < 0.01


GOLDEN = json.loads(DIGESTS.read_text())


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files(name, device):
    """Files that another machine made decode for ever to the same symbols and scale indices."""
    assert symbols_digest((DATA / name).read_bytes(), load(Files(weights_of(name)), device)) == GOLDEN[name]


@pytest.mark.parametrize(("onednn", "aten"), [("AVX512_CORE", "avx2"), ("AVX2_VNNI", "avx2"), ("SSE41", "default")])
def test_golden_files_on_lesser_processors(onednn, aten):
    """With fewer instructions the symbols are the same, and pixels within a level."""
    code = (
        "import json; from codec.networks.model import Files, load\n"
        "from tests.make_golden_files import DATA, DIGESTS, symbols_digest, weights_of\n"
        "for name, expected in json.loads(DIGESTS.read_text()).items():\n"
        "    found = symbols_digest((DATA / name).read_bytes(), load(Files(weights_of(name))))\n"
        "    assert found == expected, name\n"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten}
    done = subprocess.run([sys.executable, "-c", code], cwd=DATA.parents[1], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_golden_pictures(tiny, default, chelsea, astronaut):
    files = [(DATA / name).read_bytes() for name in GOLDEN]
    facts = [(codec.info(data).mode, codec.info(data).depth) for data in files]
    assert facts == [("RGB", 8), ("RGB", 8), ("LA", 12), ("LA", 8), ("RGB", 8)]
    assert psnr(default.decode(files[0]), astronaut) > 28 and psnr(default.decode(files[1]), astronaut) > 32
    deep, gray = tiny.decode(files[2]), chelsea[100:190, 100:177, 1]
    assert deep.dtype == np.uint16 and psnr(deep[..., 0] / 16, gray) > 25
    assert psnr(tiny.decode(files[3])[..., 0], gray) > 25 and np.array_equal(tiny.decode(files[3])[..., 1], deep[..., 1] // 16)
    assert psnr(tiny.decode(files[4]), chelsea[:150, :201]) > 25


def test_every_damaged_byte_is_reported(tiny, chelsea):
    data = tiny.encode(chelsea[:40, :50], 30)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(codec.CaeError):
            tiny.decode(damaged)


def test_unknown_model(tiny, default, chelsea):
    with pytest.raises(codec.CaeError, match=r"needs the weights with id .*weights=…"):
        default.decode(tiny.encode(chelsea))


def test_metadata_and_alpha_survive():
    image = Image.fromarray(skimage.data.chelsea()[:60, :70]).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    image.info.update(icc_profile=b"profile", xmp=b"<x/>", exif=exif.tobytes())
    decoded = codec.Codec(weights=TINY, device="cpu").decode_image(codec.Codec(weights=TINY, device="cpu").encode(image))
    assert decoded.mode == "RGBA"
    assert decoded.info["icc_profile"] == b"profile"
    assert decoded.info["xmp"] == b"<x/>"
    assert decoded.getexif()[0x010E] == "a cat"
    assert np.array_equal(np.asarray(decoded)[..., 3], np.asarray(image)[..., 3])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.float32), "float32"),
        (np.zeros((4, 4, 5), np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "at least one pixel"),
        (np.zeros(4, np.uint8), "shape"),
        (Image.new("I", (4, 4)), "32-bit integers; scale them to 0 … 65535"),
        (Image.new("F", (4, 4)), "floating-point numbers; scale them"),
        ("photo.png", "cannot encode a str"),
    ],
)
def test_images_that_cannot_be_coded(tiny, image, message):
    with pytest.raises(codec.CaeError, match=message):
        tiny.encode(image)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"])
def test_pillow_modes(tiny, mode):
    image = Image.fromarray(skimage.data.chelsea()[:50, :60])
    if mode == "LAB":
        image = Image.new("LAB", (60, 50))
    elif mode != "RGB":
        image = image.convert(mode)
    assert tiny.decode_image(tiny.encode(image)).mode == ("L" if mode in ("1", "L") else "RGB")


@pytest.mark.parametrize(
    "options", [{"quality": 0}, {"quality": 101}, {"quality": 5.5}, {"tile": 100}, {"tile": 2112}, {"tile": 0}]
)
def test_bad_options(tiny, chelsea, options):
    with pytest.raises(codec.CaeError):
        tiny.encode(chelsea, **options)


def test_bad_construction(tmp_path):
    for options in ({"device": "tpu"}, {"threads": 0}, {"threads": "2"}, {"weights": tmp_path / "none.safetensors"}):
        with pytest.raises(codec.CaeError):
            codec.Codec(**options)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(TINY.read_bytes()[:5000])
    with pytest.raises(codec.CaeError, match="weights file"):
        codec.Codec(weights=broken)
