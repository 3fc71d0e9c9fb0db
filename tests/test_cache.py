"""The cache of decoded tiles: what it keeps, what it lets go of, and threads that meet in it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import codec
from codec.coding import tile_window
from codec.runtime.tile_cache import TileCache

from .forging import Counting


def part(value):
    return np.full(100, value, np.uint8)


def test_the_parts_used_last_stay():
    cache, made = TileCache(250), []

    def get(key):
        assert cache.get(key, lambda: (made.append(key), part(key))[1])[0] == key

    for key in (1, 2, 1, 3, 1, 2):
        get(key)
    assert made == [1, 2, 3, 2]
    cache.clear()
    get(1)
    assert made == [1, 2, 3, 2, 1]


@pytest.mark.parametrize("limit", [0, 99])
def test_what_is_larger_than_the_limit_is_not_kept(limit):
    cache = TileCache(limit)
    assert [cache.get("a", lambda value=value: part(value))[0] for value in (1, 2)] == [1, 2]


def test_threads_that_meet_make_a_part_once():
    cache, made, begun, others = TileCache(1000), [], threading.Event(), threading.Event()

    def make():
        made.append(1)
        begun.set()
        others.wait(10)
        return part(5)

    with ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(cache.get, "a", make)]
        begun.wait(10)
        waiting += [pool.submit(cache.get, "a", make) for _ in range(8)]
        others.set()
        assert [found.result()[0] for found in waiting] == [5] * 9
    assert made == [1]


def test_an_error_is_not_kept():
    cache = TileCache(1000)

    def fail():
        raise codec.CaeError("damaged")

    for _ in range(2):
        with pytest.raises(codec.CaeError, match="damaged"):
            cache.get("a", fail)
    assert cache.get("a", lambda: part(1))[0] == 1


@pytest.mark.parametrize(("cache", "again"), [(codec.options.DEFAULT_CACHE, 0), (0, 1)])
@pytest.mark.parametrize("channels", [3, 4])
def test_tiles_are_read_once(tiny, chelsea, cache, again, channels):
    file = Counting(tiny.encode(np.dstack([chelsea, chelsea[..., 0]])[..., :channels], 60, tile=128))
    with tiny.open(file, cache=cache) as picture:
        first = picture.read((100, 100, 80, 80))
        before = file.fetched
        assert np.array_equal(picture.read((100, 100, 80, 80)), first)
        assert (file.fetched > before) == bool(again)
    with pytest.raises(codec.CaeError, match="closed"):
        picture.read((100, 100, 80, 80))


def test_a_latent_beyond_16_bits(tiny, chelsea, monkeypatch):
    """What is kept takes 16 bits where these hold it, and comes back the same where they do not."""
    data = tiny.encode(chelsea, 60, tile=128)
    decode_tile, kept = tile_window.decode_tile, []

    def large(*arguments, **named):
        latent = decode_tile(*arguments, **named)
        latent = latent.clone()
        latent[0, 0, 0] = 2**20
        return latent

    def noting(self, key, make):
        kept.append(make())
        return kept[-1]

    monkeypatch.setattr(TileCache, "get", noting)
    with tiny.open(data) as picture:
        picture.read()
        assert all(part.dtype == torch.int16 for part in kept)
    kept.clear()
    monkeypatch.setattr(tile_window, "decode_tile", large)
    with tiny.open(data) as picture:
        picture.read()
    assert all(part.dtype == torch.int32 and part[0, 0, 0] == 2**20 for part in kept)


@pytest.mark.parametrize("cache", [1.5, "1", None, True])
def test_bad_limits(tiny, chelsea, cache):
    with pytest.raises(codec.CaeError, match="cache"):
        tiny.open(tiny.encode(chelsea[:20, :20]), cache=cache)
