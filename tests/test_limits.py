"""The decoder's work is bounded by a file's size and by the limit of pixels: measured, in processes of their own."""

import contextlib

import numpy as np
import pytest

import codec
from codec.entropy.coder import VALUE_LIMIT
from codec.format import container
from codec.format.geometry import Rect
from codec.format.header import Header, Kind
from codec.format.payload import Payload

from .forging import cost, smallest_file, transform_payload


def test_large_tiles_need_files_of_some_size(tiny, tiny_model):
    """Else 56 bytes would ask for the work of four million pixels."""
    header = Header(2048, 2048, 3, 50, 2048, tiny_model.id)
    with pytest.raises(codec.CaeError, match="tile 0 has 4 bytes"):
        tiny.decode(container.write(header, {}, [Payload(Kind.TRANSFORM, b"word")]), region=(0, 0, 2048, 16))


def test_memory_of_a_narrow_region(default_model, tmp_path):
    """One row of a large tile: the tile is decoded whole, and given up at once but for what the region needs."""
    data = smallest_file(4096, 2048, default_model.id)
    megabytes, _, said = cost(data, "loaded.decode(data, region=(0, 0, 4096, 16))", tmp_path, weights=None)
    assert said == "done"
    assert megabytes < 300


def test_wide_regions_are_charged_for_their_tiles(tiny_model, tmp_path):
    """A narrow region is within the limit; the tiles that it needs, each far higher, are not."""
    data = smallest_file(2**19, 2048, tiny_model.id)
    megabytes, seconds, said = cost(data, "loaded.decode(data, region=(0, 0, 2**19, 16))", tmp_path)
    assert "are more than the limit of 268435456, and this region needs that much" in said
    assert megabytes < 16 and seconds < 2


def test_claimed_sizes_allocate_nothing(tiny_model, tmp_path):
    data = smallest_file(60_000, 60_000, tiny_model.id)
    megabytes, _, said = cost(data, "loaded.decode(data)", tmp_path)
    assert "60000 x 60000 pixels are more than the limit" in said
    assert megabytes < 16


def test_memory_does_not_grow_with_the_height(tiny_model, tmp_path):
    """Bands come one by one, and nothing of those that have passed is kept."""
    call = (
        "from codec import options; from codec.coding import decoder, jobs, settings; from codec.format import container; "
        "from codec.networks import model; file = container.read(data); loaded = model.load(model.Files(Path(sys.argv[2]))); "
        "job = jobs.DecodeJob(loaded, settings.Settings(1, window=256), file.header); "
        "[None for _ in decoder.decode_bands(data, file, job)]"
    )
    low, high = (cost(smallest_file(512, height, tiny_model.id, tile=512), call, tmp_path)[0] for height in (2048, 32768))
    assert high < low + 8


def file_of(payload: bytes, quality: int, model_id: bytes) -> bytes:
    """A file of one tile of 90 x 70 pixels."""
    header = Header(90, 70, 3, quality, 128, model_id)
    return container.write(header, {}, [Payload(Kind.TRANSFORM, payload.ljust(8, b"\0"))])


def test_random_words_are_refused_or_decode(tiny, tiny_model):
    rng = np.random.default_rng(5)
    for _ in range(40):
        payload = rng.integers(0, 2**32, rng.integers(2, 40), np.uint32).astype("<u4").tobytes()
        with contextlib.suppress(codec.CaeError):
            assert tiny.decode(file_of(payload, int(rng.integers(1, 101)), tiny_model.id)).shape == (70, 90, 3)


@pytest.mark.parametrize("largest", [1, 50, 2**15, VALUE_LIMIT])
def test_symbols_that_no_encoder_chooses_decode(tiny, tiny_model, largest):
    """Sound payloads of any symbols, however far from what photographs have."""
    rng = np.random.default_rng(largest)
    for quality in (1, 50, 100):

        def symbols(*shape: int) -> np.ndarray:
            return rng.integers(-largest, largest + 1, shape, np.int32)

        payload = transform_payload(symbols, Rect(0, 0, 70, 90), quality, tiny_model)
        assert tiny.decode(file_of(payload, quality, tiny_model.id)).shape == (70, 90, 3)


def test_pictures_to_encode(tiny):
    """Nothing is allocated for an array that pretends to be large."""
    large = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (60_000, 60_000, 3))
    with pytest.raises(codec.CaeError, match=r"60000 x 60000 pixels are more than the limit .* `create`"):
        tiny.encode(large)
    with pytest.raises(codec.CaeError, match="20 x 30 pixels are more than the limit of 599"):
        codec.encode(np.zeros((30, 20), np.uint8), pixels_max=599)
    assert codec.encode(np.zeros((30, 20), np.uint8), lossless=True, pixels_max=600)
