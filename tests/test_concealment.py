"""Damage: the first damaged tile is named; or all are filled, and what is beyond their reach is exact."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

import codec
from codec.commands import info
from codec.commands.decode import main
from codec.format import container
from codec.format.header import Plane
from codec.networks.transforms import receptive_field

from .conftest import TINY, psnr
from .damage import damaged, decode_filled, replaced


def test_what_is_beyond_the_reach_of_damage_is_exact(default, default_model, astronaut):
    data = default.encode(astronaut, 60, tile=64)
    whole = default.decode(data)
    pixels, said = decode_filled(default, damaged(data, (27, Plane.COLOUR), (0, Plane.COLOUR)))
    assert said == ["tile 0 (x 0, y 0, 64 x 64), tile 27 (x 192, y 192, 64 x 64) are damaged and filled in"]
    reach = receptive_field(default_model.synthesis)
    near = np.zeros(whole.shape[:2], bool)
    for top, left in ((0, 0), (192, 192)):
        near[max(0, top - reach) : top + 64 + reach, max(0, left - reach) : left + 64 + reach] = True
    assert near.mean() < 0.3
    assert np.array_equal(pixels[~near], whole[~near])


def test_bytes_behind_the_end(tiny, chelsea, tmp_path, capsys):
    """They end an ordinary decode. Where damage is to be filled, the picture is whole, and one warning counts them."""
    data = tiny.encode(chelsea[:130, :150], 60, tile=64)
    for excess, words in ((b"\n", "1 byte follows"), (bytes(4), "4 bytes follow")):
        with pytest.raises(codec.CaeError, match=f"{words} the last tile; .*on_error='fill'"):
            tiny.decode(data + excess)
        decoded, said = decode_filled(tiny, data + excess)
        assert np.array_equal(decoded, tiny.decode(data)) and said == [f"{words} the last tile, left out"]
    path = tmp_path / "longer.cae"
    path.write_bytes(data + bytes(4))
    words = [str(path), str(tmp_path / "a.png"), "--weights", str(TINY)]
    with pytest.raises(SystemExit, match=r"longer\.cae: 4 bytes follow the last tile; .*--keep-going"):
        main(words)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        main([*words, "--keep-going"])
    assert f"{path}: 4 bytes follow the last tile, left out" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="the end of the file is damaged"):
        info.main([str(path), "--check"])
    assert "the end (4 bytes follow the last tile)" in capsys.readouterr().out


def test_many_damaged_tiles_are_counted(tiny, chelsea):
    data = tiny.encode(chelsea, 60, tile=64)
    _, (said,) = decode_filled(tiny, data[: container.read(data).index[10].offset])
    assert said.startswith("30 tiles are damaged and filled in; the first are tile 10 (") and said.count("tile ") == 5


def test_a_file_that_is_cut_off(tiny, chelsea, tmp_path, capsys):
    """Anywhere among its tiles: those that it has no more are filled, the first one ends an ordinary decode."""
    pixels = np.dstack([chelsea[:130, :150], chelsea[:130, :150, 0]])
    data = tiny.encode(pixels, 60, tile=64)
    whole, file = tiny.decode(data), container.read(data)
    entry = file.index[2 * 7]
    for length, first in ((entry.offset, 7), (entry.offset - 1, 6)):
        with pytest.raises(codec.CaeError, match=f"the file is cut off: {length} of {len(data)} bytes; .* .on_error='fill'."):
            tiny.decode(data[:length])
        decoded, said = decode_filled(tiny, data[:length])
        assert f"the alpha of tile {first} (" in said[0] and "the alpha of tile 5" not in said[0]
        assert np.array_equal(decoded[:40], whole[:40]) and not np.array_equal(decoded, whole)
        with tiny.open(data[:length], on_error="fill") as picture, pytest.warns(RuntimeWarning, match="tile 7 "):
            assert np.array_equal(picture.read(), decoded)
    (tmp_path / "cut.cae").write_bytes(data[: entry.offset])
    with pytest.raises(SystemExit, match=r"cut\.cae: the file is cut off: .* filled \(--keep-going\)"):
        main([str(tmp_path / "cut.cae"), str(tmp_path / "a.png"), "--weights", str(TINY)])
    with pytest.raises(SystemExit, match=r"cut\.cae: the file is cut off: .* filled \(cae-decode --keep-going\)"):
        info.main([str(tmp_path / "cut.cae")])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        main([str(tmp_path / "cut.cae"), str(tmp_path / "a.png"), "--weights", str(TINY), "--keep-going"])
        main([str(tmp_path / "cut.cae"), str(tmp_path / "a8.png"), "--weights", str(TINY), "--keep-going", "--scale", "1/8"])
    assert capsys.readouterr().err.count(": tile 7 (") == 2 and (tmp_path / "a8.png").exists()
    with pytest.raises(SystemExit, match="damaged"):
        info.main([str(tmp_path / "cut.cae"), "--check", "--json"])
    assert len(json.loads(capsys.readouterr().out)["damaged"]) == 4
    assert (np.asarray(Image.open(tmp_path / "a.png"))[:40] == whole[:40]).all()
    with pytest.raises(codec.CaeError, match="cut off in its tile index"):
        tiny.decode(data[: file.index[0].offset - 1], on_error="fill")


def test_a_file_that_has_grown_is_not_filled(tiny, chelsea, tmp_path):
    """A download that goes on: what had not come when the file was opened."""
    data = tiny.encode(chelsea[:128, :128], 60, tile=64)
    path = tmp_path / "growing.cae"
    path.write_bytes(data[: container.read(data).index[2].offset])
    with tiny.open(path, on_error="fill") as picture:
        with open(path, "ab") as file:
            file.write(data[path.stat().st_size :])
        with pytest.raises(codec.CaeError, match="has grown"):
            picture.read((0, 100, 20, 20))


def test_what_fills_a_tile_goes_with_its_surroundings(default, astronaut):
    """Both the tile and the rim around it, into which it reaches, are far nearer to the picture than with gray."""
    data = default.encode(astronaut, 60, tile=64)
    whole = default.decode(data)
    for tile in (9, 27, 45):
        pixels, _ = decode_filled(default, damaged(data, (tile, Plane.COLOUR)))
        top, left = tile // 8 * 64, tile % 8 * 64
        inside, rim = np.s_[top : top + 64, left : left + 64], np.s_[top - 64 : top + 128, left - 64 : left + 128]
        assert psnr(pixels[inside], whole[inside]) > psnr(np.full((64, 64, 3), 128), whole[inside])
        around = pixels.copy()
        around[inside] = whole[inside]
        assert psnr(around[rim], whole[rim]) > 38


@pytest.mark.parametrize("region", [(200, 200, 10, 10), (100, 60, 100, 140), (255, 250, 30, 30), (0, 0, 512, 256)])
def test_a_region_is_the_crop_of_what_is_filled(tiny, astronaut, region):
    """It is filled from tiles that the region itself does not need."""
    data = damaged(tiny.encode(astronaut, 60, tile=64), (27, Plane.COLOUR), (28, Plane.COLOUR))
    x, y, width, height = region
    whole, _ = decode_filled(tiny, data)
    assert np.array_equal(decode_filled(tiny, data, region=region)[0], whole[y : y + height, x : x + width])


def test_a_region_away_from_the_damage_is_not_warned_of(tiny, astronaut):
    data = tiny.encode(astronaut, 50, tile=64)
    pixels, said = decode_filled(tiny, damaged(data, (63, Plane.COLOUR)), region=(0, 0, 300, 300))
    assert said == []
    assert np.array_equal(pixels, tiny.decode(data, region=(0, 0, 300, 300)))


def test_damaged_alpha_is_opaque_and_nothing_else_changes(tiny, chelsea):
    alpha = np.random.default_rng(2).integers(0, 256, chelsea.shape[:2], np.uint8)
    data = tiny.encode(np.dstack([chelsea, alpha]), 50, tile=128)
    expected = tiny.decode(data)
    pixels, said = decode_filled(tiny, damaged(data, (5, Plane.ALPHA)))
    assert said == ["the alpha of tile 5 (x 128, y 128, 128 x 128) is damaged and filled in"]
    expected[128:256, 128:256, 3] = 255
    assert np.array_equal(pixels, expected)


def test_sound_checksums_over_nonsense(tiny, chelsea):
    data = tiny.encode(chelsea, 50, tile=128)
    words = np.random.default_rng(4).integers(1, 2**32, 300, np.uint32).astype("<u4").tobytes()
    for content in (words, bytes(400) + words):
        forged = replaced(data, 1, content)
        with pytest.raises(codec.CaeError, match="tile 1: a tile's payload"):
            tiny.decode(forged)
        assert decode_filled(tiny, forged)[1] == ["tile 1 (x 128, y 0, 128 x 128) is damaged and filled in"]


def test_nothing_but_damage(tiny, chelsea):
    """Gray; and the warning's length is bounded."""
    data = tiny.encode(chelsea[:256, :448], 50, tile=64)
    pixels, (said,) = decode_filled(tiny, damaged(data, *((tile, Plane.COLOUR) for tile in range(28))))
    assert pixels.shape == (256, 448, 3)
    assert said.startswith("28 tiles are damaged") and said.count("tile ") == 5
    pieces = tiny.encode(np.zeros((64 * 11, 64 * 11), np.uint8), 1, tile=64)
    _, (said,) = decode_filled(tiny, damaged(pieces, *((tile, Plane.COLOUR) for tile in range(121))))
    assert said.startswith("121 tiles are damaged") and said.count("tile ") == 5


def test_the_first_damaged_tile_ends_a_decode(tiny, chelsea):
    data = damaged(tiny.encode(chelsea, 50, tile=64), (3, Plane.COLOUR), (17, Plane.COLOUR))
    with pytest.raises(codec.CaeError, match="tile 3 is damaged"):
        tiny.decode(data)


@pytest.mark.parametrize("wrong", ["ignore", None, True, ["fill"]])
def test_other_ways(tiny, chelsea, wrong):
    data = tiny.encode(chelsea)
    for function in (tiny.decode, tiny.decode_image, tiny.open):
        with pytest.raises(codec.CaeError, match=r"on_error .* is not 'raise' or 'fill'"):
            function(data, on_error=wrong)


def test_bands_of_a_damaged_file_say_so_before_the_first(tiny, chelsea):
    data = damaged(tiny.encode(chelsea, 50, tile=64), (39, Plane.COLOUR))
    with tiny.open(data) as picture:
        assert sum(map(len, picture.bands((0, 0, 451, 100)))) == 100
        with pytest.raises(codec.CaeError, match="tile 39 is damaged"):
            picture.bands()
    expected, _ = decode_filled(tiny, data)
    with tiny.open(data, on_error="fill") as picture:
        with pytest.warns(RuntimeWarning, match="tile 39 .* is damaged and filled in") as caught:
            arriving = picture.bands()
        assert len(caught) == 1
        assert np.array_equal(np.concatenate(list(arriving)), expected)


def test_reading_a_damaged_file(tiny, chelsea):
    data = damaged(tiny.encode(chelsea, 50, tile=64), (39, Plane.COLOUR))
    expected, _ = decode_filled(tiny, data)
    with tiny.open(data, on_error="fill") as picture:
        assert np.array_equal(picture.read((0, 0, 100, 100)), expected[:100, :100])
        with pytest.warns(RuntimeWarning, match="tile 39") as caught:
            assert np.array_equal(picture.read(), expected)
        assert len(caught) == 1 and caught[0].filename == __file__
        with pytest.warns(RuntimeWarning, match="tile 39") as caught:
            for x, y, pixels in picture.tiles():
                assert np.array_equal(pixels, expected[y : y + 64, x : x + 64])
        assert len(caught) == 1 and caught[0].filename == __file__


def test_a_file_that_has_changed_is_not_filled(tiny, chelsea, tmp_path):
    path = tmp_path / "photo.cae"
    data = tiny.encode(chelsea, 50, tile=64)
    path.write_bytes(data)
    with tiny.open(path, on_error="fill") as picture:
        with open(path, "r+b") as file:
            file.seek(len(data) - 500)
            file.write(bytes(500))
        with pytest.raises(codec.CaeError, match=r"photo\.cae: the file has been written to since it was opened"):
            picture.read()
