"""Files from which the fuzzer starts: small ones of all that the format has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import skimage.data
from PIL import Image

from codec.format import container
from codec.format.header import Header
from codec.format.payload import Payload
from codec.images.samples import scaled

from .targets import tiny_codec

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def exif() -> bytes:
    """A block of tags of several types, in three directories, in the order that Pillow writes them."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010E], tags[0x011A] = 6, "a cat", 72.0
    tags.get_ifd(0x8769).update({0x9003: "2024:01:01 00:00:00", 0x829A: 0.01})
    tags.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 3.5)})
    return tags.tobytes()


def container_seeds() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of files whose payloads are no pictures."""
    metadata = {"exif": b"II*\0", "iccp": b"profile", "xmp ": b"<x/>"}
    for channels, size, tile, kept in (
        (1, (1, 1), 2048, ()), (2, (65, 3), 64, ("exif",)), (3, (200, 100), 64, ("iccp", "exif")),
        (4, (130, 64), 64, ("xmp ",)), (3, (250, 300), 128, tuple(metadata)),
    ):  # fmt: skip
        header = Header(*size, channels, 50, tile, b"modelid8")
        kinds = [
            header.kinds(plane)[tile % len(header.kinds(plane))] for tile in range(header.tile_count) for plane in header.planes
        ]
        payloads = [Payload(kind, bytes([4, 0, 0, 0]) + bytes([number + 1]) * 8) for number, kind in enumerate(kinds)]
        yield f"{header.mode}-{size[0]}x{size[1]}", container.write(header, {name: metadata[name] for name in kept}, payloads)


def decoder_seeds() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of coded photographs, with metadata."""
    tiny = tiny_codec()
    cat = skimage.data.chelsea()
    alpha = (np.indices((64, 64)).sum(0) * 2).astype(np.uint8)
    pictures = {
        "RGB": cat[100:117, 100:120],
        "L": cat[100:130, 100:104, 0],
        "RGBA": np.dstack([cat[100:116, 150:170], alpha[:16, :20]]),
        "LA": np.dstack([cat[100:110, 150:160, 0], alpha[:10, :10]]),
        "RGB-tiles": cat[20:90, 20:86],
        "LA-tiles": np.dstack([cat[50:70, 100:170, 0], np.tile(alpha, 2)[:20, :70]]),
    }
    for name, pixels in pictures.items():
        image = Image.fromarray(pixels)
        if name in ("RGB", "L", "LA"):
            image.info.update({"RGB": {"exif": exif()}, "L": {"xmp": XMP}, "LA": {"icc_profile": b"profile"}}[name])
        yield name, tiny.encode(image, 30 if "tiles" in name else 70, tile=64)
    yield "RGBA-deep", tiny.encode(pictures["RGBA"].astype(np.uint16) * 16, 70, tile=64, depth=12)
    yield "L-deep-lossless", tiny.encode(pictures["L"].astype(np.uint16) * 257, lossless=True)
    # a drawing, wholly without loss; and beside a photograph, so that there are tiles of all kinds
    drawing = np.kron(np.random.default_rng(1).integers(0, 2, (16, 40)), np.ones((4, 4)))[..., None].repeat(3, -1)
    drawing = (drawing * 255).astype(np.uint8)
    yield "RGB-lossless", tiny.encode(drawing[:20, :20], lossless=True)
    drawing[:, 70:100] = cat[50:114, 100:130]
    yield "RGB-kinds", tiny.encode(drawing[:, :130], tile=64)
    yield "RGB-deep-kinds", tiny.encode(scaled(drawing[:, :120], 255, 12), tile=64, depth=12)
