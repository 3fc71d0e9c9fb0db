"""The suite's files that must be decoded: pictures of each mode, depth, kind of tile, size and quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import skimage.data

from codec import Codec
from codec.format import container
from codec.format.header import Header, Kind
from codec.format.payload import Payload, length_min
from codec.networks.model import Files, load
from tests.forging import transform_payload
from tests.fuzz.draft import Section, assemble, dissect

SRGB = Path(container.__file__).with_name("srgb.icc")
ALL_METADATA = {
    "iccp": SRGB.read_bytes(),
    "exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0",
    "xmp ": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b" " * 500 + b"</x:xmpmeta>",
    "cicp": bytes((1, 13, 0, 1)),
    "mdcv": bytes(range(24)),
    "clli": bytes(range(8)),
}


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weights file with its codec."""

    path: Path
    codec: Codec


def picture(height: int, width: int, channels: int, depth: int = 8, *, seed: int = 0) -> np.ndarray:
    """A part of a photograph (height, width, channels), with a ramp as alpha and noise in the bits below the eighth."""
    photograph = skimage.data.chelsea() if height <= 300 else skimage.data.astronaut()
    top, left = (60 if height <= 200 else 0), (100 if width <= 200 else 0)
    colours = photograph[top : top + height, left : left + width, : 3 if channels > 2 else 1]
    ramp = (np.arange(height * width).reshape(height, width, 1) * 300 // (height * width)).clip(max=255)
    pixels = np.concatenate([colours, ramp], -1)[..., :channels] if channels % 2 == 0 else colours
    if depth == 8:
        return pixels.astype(np.uint8)
    low = np.random.default_rng(seed).integers(0, 2 ** (depth - 8), pixels.shape)
    return (pixels.astype(np.uint16) << (depth - 8) | low).astype(np.uint16)


def drawn(pixels: np.ndarray) -> np.ndarray:
    """The picture with stripes, such as those of letters, over parts of it."""
    rows, columns = np.indices(pixels.shape[:2])
    stripes = (rows // 3 % 4 < 2) & (columns // 2 * 7 % 5 < 3)
    place = ((rows < 64) & (columns < 64)) | ((rows >= 64) & (columns >= 90) & (columns < 150))
    largest = 255 if pixels.itemsize == 1 else int(pixels.max())
    colours = 3 if pixels.shape[2] > 2 else 1
    out = pixels.copy()
    out[..., :colours][place] = np.where(stripes, largest, largest // 8)[place][:, None]
    return out


def valid_files(tiny: Weights, shipped: Mapping[str, Weights], pattern: str = "*") -> Iterator[tuple[str, bytes, Weights]]:
    """Names that match a pattern, with bytes and weights. Those of shipped weights begin with the model's name."""
    sources = [("", tiny, _encoded()), *((f"{model}-", weights, _encoded_by_shipped()) for model, weights in shipped.items())]
    for beginning, weights, pictures in sources:
        for name, pixels, options in pictures:
            if fnmatch(beginning + name, pattern):
                yield beginning + name, weights.codec.encode(pixels, **options), weights
    for name, data in _forged(tiny):
        if fnmatch(name, pattern):
            yield name, data, tiny


def _encoded() -> Iterator[tuple[str, np.ndarray, dict]]:
    for channels, mode in enumerate(("gray", "gray-alpha", "rgb", "rgba"), 1):
        yield f"mode-{mode}", picture(75, 91, channels), {"tile": 64}
    for depth in (9, 10, 11, 12, 13, 14, 15):
        yield f"depth-{depth}", picture(40, 50, 1 + 2 * (depth % 2), depth), {"depth": depth, "quality": 70}
    yield "depth-16-rgba", picture(40, 70, 4, 16), {"tile": 64}
    for quality in (1, 2, 50, 100):
        yield f"quality-{quality}", picture(64, 80, 3), {"quality": quality}
    for height, width in ((1, 1), (1, 70), (70, 1), (15, 17), (16, 16), (64, 64), (65, 129)):
        yield f"size-{width}x{height}", picture(height, width, 3), {"tile": 64, "quality": 80}
    for channels, depth in ((1, 8), (3, 8), (4, 8), (2, 10), (3, 12), (4, 16)):
        options = {"lossless": True, "tile": 64} | ({"depth": depth} if depth > 8 else {})
        yield f"lossless-{channels}-channels-{depth}-bits", picture(66, 70, channels, depth), options
    for channels, depth in ((1, 8), (3, 8), (4, 8), (3, 12)):
        options = {"quality": 60, "tile": 64} | ({"depth": depth} if depth > 8 else {})
        yield f"kinds-{channels}-channels-{depth}-bits", drawn(picture(128, 192, channels, depth)), options
    yield "tiles-of-64", picture(200, 260, 3), {"tile": 64, "quality": 40}
    yield "tile-of-2048", picture(70, 50, 3), {"tile": 2048}
    yield "metadata", picture(20, 30, 3), {"metadata": ALL_METADATA}


def _encoded_by_shipped() -> Iterator[tuple[str, np.ndarray, dict]]:
    yield "rgb-30", picture(200, 190, 3), {"quality": 30, "tile": 128}
    yield "rgb-1", picture(97, 111, 3), {"quality": 1}
    yield "rgb-100", picture(97, 111, 3), {"quality": 100}
    yield "rgba-90", picture(97, 111, 4), {"quality": 90}
    yield "gray-12-bits", picture(97, 111, 1, 12), {"quality": 70, "depth": 12, "tile": 64}


def _forged(tiny: Weights) -> Iterator[tuple[str, bytes]]:
    """Sound files that no encoder is likely to make."""
    model, rng = load(Files(tiny.path)), np.random.default_rng(5)
    header = Header(70, 40, 3, 50, 64, model.id)

    def values(*shape: int) -> np.ndarray:
        wide = rng.standard_cauchy(shape) * 4.0 ** rng.integers(0, 8, shape)
        return wide.clip(-(2**23) + 1, 2**23 - 1).astype(np.int32)

    places = [header.place(number) for number in range(header.tile_count)]
    escaped = [Payload(Kind.TRANSFORM, transform_payload(values, place, 50, model)) for place in places]
    yield "escapes", container.write(header, {}, escaped)
    zeros = [Payload(Kind.TRANSFORM, bytes(length_min(Kind.TRANSFORM, place))) for place in places]
    yield "least-lengths", container.write(header, {}, zeros)
    draft = dissect(container.write(header, {"exif": b"II*\0"}, zeros))
    draft.sections.insert(0, Section(b"soon", 0, b"of a later version"))
    draft.settle()
    yield "unknown-section", assemble(draft)
