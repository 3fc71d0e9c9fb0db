"""imageio, through Pillow's plugin, and functions as imagecodecs has them."""

import imagecodecs
import imageio.v3 as iio
import numpy as np
import pytest

import codec
import codec.pillow
from codec import CaeError
from codec.imagecodecs import CAE, cae_check, cae_decode, cae_encode, cae_version

from .conftest import TINY

ARGUMENTS = {"weights": TINY, "device": "cpu"}


@pytest.fixture
def cat(chelsea) -> np.ndarray:
    return chelsea[:60, :90]


def test_imageio(tmp_path, cat, tiny_plugin):
    path = tmp_path / "cat.cae"
    iio.imwrite(path, cat, quality=70)
    data = path.read_bytes()
    assert codec.info(data).quality == 70
    expected = codec.decode(data, **ARGUMENTS)
    assert np.array_equal(iio.imread(path), expected) and np.array_equal(iio.imread(data), expected)
    assert iio.imwrite("<bytes>", cat, plugin="pillow", extension=".cae", quality=70) == data
    assert iio.improps(path).shape == (60, 90, 3) and iio.immeta(path)["mode"] == "RGB"
    path.write_bytes(data[:-4])
    with pytest.raises(OSError, match="cut off"):
        iio.imread(path)


def test_imagecodecs_style(cat):
    data = cae_encode(cat, 70, numthreads=1, **ARGUMENTS)
    assert data == codec.encode(cat, 70, threads=1, **ARGUMENTS)
    assert np.array_equal(cae_decode(data, **ARGUMENTS), codec.decode(data, **ARGUMENTS))
    assert np.array_equal(cae_decode(cae_encode(cat, lossless=True, effort=1)), cat)
    out, buffer = np.empty_like(cat), bytearray(b"before")
    assert cae_encode(cat, 70, numthreads=1, out=buffer, **ARGUMENTS) is buffer == data
    assert cae_decode(buffer, 0, out=out, **ARGUMENTS) is out and np.array_equal(out, cae_decode(data, **ARGUMENTS))
    assert CAE.available and cae_version().startswith("cae-codec ")


def test_check(cat):
    data = cae_encode(cat, **ARGUMENTS)
    assert cae_check(data) is True and cae_check(np.frombuffer(data, np.uint8)) is True
    for other in (b"", data[:3], imagecodecs.png_encode(cat)):
        assert cae_check(other) is False


def test_refused(cat):
    data = cae_encode(cat, **ARGUMENTS)
    with pytest.raises(CaeError, match="there is no picture 1"):
        cae_decode(data, 1)
    with pytest.raises(CaeError, match=r"out is uint8 \(60, 90\)"):
        cae_decode(data, out=cat[..., 0], **ARGUMENTS)
    with pytest.raises(CaeError, match="float32"):
        cae_encode(cat.astype(np.float32), **ARGUMENTS)
    with pytest.raises(CaeError, match="quality 101"):
        cae_encode(cat, 101, **ARGUMENTS)
