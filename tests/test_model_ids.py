"""The extent of a model's id, and encoders and decoders that are files of their own."""

import dataclasses
import hashlib
import json
import struct

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import codec
import codec.commands.decode
import codec.commands.encode
from codec import commands
from codec.networks import registry
from codec.networks.model import Files, load
from codec.networks.weights import DECODER, ENCODER, Weights
from codec.training.autoencoder import Autoencoder
from codec.training.export import export_part, restore

from .conftest import TINY, psnr


@pytest.fixture
def changed(tmp_path):
    """The id of the tiny weights after a change of one tensor or of the metadata."""

    def change(name=None, metadata=None) -> bytes:
        tensors = load_file(TINY)
        if name is not None:
            tensors[name] = tensors[name].copy()
            tensors[name].flat[0] += 1
        path = tmp_path / "changed.safetensors"
        save_file(tensors, path, metadata=Weights.read(TINY).metadata | (metadata or {}))
        return Weights.read(path).id

    return change


def test_neither_encoder_nor_metadata_matter(changed):
    ours = Weights.read(TINY).id
    assert changed() == ours
    assert changed("analysis/patch_in.weight") == changed("hyper_analysis/enter.weight") == ours
    assert changed("training/prior.logits") == ours
    assert changed(metadata={"licence": "CC0-1.0", "training": "{}"}) == ours
    config = json.loads(Weights.read(TINY).metadata["config"])
    assert changed(metadata={"config": json.dumps(config | {"lambda_max": 7.0, "analysis_blocks": 9})}) == ours


@pytest.mark.parametrize(
    "name",
    [
        "means/embed.weight",
        "scales/map.weight",
        "priors/mean",
        "tables/scale.frequencies",
        "levels/log_gain",
        "synthesis/patch_out.weight",
    ],
)
def test_all_that_decodes_matters(changed, name):
    assert changed(name) != Weights.read(TINY).id


def test_configuration_matters(changed):
    config = json.loads(Weights.read(TINY).metadata["config"])
    assert changed(metadata={"config": json.dumps(config | {"quality_levels": [-0.75, 3.25]})}) != Weights.read(TINY).id


def test_an_unknown_field_of_the_configuration_is_refused(tmp_path):
    """A decoder that does not know the field would decode to something else."""
    metadata = Weights.read(TINY).metadata
    config = json.loads(metadata["config"]) | {"upsampling": "nearest"}
    path = tmp_path / "other.safetensors"
    save_file(load_file(TINY), path, metadata=metadata | {"config": json.dumps(config)})
    with pytest.raises(codec.CaeError, match=r"not a weights file of this codec .*upsampling"):
        codec.Codec(weights=path, device="cpu")


def test_id_is_as_the_specification_says():
    """FORMAT.md's canonical form, written a second time."""
    digest = hashlib.sha256()
    with safe_open(TINY, "np") as file:
        config = json.loads(file.metadata()["config"])
        for name in (
            "analysis_blocks", "analysis_wide_blocks", "analysis_wide_expansion", "lambda_min", "lambda_max", "objective",
            "reduced_blocks", "score_max",
        ):  # fmt: skip
            config.pop(name, None)
        parts = [json.dumps(config, sort_keys=True, separators=(",", ":")).encode()]
        types = {"float32": "F32", "float16": "F16", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8"}
        for name in sorted(file.keys()):
            if name.split("/")[0] in ("levels", "means", "priors", "scales", "synthesis", "tables"):
                tensor = file.get_tensor(name)
                parts += [name.encode(), types[str(tensor.dtype)].encode(), ",".join(map(str, tensor.shape)).encode()]
                parts.append(tensor.tobytes())
    for part in parts:
        digest.update(struct.pack("<Q", len(part)) + part)
    assert Weights.read(TINY).id == digest.digest()[:8]


def test_shipped_metadata_name_the_id():
    for path, model_id in registry.installed().items():
        assert Weights.read(path).id == model_id


@pytest.fixture
def encoder(tmp_path):
    """Another encoder for the tiny model: its analysis makes every picture darker."""
    model = restore(TINY)
    model.analysis.patch_in.bias.data += 0.3 * model.analysis.patch_in.weight.data.sum(1)
    path = tmp_path / "dark.safetensors"
    export_part(model, ENCODER, Weights.read(TINY).id, path, {"licence": "MIT"})
    return path


@pytest.fixture
def decoder(tmp_path):
    """Another decoder for the tiny model: its pictures are brighter."""
    model = restore(TINY)
    model.synthesis.patch_out.bias.data += 0.2
    path = tmp_path / "bright.safetensors"
    export_part(model, DECODER, Weights.read(TINY).id, path, {})
    return path


def test_another_encoder_writes_files_that_the_model_reads(tiny, encoder, chelsea):
    other = codec.Codec(weights=TINY, encoder=encoder, device="cpu")
    data = other.encode(chelsea, 60)
    assert codec.info(data).model_id == codec.info(tiny.encode(chelsea, 60)).model_id
    assert abs(tiny.decode(data).mean() - tiny.decode(tiny.encode(chelsea, 60)).mean()) > 10
    assert np.array_equal(other.decode(data), tiny.decode(data))


def test_another_decoder_reads_files_of_the_model(tiny, decoder, chelsea):
    data = tiny.encode(chelsea, 60)
    bright = codec.Codec(weights=TINY, decoder=decoder, device="cpu").decode(data)
    expected = np.clip(tiny.decode(data).astype(float) + 0.2 * 255, 0, 255)
    assert psnr(bright, expected) > 45


def test_parts_of_another_model_are_refused(encoder, decoder):
    for options in ({"encoder": encoder}, {"decoder": decoder}):
        with pytest.raises(codec.CaeError, match=r", not an? (encoder|decoder) for model"):
            codec.Codec(device="cpu", **options)
    for options in ({"encoder": decoder}, {"decoder": encoder}, {"decoder": TINY}, {"encoder": TINY}):
        with pytest.raises(codec.CaeError, match=r", not an? (encoder|decoder) for model"):
            codec.Codec(weights=TINY, device="cpu", **options)


@pytest.mark.parametrize(("role", "changes"), [(ENCODER, {"latent_channels": 96}), (DECODER, {"levels": 2})])
def test_parts_of_other_sizes_are_refused(tmp_path, role, changes):
    """Though they name the right model: they would end in a traceback, or in wrong pictures."""
    path = tmp_path / "part.safetensors"
    model = Autoencoder(dataclasses.replace(restore(TINY).config, **changes))
    export_part(model, role, Weights.read(TINY).id, path, {})
    with pytest.raises(codec.CaeError, match="has other sizes than the model that it names"):
        codec.Codec(weights=TINY, device="cpu", **{role: path})


@pytest.mark.parametrize("header", [b'{"__metadata__":null}', b'{"__metadata__":["role"]}', b"[" * 200_000, b"{}", b""])
def test_forged_parts_are_refused(tmp_path, header):
    path = tmp_path / "part.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    for options in ({"encoder": path}, {"decoder": path}, {"weights": path}, {"weights": path, "encoder": "dark"}):
        with pytest.raises(codec.CaeError):
            codec.Codec(**{"weights": TINY, "device": "cpu"} | options)


@pytest.mark.parametrize("name", ["", "a\0b.safetensors", "none.safetensors"])
def test_names_of_no_file_are_refused(name):
    for options in ({"encoder": name}, {"decoder": name}, {"weights": name or "."}):
        with pytest.raises(codec.CaeError):
            codec.Codec(**{"weights": TINY, "device": "cpu"} | options)
        with pytest.raises(codec.CaeError):
            codec.encode(np.zeros((9, 9), np.uint8), **{"weights": TINY, "device": "cpu"} | options)


def test_installed_parts_are_found_by_name(install_weights, tmp_path, encoder, chelsea):
    """The registry finds them by name among those that belong to the model."""
    (tmp_path / "eye.safetensors").write_bytes(TINY.read_bytes())
    install_weights(tmp_path)
    named, by_path = (codec.Codec(encoder=which, device="cpu") for which in ("dark", encoder))
    assert named.encode(chelsea, 30) == by_path.encode(chelsea, 30)
    with pytest.raises(codec.CaeError, match=r"no encoder 'light' for the model [0-9a-f]{16}; installed: dark"):
        codec.Codec(encoder="light", device="cpu")


def test_parts_are_kept_when_a_gpu_is_full(encoder):
    """A CPU that takes over has the same encoder."""
    model = load(Files(TINY, encoder))
    again = dataclasses.replace(model, analysis=None).on_cpu()
    assert again.analysis.patch_in.bias.equal(model.analysis.patch_in.bias)


def test_commands_take_parts(tmp_path, encoder, decoder, chelsea):
    picture, coded, decoded = (tmp_path / name for name in ("cat.png", "cat.cae", "decoded.png"))
    Image.fromarray(chelsea).save(picture)
    commands.encode.main([str(picture), str(coded), "--weights", str(TINY), "--encoder", str(encoder)])
    assert coded.read_bytes() == codec.Codec(weights=TINY, encoder=encoder, device="cpu").encode(chelsea)
    commands.decode.main([str(coded), str(decoded), "--weights", str(TINY), "--decoder", str(decoder)])
    expected = codec.Codec(weights=TINY, decoder=decoder, device="cpu").decode(coded.read_bytes())
    assert np.array_equal(np.asarray(Image.open(decoded)), expected)
