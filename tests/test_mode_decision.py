"""Tiles that are coded without loss, wholly or in parts, beside those that the transform codes."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import codec
from codec.coding.lossless import decode_colour, encode_colour
from codec.coding.screen_content import BLOCK, block_sums, fill_hidden, looks_like_screen_content, new_pixels
from codec.format import container
from codec.format.header import MODES, NO_MODEL, Header, Kind, Plane
from codec.format.payload import Payload, join_mixed, split_payload
from codec.networks.transforms import receptive_field

from .conftest import psnr
from .damage import damaged, decode_filled

PHOTO = np.s_[64:376, 80:496]


def text(width: int, height: int, mode: str = "RGB") -> np.ndarray:
    """A page of small letters, black on white."""
    image = Image.new(mode, (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default_imagefont()
    for row in range(0, height, 14):
        draw.text((4, row), " ".join(f"{(row * 7 + column) ** 3:x}" for column in range(width // 24)), "black", font)
    return np.asarray(image)


@pytest.fixture(scope="module")
def page(astronaut) -> np.ndarray:
    """A page of 640 x 512 with a photograph in it."""
    pixels = text(640, 512).copy()
    pixels[PHOTO] = astronaut[: PHOTO[0].stop - PHOTO[0].start, : PHOTO[1].stop - PHOTO[1].start]
    return pixels


@pytest.fixture(scope="module")
def coded(default, page) -> bytes:
    return default.encode(page, 50, tile=512)


def kinds_of(data: bytes) -> list[Kind]:
    file = container.read(data)
    return [file.kind(number) for number in range(file.header.tile_count)]


def test_text_is_exact_and_photographs_are_not(default, astronaut, chelsea):
    data = default.encode(text(300, 200), 10)
    assert kinds_of(data) == [Kind.LOSSLESS]
    assert np.array_equal(default.decode(data), text(300, 200))
    for photograph in (astronaut, chelsea):
        assert kinds_of(default.encode(photograph, 50, tile=256)).count(Kind.TRANSFORM) > 3


def test_a_page_with_a_photograph_gets_both(default, page, coded):
    """Letters are exact; the photograph is as good as alone; and the file is smaller than any one kind makes it."""
    assert kinds_of(coded) == [Kind.MIXED, Kind.LOSSLESS]
    decoded = default.decode(coded)
    outside = np.ones(page.shape[:2], bool)
    outside[PHOTO] = False
    same = (decoded == page).all(-1)
    assert same[outside].mean() > 0.97 and same[PHOTO].mean() < 0.5
    alone = default.decode(default.encode(page[PHOTO], 50))
    assert psnr(decoded[PHOTO], page[PHOTO]) > psnr(alone, page[PHOTO]) - 0.3
    assert len(coded) < 0.5 * len(default.encode(page, lossless=True))


def test_no_seam_between_the_kinds(default, page, coded):
    """The photograph errs no more beside exact pixels than in its middle."""
    decoded = default.decode(coded)
    errors = ((decoded.astype(float) - page) ** 2).mean(-1)
    inner = errors[100:340, 120:460].mean()
    photo = errors[PHOTO]
    rim = np.ones_like(photo, bool)
    rim[8:-8, 8:-8] = False
    assert photo[rim].mean() < 1.5 * inner


def test_paper_around_a_photograph_is_exact(default, astronaut):
    """Wherever the photograph lies between the blocks."""
    pixels = text(400, 320).copy()
    pixels[60:270, 80:330] = 255
    pixels[75:256, 99:308] = astronaut[:181, 100:309]
    for page in (pixels, pixels[..., 1], pixels.astype(np.uint16) * 257):
        errors = default.decode(default.encode(page, 50)) != page
        errors[75:256, 99:308] = False
        assert not errors.any()


def test_a_photograph_beside_a_lossless_tile_has_no_seam(default, astronaut):
    """The tile's border is the photograph's: half of the transform's surroundings there are a tile without a latent."""
    pixels = np.concatenate([astronaut[:, :256], text(256, 512)], 1)
    data = default.encode(pixels, 50, tile=256)
    assert kinds_of(data)[1] is kinds_of(data)[3] is Kind.LOSSLESS
    errors = ((default.decode(data).astype(float) - pixels) ** 2).mean(-1)
    alone = ((default.decode(default.encode(pixels[:, :256], 50, tile=256)).astype(float) - pixels[:, :256]) ** 2).mean(-1)
    assert errors[:, 248:256].mean() < 1.5 * alone[:, 248:].mean()


@pytest.mark.parametrize(
    "region", [(0, 0, 640, 512), (90, 60, 33, 50), (300, 200, 340, 312), (530, 10, 20, 30), (600, 500, 1, 1)]
)
def test_a_region_is_the_crop(default, coded, region):
    x, y, width, height = region
    assert np.array_equal(default.decode(coded, region=region), default.decode(coded)[y : y + height, x : x + width])


def test_bands_and_rows(tiny, page):
    """Files written row by row are those written whole; bands are the rows of the whole."""
    page = page[:160, :256]
    file = io.BytesIO()
    with tiny.create(file, (256, 160), "RGB", quality=30, tile=64) as out:
        for row in page:
            out.write(row[None])
    data = tiny.encode(page, 30, tile=64)
    assert len(set(kinds_of(data))) > 1 and file.getvalue() == data
    with tiny.open(data) as picture:
        assert np.array_equal(np.concatenate(list(picture.bands())), tiny.decode(data))
        for x, y, pixels in picture.tiles():
            assert np.array_equal(pixels, tiny.decode(data, region=(x, y, *pixels.shape[1::-1])))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (65, 130)])
def test_lossless(tiny, channels, size):
    pixels = np.random.default_rng(channels).integers(0, 256, (*size, channels), np.uint8)
    pixels[: size[0] // 2, ..., -1] = 0  # colours where alpha is 0 are kept as well
    data = tiny.encode(pixels, lossless=True, tile=64)
    assert np.array_equal(tiny.decode(data).reshape(pixels.shape), pixels)
    file = io.BytesIO()
    with tiny.create(file, size[::-1], MODES[channels], lossless=True, tile=64) as out:
        out.write(pixels)
    assert file.getvalue() == data


def test_a_lossless_file_needs_no_weights_of_its_own(tiny, default, page):
    data = default.encode(page, lossless=True)
    assert set(kinds_of(data)) == {Kind.LOSSLESS} and codec.info(data).model_id == "00" * 8
    assert tiny.encode(page, lossless=True) == data
    assert np.array_equal(tiny.decode(data), page)
    with pytest.raises(codec.CaeError, match="lossless 1 is not True or False"):
        tiny.encode(page, lossless=1)


def test_gray(default):
    pixels = text(300, 200, "L")
    data = default.encode(pixels, 50)
    assert kinds_of(data) == [Kind.LOSSLESS] and np.array_equal(default.decode(data), pixels)


def test_what_is_hidden_costs_little(default, page, coded):
    """The transform's part under letters takes next to nothing."""
    file = container.read(coded)
    payload = container.read_payload(coded, file, 0)
    _, transform = split_payload(payload, file.header.place(0))
    assert len(transform) < 1.25 * len(default.encode(page[PHOTO], 50))


def test_a_damaged_lossless_tile_is_filled_from_its_neighbours(default):
    pixels = np.full((192, 192, 3), (20, 90, 200), np.uint8)
    data = default.encode(pixels, lossless=True, tile=64)
    broken = damaged(data, (4, Plane.COLOUR))
    with pytest.raises(codec.CaeError, match="tile 4 is damaged"):
        default.decode(broken)
    decoded, said = decode_filled(default, broken)
    assert said == ["tile 4 (x 64, y 64, 64 x 64) is damaged and filled in"]
    assert np.array_equal(decoded, pixels)
    region, said = decode_filled(default, broken, region=(100, 100, 20, 20))
    assert np.array_equal(region, decoded[100:120, 100:120]) and len(said) == 1
    with default.open(broken) as picture:
        assert np.array_equal(picture.read((0, 0, 64, 192)), pixels[:, :64])  # does not need it


def test_damage_beside_other_kinds(tiny, page):
    data = tiny.encode(page, 30, tile=64)
    whole, kinds = tiny.decode(data), kinds_of(data)
    reach = receptive_field(tiny._model.synthesis)
    for kind in Kind:
        number = max(n for n, each in enumerate(kinds) if each is kind)
        decoded, said = decode_filled(tiny, damaged(data, (number, Plane.COLOUR)))
        place = container.read(data).header.place(number)
        near = np.zeros(whole.shape[:2], bool)
        near[place.grow(0 if kind is Kind.LOSSLESS else reach, container.read(data).header.bounds).slices] = True
        assert len(said) == 1 and np.array_equal(decoded[~near], whole[~near])


def test_a_damaged_tile_whose_neighbours_have_no_latent_goes_with_them(default, chelsea):
    exact = default.encode(np.full((192, 192, 3), 250, np.uint8), lossless=True, tile=64)
    coded = default.encode(chelsea[:192, :192], 50, tile=64)
    files = [container.read(data) for data in (exact, coded)]
    payloads = [container.read_payload((exact, coded)[tile == 4], files[tile == 4], tile) for tile in range(9)]
    data = container.write(files[1].header, {}, payloads)
    assert kinds_of(data)[4] is Kind.TRANSFORM and (default.decode(data)[64:128, 64:128] != 250).any()
    decoded, _ = decode_filled(default, damaged(data, (4, Plane.COLOUR)))
    assert (decoded == 250).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encode_colour(np.zeros((21, 20, 3), np.uint8)), "another size than 20 x 20"),
        (b"RIFF", "no lossless WebP"),
        (encode_colour(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3))[:-8] + bytes(8), "damaged WebP"),
    ],
)
def test_forged_lossless_tiles(tiny, content, message):
    header = Header(20, 20, 3, 50, 64, NO_MODEL)
    with pytest.raises(codec.CaeError, match=f"tile 0: .*{message}"):
        tiny.decode(container.write(header, {}, [Payload(Kind.LOSSLESS, content)]))


def test_an_alpha_in_a_lossless_tile_is_not_heeded(tiny):
    """Found by fuzzing: what lay under such pixels showed in the whole picture, and black in some regions."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
    shown = rng.random((64, 64)) < 0.5
    data = tiny.encode(np.concatenate([pixels, pixels]) // 2, 50, tile=64)
    parsed = container.read(data)
    payloads = [Payload(Kind.LOSSLESS, encode_colour(pixels, shown)), container.read_payload(data, parsed, 1)]
    data = container.write(parsed.header, {}, payloads)
    whole = tiny.decode(data)
    assert np.array_equal(whole[:64], np.where(shown[..., None], pixels, 0))
    assert np.array_equal(tiny.decode(data, region=(5, 9, 20, 30)), whole[9:39, 5:25])


def test_forged_mixed_tiles(tiny, chelsea):
    place = Header(20, 20, 3, 50, 64, b"model id").place(0)
    inner = encode_colour(np.zeros((20, 20, 3), np.uint8), np.eye(20, dtype=bool))
    sound = join_mixed(inner, bytes(4))
    assert split_payload(sound, place) == (inner, bytes(4))
    for content in (
        bytes(4) + inner + bytes(4),
        (2**32 - 1).to_bytes(4, "little") + inner + bytes(4),
        len(inner).to_bytes(4, "little") + inner + bytes(3),
        (len(inner) + 4).to_bytes(4, "little") + inner + bytes(4),
    ):
        with pytest.raises(codec.CaeError, match="lossless part claims"):
            split_payload(Payload(Kind.MIXED, content), place)
    with pytest.raises(codec.CaeError, match="kind 3"):
        container.read(container.write(Header(20, 20, 3, 50, 64, NO_MODEL), {}, [sound]))


def test_looks_drawn(page, astronaut, chelsea):
    assert (
        looks_like_screen_content(page)
        and looks_like_screen_content(text(500, 300))
        and looks_like_screen_content(text(500, 300, "L")[..., None])
    )
    assert looks_like_screen_content(np.zeros((1, 1, 3), np.uint8))
    assert (
        not looks_like_screen_content(astronaut)
        and not looks_like_screen_content(chelsea)
        and not looks_like_screen_content(chelsea[..., :1])
    )


def test_new_pixels():
    board = np.indices((6, 6)).sum(0).astype(np.uint8)[..., None] % 2
    assert new_pixels(board).sum() == 2
    assert new_pixels(np.arange(36, dtype=np.uint8).reshape(6, 6, 1)).all()


def test_filled_goes_on_smoothly(chelsea):
    hidden = np.zeros(chelsea.shape[:2], bool)
    hidden[:, 200:] = True
    filled = fill_hidden(chelsea, hidden)
    assert np.array_equal(filled[:, :200], chelsea[:, :200])
    assert (fill_hidden(chelsea, np.ones_like(hidden)) == 128).all()
    flat = np.full_like(chelsea, 77)
    assert (fill_hidden(flat, hidden) == 77).all()
    assert block_sums(hidden)[0, 25] == BLOCK**2


def test_colours_left_out_are_transparent(chelsea):
    shown = np.indices(chelsea.shape[:2])[0] > 100
    decoded = decode_colour(encode_colour(chelsea, shown), 451, 300)
    assert np.array_equal(decoded[..., 3] == 255, shown) and np.array_equal(decoded[shown][:, :3], chelsea[shown])


def test_high_qualities_show_what_they_stand_for(default, chelsea):
    """From quality 80 on, noise that the transform cannot show is exact, tile by tile; photographs are not, nor are targets."""
    pixels = chelsea[:128, :256].copy()
    pixels[:, 128:] = np.random.default_rng(0).integers(0, 256, (128, 128, 3))
    for quality, kind in ((79, Kind.TRANSFORM), (80, Kind.LOSSLESS), (90, Kind.LOSSLESS), (100, Kind.LOSSLESS)):
        data = default.encode(pixels, quality, tile=128)
        assert kinds_of(data) == [Kind.TRANSFORM, kind]
        decoded = default.decode(data)
        assert np.array_equal(decoded[:, 128:], pixels[:, 128:]) == (kind is Kind.LOSSLESS)
        assert psnr(decoded[:, :120], pixels[:, :120]) > 34
    deep = pixels.astype(np.uint16) * 257
    assert kinds_of(default.encode(deep, 90, tile=128)) == [Kind.TRANSFORM, Kind.LOSSLESS]
    for height, width in ((7, 30), (64, 5)):
        thin = pixels[:height, 128 : 128 + width]
        assert np.array_equal(default.decode(default.encode(thin, 95)), thin)
    size = len(default.encode(pixels, 79, tile=128))
    assert len(default.encode(pixels, target_size=size + 1000, tile=128)) <= size + 1000


def test_noise_that_the_transform_shows_a_little_worse_is_exact_from_quality_90_alone(default, chelsea):
    noise = np.random.default_rng(0).normal(0, 12, (128, 128, 3))
    pixels = np.clip(chelsea[:128, :128] + noise, 0, 255).round().astype(np.uint8)
    kinds = [*kinds_of(default.encode(pixels, 89)), *kinds_of(default.encode(pixels, 90))]
    assert kinds == [Kind.TRANSFORM, Kind.LOSSLESS]


@pytest.mark.parametrize("quality", [70, 89])
def test_noise_of_two_colours_is_exact_since_that_is_smaller(default, quality):
    first = np.random.default_rng(0).integers(0, 2, (200, 300), np.uint8) * 255
    pixels = np.stack([first, np.zeros_like(first), 255 - first], -1)
    data = default.encode(pixels, quality)
    assert kinds_of(data) == [Kind.LOSSLESS] and np.array_equal(default.decode(data), pixels)
    assert len(data) <= len(default.encode(pixels, lossless=True)) + 8
