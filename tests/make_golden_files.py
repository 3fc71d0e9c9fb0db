"""Makes the golden files in tests/data and the digests of their symbols.

`python -m tests.make_golden_files` makes those of the shipped weights, which a change of these needs; with `--tiny`, the
tiny weights and the files that need them, which only a change of the format before its first release may.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import skimage.data

import codec
from codec.entropy.coder import Decoder
from codec.entropy.symbols import decode_symbols
from codec.format import container
from codec.format.geometry import LATENT_STRIDE
from codec.format.header import Kind
from codec.format.payload import length_min, split_payload
from codec.networks import registry
from codec.networks.model import Files, Model, load
from codec.options import TUNES
from codec.training.export import export

from .conftest import DATA, TINY
from .make_tiny_weights import make_model

DIGESTS = DATA / "symbols.json"


def symbols_digest(data: bytes, model: Model) -> str:
    """SHA-256 of all tiles' priors, hyper-latents, symbols and scale indices (int32, little-endian), one after another."""
    file, digest = container.read(data), hashlib.sha256()
    for number in range(file.header.tile_count):
        if file.kind(number) is not Kind.LOSSLESS:
            place = file.header.place(number)
            payload = split_payload(container.read_payload(data, file, number), place)[1]
            positions = place.outward(LATENT_STRIDE)
            decoder = Decoder(payload, length_min(Kind.TRANSFORM, place))
            symbols = decode_symbols(decoder, model.coder.exact, file.header.quality, positions.height, positions.width)
            for part in (symbols.priors, symbols.hyper, symbols.latent, symbols.index):
                digest.update(part.astype("<i4").tobytes())
    return digest.hexdigest()


def weights_of(name: str) -> Path:
    """The weights that a golden file needs."""
    return TINY if name.startswith("tiny") else registry.find_model(name.partition("_")[0])


def make(name: str, data: bytes, model: Model) -> None:
    (DATA / name).write_bytes(data)
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    digests[name] = symbols_digest(data, model)
    DIGESTS.write_text(json.dumps(digests, indent=2, sort_keys=True) + "\n")


def make_tiny() -> None:
    crops = [skimage.data.astronaut()[:256, :256], skimage.data.coffee()[:256, :256]]
    export(make_model(), crops, TINY, {"licence": "MIT"})
    tiny, model = codec.Codec(weights=TINY, device="cpu"), load(Files(TINY))
    chelsea = skimage.data.chelsea()
    make("tiny_rgb_v1.cae", tiny.encode(chelsea[:150, :201], 55, tile=64), model)
    ramp = np.arange(90 * 77, dtype=np.uint32).reshape(90, 77) * 255 // (90 * 77)
    gray_alpha = np.stack([chelsea[100:190, 100:177, 1], ramp.astype(np.uint8)], -1)
    make("tiny_gray_alpha_v1.cae", tiny.encode(gray_alpha, 80, tile=128), model)
    make("tiny_deep_v1.cae", tiny.encode(gray_alpha.astype(np.uint16) * 16, 70, tile=64, depth=12), model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    if parser.parse_args().tiny:
        make_tiny()
    for tune in TUNES:
        astronaut = codec.Codec(tune=tune, device="cpu").encode(skimage.data.astronaut(), 50, tile=256)
        make(f"{tune}_astronaut_v1.cae", astronaut, load(Files(registry.find_model(tune))))
