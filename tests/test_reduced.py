"""Decoders of reduced sizes: trained beside finished weights, whose id stays, and used where weights have them."""

import copy
import shutil

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import codec
from codec.format import container
from codec.format.header import Kind
from codec.images.downscale import reduce
from codec.networks import registry
from codec.networks.config import Config
from codec.networks.model import Files, load
from codec.networks.reduced import ReducedSynthesis
from codec.networks.transforms import Synthesis
from codec.networks.weights import Weights
from codec.training.decoders.reduced import ReducedDecoder
from codec.training.export import restore
from codec.training.initialisation import initialise_reduced
from codec.training.merge_sizes import main, merge_sizes
from codec.training.options import Options
from codec.training.train import train

from .conftest import TINY, psnr

BASE = registry.default_path()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("images")
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()).save(made / f"{name}.png")
    return made


@pytest.fixture(scope="module")
def weights(folder, tmp_path_factory):
    """The tiny weights with decoders of 1/2 and 1/8, added one after the other."""
    made = tmp_path_factory.mktemp("weights")
    before = TINY
    for factor in (2, 8):
        path = made / f"{factor}.safetensors"
        options = Options(
            folder,
            made / f"run{factor}",
            steps=3,
            batch=2,
            patch=64,
            quiet=True,
            start_from=before,
            reduced=factor,
            export=path,
        )
        train(options, Weights.read(before).config)
        before = path
    return before


@pytest.fixture(scope="module")
def reducer(weights):
    return codec.Codec(weights=weights, device="cpu", threads=2)


def test_all_else_of_the_weights_stays(weights):
    before, after = (load_file(path) for path in (TINY, weights))
    assert Weights.read(weights).id == Weights.read(TINY).id
    assert all(torch.equal(after.pop(name), value) for name, value in before.items())
    assert {name.rsplit("/", 1)[0] for name in after} == {"reduced/2", "reduced/8"}
    assert sorted(load(Files(weights)).resized) == [1 / 8, 1 / 2]


def test_they_decode_what_areas_average_to(reducer, tiny, chelsea):
    """With 3 steps of training after their start, so nearly; where there is none, exactly."""
    data = tiny.encode(chelsea, 60, tile=128)
    whole = tiny.decode(data)
    for factor in (2, 4, 8):
        expected, reduced = reduce(whole, factor), reducer.decode(data, scale=1 / factor)
        assert reduced.shape == expected.shape
        assert np.array_equal(reduced, expected) == (factor == 4)
        assert factor == 4 or psnr(reduced, expected) > 30


@pytest.mark.parametrize("channels", [1, 4])
def test_regions_are_the_crop(reducer, astronaut, channels):
    pixels = np.tile(np.dstack([astronaut, astronaut[..., 0]]), (3, 3, 1))[:1100, :1290, :channels]
    data = reducer.encode(pixels, 60, tile=512)
    for factor in (2, 8):
        whole = reducer.decode(data, scale=1 / factor)
        if channels == 4:
            assert np.array_equal(whole[..., 3], reduce(pixels[..., 3:], factor)[..., 0])
        with reducer.open(data) as picture:
            assert np.array_equal(np.concatenate(list(picture.bands(scale=1 / factor))), whole)
            for x, y, width, height in ((1000, 1000, 50, 60), (0, 0, 8, 8), (1289, 1099, 1, 1), (17, 513, 700, 3)):
                rows, columns = (
                    slice(first // factor, -(-(first + size) // factor)) for first, size in ((y, height), (x, width))
                )
                assert np.array_equal(picture.read((x, y, width, height), 1 / factor), whole[rows, columns])


def test_tiles_without_loss_are_reduced_exactly(reducer, astronaut):
    """A drawing beside a photograph: regions are the crop, and the drawing's pixels averages of its own."""
    pixels = np.tile(astronaut, (1, 3, 1))
    rows, columns = np.indices((512, 512)) // 7
    pixels[:, :512] = np.where((rows + columns) % 3 == 0, 30, 230)[..., None]
    data = reducer.encode(pixels, 60, tile=256)
    kinds = [entry.kind for entry in container.read(data).index]
    assert kinds[:2] == [Kind.LOSSLESS] * 2 and Kind.LOSSLESS not in kinds[3:6]
    whole = reducer.decode(data, scale=1 / 8)
    assert np.array_equal(whole[:, :64], reduce(pixels[:, :512], 8))
    for region in ((0, 0, 100, 80), (400, 200, 300, 120), (520, 3, 9, 500)):
        x, y, width, height = region
        crop = whole[y // 8 : -(-(y + height) // 8), x // 8 : -(-(x + width) // 8)]
        assert np.array_equal(reducer.decode(data, region=region, scale=1 / 8), crop)


def test_the_start_is_the_linear_synthesis():
    """Without blocks, the small decoder begins as the synthesis with areas' averages after it."""
    torch.manual_seed(0)
    config = Config(channels=24, latent_channels=20, synthesis_blocks=0, reduced_blocks=0)
    synthesis = Synthesis(config)
    level = torch.tensor([7.0])
    y = torch.randn(1, 3, 2, 20)
    for factor in (2, 4, 8):
        network = ReducedSynthesis(config, factor)
        initialise_reduced(network, synthesis, level)
        with torch.inference_mode():
            whole = synthesis(y, level).permute(0, 3, 1, 2)
            expected = torch.nn.functional.avg_pool2d(whole, factor).permute(0, 2, 3, 1)
            assert torch.allclose(network(y, level), expected, atol=1e-5)


def test_forged_ones_are_refused(weights, tmp_path):
    tensors = load_file(weights)
    tensors["reduced/2/patch_out.weight"] = tensors["reduced/2/patch_out.weight"][:-1]
    save_file(tensors, tmp_path / "forged.safetensors", Weights.read(weights).metadata)
    with pytest.raises(codec.CaeError, match="not a whole weights file"):
        codec.Codec(weights=tmp_path / "forged.safetensors", device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"reduced": 3, "start_from": TINY}, "reduced 3"), ({"reduced": 2}, "--start-from")],
)
def test_bad_options(folder, tmp_path, changes, message):
    with pytest.raises(codec.CaeError, match=message):
        train(Options(folder, tmp_path, steps=1, **changes), Config())


@pytest.fixture
def shipped(tmp_path, weights, install_weights):
    """The tiny weights as installed, with their decoders of 1/2 and 1/8 in a file of its own."""
    install_weights(tmp_path)
    shutil.copy(TINY, tmp_path / "eye.safetensors")
    merge_sizes([TINY, weights], tmp_path / "tiny-sizes.safetensors")
    return tmp_path


def test_a_file_of_their_own_is_found_beside_the_model(shipped, reducer, tiny, chelsea):
    data = tiny.encode(chelsea, 60)
    for installed in (codec.Codec(device="cpu"), codec.Codec(weights=TINY, device="cpu")):
        for scale in (1 / 8, 1 / 4, 1 / 2, 1):
            assert np.array_equal(installed.decode(data, scale=scale), reducer.decode(data, scale=scale))


def test_files_of_their_own_are_joined(shipped, weights):
    """The decoders of such a file may be collected again, beside later ones."""
    sizes = shipped / "tiny-sizes.safetensors"
    before = sizes.read_bytes()
    merge_sizes([sizes, weights], sizes)
    assert sizes.read_bytes() == before
    main([str(sizes), str(shipped / "again.safetensors")])
    assert (shipped / "again.safetensors").read_bytes() == before


@pytest.mark.parametrize("harm", ["cut off", "of another configuration"])
def test_a_damaged_file_of_their_own_matters_to_other_sizes_alone(shipped, tiny, chelsea, harm):
    sizes = shipped / "tiny-sizes.safetensors"
    if harm == "cut off":
        sizes.write_bytes(sizes.read_bytes()[:-100])
    else:
        metadata = Weights.read(sizes).metadata
        metadata["config"] = metadata["config"].replace('"levels": ', '"levels": 1')
        save_file(load_file(sizes), sizes, metadata)
    data, installed = tiny.encode(chelsea, 60), codec.Codec(device="cpu")
    assert np.array_equal(installed.decode(data), tiny.decode(data))
    with pytest.raises(codec.CaeError, match=r"tiny-sizes\.safetensors"):
        installed.decode(data, scale=1 / 2)


def test_files_of_sizes_are_of_one_model(tmp_path, weights):
    with pytest.raises(codec.CaeError, match="holds no decoder"):
        merge_sizes([TINY], tmp_path / "made.safetensors")
    with pytest.raises(SystemExit, match=r"merge_sizes: .*of one model"):
        main([str(weights), str(BASE), str(tmp_path / "made.safetensors")])
    with pytest.raises(codec.CaeError, match="of one model"):
        merge_sizes([weights, BASE], tmp_path / "made.safetensors")
    (cut := tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(codec.CaeError, match="not a whole weights file"):
        merge_sizes([cut], tmp_path / "made.safetensors")
    assert list(tmp_path.iterdir()) == [cut]


def test_training_goes_on_from_installed_ones(shipped):
    model = ReducedDecoder(restore(TINY), 8)
    fresh = copy.deepcopy(model.network.state_dict())
    model.resume(TINY)
    stored = load_file(shipped / "tiny-sizes.safetensors")
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, stored[f"reduced/8/{name}"].float())
    assert any(not torch.equal(value, fresh[name]) for name, value in model.network.state_dict().items())


def test_another_decoder_is_seen_at_every_size(weights, tmp_path):
    """Small decoders show what the ordinary one does; beside another one its own pictures are shrunk."""
    tensors = load_file(TINY)
    part = {name: value for name, value in tensors.items() if name.startswith("synthesis/")}
    part["synthesis/patch_out.bias"] = part["synthesis/patch_out.bias"] + 0.2
    tiny_weights = Weights.read(TINY)
    path = tmp_path / "bright.safetensors"
    save_file(part, path, {"config": tiny_weights.metadata["config"], "id": tiny_weights.id.hex(), "role": "decoder"})
    other = codec.Codec(weights=weights, decoder=path, device="cpu")
    data = other.encode(skimage.data.coffee()[:128, :128] // 2, 60)
    whole = other.decode(data)
    for factor in (2, 8):
        assert np.array_equal(other.decode(data, scale=1 / factor), reduce(whole, factor))
