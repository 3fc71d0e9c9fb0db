"""Makes the golden files in tests/data and the digests of their latents.

`python -m tests.make_golden_files` makes those of the shipped weights, which a change of these needs; with `--tiny`, the
tiny weights and the files that need them, which only a change of the format before its first release may.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import skimage.data
import torch

import codec
from codec.coding.jobs import DecodeJob
from codec.coding.settings import Settings
from codec.coding.tile_decoder import TileDecoder
from codec.format import container
from codec.format.geometry import LATENT_STRIDE
from codec.networks import registry
from codec.networks.model import Files, Model, load
from codec.options import DecodeOptions
from codec.training.export import export

from .conftest import DATA, TINY
from .make_tiny_weights import make_model

DIGESTS = DATA / "latents.json"


def decode_latent(data: bytes, model: Model, settings: Settings | None = None) -> torch.Tensor:
    """Decodes the latent (h, w, N) int32 of a file, in units of 2**-MEAN_BITS quantisation steps; 0 where it is lossless."""
    file = container.read(data)
    bounds = file.header.bounds
    job = DecodeJob(model, settings or Settings(2), file.header, DecodeOptions())
    latents = TileDecoder(data, file, job, None).latents(bounds)
    latents.move(bounds)
    return latents.gather(bounds.outward(LATENT_STRIDE))


def latent_digest(data: bytes, model: Model) -> str:
    """SHA-256 of the reconstructed latent (int32, little-endian) of a file."""
    return hashlib.sha256(decode_latent(data, model).numpy().astype("<i4").tobytes()).hexdigest()


def weights_of(name: str) -> Path:
    """The weights that a golden file needs."""
    return TINY if name.startswith("tiny") else registry.default_path()


def make(name: str, data: bytes, model: Model) -> None:
    (DATA / name).write_bytes(data)
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    digests[name] = latent_digest(data, model)
    DIGESTS.write_text(json.dumps(digests, indent=2, sort_keys=True) + "\n")


def make_tiny() -> None:
    crops = [skimage.data.astronaut()[:256, :256], skimage.data.coffee()[:256, :256]]
    export(make_model(), crops, TINY, {"licence": "MIT"})
    held, model = codec.Codec(weights=TINY, device="cpu"), load(Files(TINY))
    chelsea = skimage.data.chelsea()
    make("tiny_rgb_v1.cae", held.encode(chelsea[:150, :201], 55, tile=64), model)
    ramp = np.arange(90 * 77, dtype=np.uint32).reshape(90, 77) * 255 // (90 * 77)
    gray_alpha = np.stack([chelsea[100:190, 100:177, 1], ramp.astype(np.uint8)], -1)
    make("tiny_gray_alpha_v1.cae", held.encode(gray_alpha, 80, tile=128), model)
    make("tiny_deep_v1.cae", held.encode(gray_alpha.astype(np.uint16) * 16, 70, tile=64, depth=12), model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    if parser.parse_args().tiny:
        make_tiny()
    astronaut = codec.Codec(device="cpu").encode(skimage.data.astronaut(), 50, tile=256)
    make("base_astronaut_v1.cae", astronaut, load(Files(registry.default_path())))
