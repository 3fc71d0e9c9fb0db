"""Planes without loss: every value comes back, and nothing else passes for one."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from codec import CaeError
from codec.coding.lossless import decode_gray, encode_gray


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_round_trip(height, width, kind):
    rng = np.random.default_rng(height)
    ramp = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    plane = [rng.integers(0, 256, (height, width), np.uint8), ramp, np.full_like(ramp, 255), ramp % 2 * 255][kind]
    assert np.array_equal(decode_gray(encode_gray(plane), width, height), plane)


def test_flat_planes_take_few_bytes():
    assert len(encode_gray(np.full((2048, 2048), 255, np.uint8))) < 300


def webp(size=(20, 10), **options) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, "WEBP", **options)
    return buffer.getvalue()


def longer(file: bytes, chunk: bytes) -> bytes:
    """The file with another chunk in it."""
    return file[:4] + (len(file) + len(chunk) - 8).to_bytes(4, "little") + file[8:] + chunk


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no lossless WebP"),
        (webp(quality=90), "no lossless WebP"),
        (webp(lossless=True, exif=b"II*\0"), "no lossless WebP"),
        (webp((21, 10), lossless=True), "another size than 20 x 10"),
        (webp((20, 1), lossless=True), "another size than 20 x 10"),
        (webp(lossless=True)[:-8], "cut off"),
        (webp(lossless=True)[:30], "cut off"),
        (webp(lossless=True) + bytes(8), "more than one chunk"),
        (longer(webp(lossless=True), b"EXIF\x04\0\0\0hide"), "more than one chunk"),
        (webp(lossless=True)[:25] + bytes(len(webp(lossless=True)) - 25), "damaged"),
    ],
)
def test_what_is_none(data, message):
    with pytest.raises(CaeError, match=message):
        decode_gray(data, 20, 10)
