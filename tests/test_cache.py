"""The cache of decoded tiles: what it keeps, what it lets go of, and threads that meet in it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import codec
from codec.entropy.coder import VALUE_LIMIT
from codec.format import container
from codec.format.geometry import Rect
from codec.format.header import Header, Kind
from codec.format.payload import Payload
from codec.runtime.tile_cache import TileCache

from .forging import Counting, transform_payload


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
        assert [future.result()[0] for future in waiting] == [5] * 9
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


def is_cached(codec, data, cache):
    """True if a second look at a picture reads nothing more of its file; both show the same."""
    file = Counting(data)
    with codec.open(file, cache=cache) as picture:
        first, before = picture.read(), file.fetched
        assert np.array_equal(picture.read(), first)
        return file.fetched == before


@pytest.mark.parametrize(("largest", "sample_bytes"), [(50, 2), (VALUE_LIMIT, 4)])
def test_latents_are_kept_in_16_bits_where_these_hold_them(tiny, tiny_model, largest, sample_bytes):
    def symbols(*shape):
        return np.random.default_rng(1).integers(-largest, largest + 1, shape, np.int32)

    payload = Payload(Kind.TRANSFORM, transform_payload(symbols, Rect(0, 0, 128, 128), 50, tiny_model))
    data = container.write(Header(128, 128, 3, 50, 128, tiny_model.id), {}, [payload])
    size = 8 * 8 * tiny_model.config.latent_channels * sample_bytes
    assert is_cached(tiny, data, size) and not is_cached(tiny, data, size - 1)


@pytest.mark.parametrize("cache", [1.5, "1", None, True])
def test_bad_limits(tiny, chelsea, cache):
    with pytest.raises(codec.CaeError, match="cache"):
        tiny.open(tiny.encode(chelsea[:20, :20]), cache=cache)
