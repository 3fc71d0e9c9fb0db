"""Pictures of 9 to 16 bits a sample choose tile by tile, and in parts of tiles, what is coded without loss."""

import numpy as np
import pytest

import codec
from codec.coding.screen_content import looks_like_screen_content, new_pixels
from codec.format import container
from codec.format.header import Kind, Plane
from codec.images.downscale import reduce
from codec.images.samples import scaled
from codec.images.upscale import squares

from .damage import damaged, decode_filled
from .test_high_bit_depth_coding import psnr
from .test_mode_decision import kinds_of, text

PHOTO = np.s_[68:260, 84:340]


def noisy(pixels: np.ndarray) -> np.ndarray:
    """Adds low bits, as a camera of 16 bits would have seen them; one of 8 bits saw `pixels`."""
    return (pixels[:] * 256.0 + np.random.default_rng(7).integers(0, 256, pixels.shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def page(astronaut) -> np.ndarray:
    """A page of 448 x 320 with a photograph of 16 bits in it."""
    pixels = text(448, 320) * np.uint16(257)
    pixels[PHOTO] = noisy(astronaut[: PHOTO[0].stop - PHOTO[0].start, : PHOTO[1].stop - PHOTO[1].start])
    return pixels


@pytest.fixture(scope="module")
def transparent(page) -> np.ndarray:
    """A part of it with alpha, 256 x 160."""
    alpha = np.linspace(0, 65535, 256).astype(np.uint16)[None, :, None].repeat(160, 0)
    return np.concatenate([page[:160, :256], alpha], -1)


@pytest.fixture(scope="module")
def coded(tiny, transparent) -> bytes:
    """With tiles of all kinds."""
    data = tiny.encode(transparent, 30, tile=64)
    assert set(kinds_of(data)) == set(Kind)
    return data


def test_a_page_is_exact_but_for_its_photograph(default, page):
    """It takes what 8 bits do, and the photograph is as good."""
    eight = scaled(page, 65535, 8)
    by_eight = default.encode(eight, 70, tile=384)
    errors = psnr(default.decode(by_eight)[PHOTO], eight[PHOTO], 255)
    outside = np.ones(page.shape[:2], bool)
    outside[PHOTO] = False
    for depth in (10, 16):
        pixels = scaled(page, 65535, depth)
        data = default.encode(pixels, 70, tile=384, depth=depth)
        assert kinds_of(data) == kinds_of(by_eight) == [Kind.MIXED, Kind.LOSSLESS]
        assert len(data) < 1.05 * len(by_eight)
        decoded = default.decode(data)
        same = (decoded == pixels).all(-1)
        assert same[outside].mean() > 0.94 and same[PHOTO].mean() < 0.1
        assert psnr(decoded[PHOTO], pixels[PHOTO], 2**depth - 1) > errors - 0.2


def test_photographs_stay_transform_coded(default, astronaut):
    """And smooth courses, even where they have few levels."""
    rows, columns = np.mgrid[:192, :192]
    course = (3000 + 2 * rows + 1.3 * columns).astype(np.uint16)
    for pixels, depth in ((noisy(astronaut), 16), (astronaut * np.uint16(257), 16), (course, 12)):
        assert set(kinds_of(default.encode(pixels, 50, tile=256, depth=depth))) == {Kind.TRANSFORM}


def test_a_photograph_beside_a_lossless_tile_has_no_seam(default, astronaut):
    """The transform sees the middle of the range where the tile has no latent."""
    photo = noisy(astronaut[:256, :256])
    pixels = np.concatenate([photo, text(256, 256) * np.uint16(257)], 1)
    data = default.encode(pixels, 50, tile=256)
    assert kinds_of(data) == [Kind.TRANSFORM, Kind.LOSSLESS]
    errors, alone = (
        ((default.decode(each).astype(float)[:, :256] - photo) ** 2).mean(-1)[:, 248:].mean()
        for each in (data, default.encode(photo, 50, tile=256))
    )
    assert errors < 1.5 * alone


def test_all_ways_give_the_same(tiny, transparent, coded, tmp_path):
    """Row by row, regions, tiles, bands, other sizes."""
    with tiny.create(tmp_path / "a.cae", (256, 160), "RGBA", quality=30, tile=64, depth=16) as out:
        for rows in np.split(transparent, [1, 70, 71]):
            out.write(rows)
    assert (tmp_path / "a.cae").read_bytes() == coded
    whole = tiny.decode(coded)
    for x, y, width, height in ((50, 30, 100, 90), (200, 100, 56, 60), (0, 0, 1, 1)):
        assert np.array_equal(tiny.decode(coded, region=(x, y, width, height)), whole[y : y + height, x : x + width])
    with tiny.open(coded) as picture:
        assert np.array_equal(np.concatenate(list(picture.bands())), whole)
        for x, y, tile in picture.tiles():
            assert np.array_equal(tile, whole[y : y + 64, x : x + 64])
        assert np.array_equal(picture.read(scale=1 / 4), reduce(whole, 4, has_alpha=True))
        enlarged = picture.read(scale=2)
    for number, kind in enumerate(kinds_of(coded)):
        if kind is Kind.LOSSLESS:
            place = container.read(coded).header.place(number)
            seen = transparent[place.slices][..., -1] > 0
            assert np.array_equal(whole[place.slices][seen], transparent[place.slices][seen])
            assert np.array_equal(enlarged[place.scaled(2).slices][..., :3], squares(whole[place.slices][..., :3], 2))


def test_damage_of_each_kind_is_filled(tiny, coded):
    whole, header, kinds = tiny.decode(coded), container.read(coded).header, kinds_of(coded)
    for kind in Kind:
        number = kinds.index(kind)
        broken = damaged(coded, (number, Plane.COLOUR))
        with pytest.raises(codec.CaeError, match=f"tile {number} is damaged"):
            tiny.decode(broken)
        filled, said = decode_filled(tiny, broken)
        far = np.ones(whole.shape[:2], bool)
        far[header.place(number).grow(64, header.bounds).slices] = False
        assert len(said) == 1 and filled.dtype == np.uint16 and np.array_equal(filled[far], whole[far])


@pytest.mark.parametrize("effort", [1, 3])
def test_efforts(tiny, page, effort):
    """The search sees the picture without its lossless parts."""
    pixels = page[:128, :128]
    data = tiny.encode(pixels, 30, tile=128, effort=effort)
    assert kinds_of(data) == [Kind.MIXED]
    assert psnr(tiny.decode(data), pixels) >= psnr(tiny.decode(tiny.encode(pixels, 30, tile=128)), pixels) - 0.5


def test_looks_drawn(page, astronaut):
    for depth in (9, 12, 16):
        largest = 2**depth - 1
        assert looks_like_screen_content(scaled(page, 65535, depth), largest)
        assert not looks_like_screen_content(scaled(noisy(astronaut), 65535, depth), largest)
    gray = text(500, 300, "L")[..., None] * np.uint16(257)
    assert looks_like_screen_content(gray, 65535)
    # differences in the low bits alone are ones
    assert not looks_like_screen_content(noisy(gray), 65535)
    # of a tenth of the contrast, it is none of the drawings that the transform would spoil
    assert not looks_like_screen_content((noisy(gray) & 1) + gray // 10, 65535)


@pytest.mark.parametrize("channel", range(3))
def test_new_pixels_are_told_by_every_bit(channel):
    for step in (1, 256):
        pixels = np.zeros((6, 6, 3), np.uint16)
        pixels[..., channel] = step * np.arange(36).reshape(6, 6)
        assert new_pixels(pixels).all()
