"""Bands that are read while others are worked on."""

import threading
import time

import numpy as np
import pytest

from codec import CaeError
from codec.images.streams.bands import read_ahead


def counted(number, made):
    for value in range(number):
        made.append(value)
        yield np.full((4, 8, 3), value, np.uint8)


@pytest.mark.parametrize("number", [0, 1, 7, 100])
def test_all_bands_come_in_order(number):
    assert [int(band[0, 0, 0]) for band in read_ahead(counted(number, []))] == list(range(number))


def test_no_more_is_read_than_the_limit():
    made = []
    bands = read_ahead(counted(100, made), ahead_bytes=5 * 4 * 8 * 3)
    next(bands)
    next(bands)
    deadline = time.monotonic() + 10
    while len(made) < 7 and time.monotonic() < deadline:
        time.sleep(0.01)
    bands.close()
    assert len(made) == 7  # two that were taken, and five


def test_it_reads_while_the_consumer_works():
    arrived = threading.Event()

    def bands():
        yield np.zeros((4, 8, 3), np.uint8)
        arrived.set()
        yield np.zeros((4, 8, 3), np.uint8)

    for _ in read_ahead(bands()):
        assert arrived.wait(10)


def test_errors_come_after_the_bands_before_them():
    def bands():
        yield from counted(2, [])
        raise CaeError("damaged")

    received = []
    with pytest.raises(CaeError, match="damaged"):
        received.extend(read_ahead(bands()))
    ahead = read_ahead(bands())
    assert len([next(ahead), next(ahead)]) == 2
    with pytest.raises(CaeError, match="damaged"):
        next(ahead)


def test_abandoned_it_stops():
    before = threading.active_count()
    bands = read_ahead(counted(10**9, []))
    next(bands)
    bands.close()
    assert threading.active_count() == before
