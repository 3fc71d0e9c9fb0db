"""Pictures that are read and written by pieces, for tests."""

import dataclasses
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from codec.images import files, streams
from codec.images.picture import Picture, from_array

ROOT = Path(__file__).parents[1]
CAT = skimage.data.chelsea()[:203, :331]
PICTURES = {
    1: CAT[..., :1],
    2: np.dstack([CAT[..., 0], CAT[..., 1]]),
    3: CAT,
    4: np.dstack([CAT, CAT[..., 1]]),
}
"""By the number of channels."""


def exif(**tags) -> bytes:
    made = Image.Exif()
    made[270] = "a cat"
    made.get_ifd(34665)[36867] = "2020:01:01 00:00:00"
    made.get_ifd(34853)[1] = "N"
    for tag, value in tags.items():
        made[int(tag.removeprefix("t"))] = value
    return made.tobytes()


METADATA = {"iccp": b"profile" * 50, "exif": exif(), "xmp ": b"<x:xmpmeta/>"}


def read(path: Path, several: bool = True) -> Picture:
    """By pieces, of which there must be several."""
    with streams.open_picture(path, whole_max=0) as source:
        bands = list(source.bands)
        assert len(bands) > 1 or not several
        pixels = np.concatenate(bands)
    assert pixels.shape == (source.height, source.width, source.channels)
    return dataclasses.replace(from_array(pixels), metadata=dict(source.metadata))


def check_same(path: Path, several: bool = True) -> None:
    whole, streamed = files.read_image(path), read(path, several)
    assert np.array_equal(streamed.pixels, whole.pixels)
    assert streamed.metadata == whole.metadata
