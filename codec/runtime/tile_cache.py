"""Decoded tiles that stay in memory for the next region."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Protocol, TypeVar


class Sized(Protocol):
    """A tensor or an array."""

    @property
    def nbytes(self) -> int: ...


Part = TypeVar("Part", bound=Sized)


class TileCache:
    """The parts of tiles that were used last, of up to `limit` bytes together. Nobody may change them.

    Threads that ask for the same part at once wait for one of them to make it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[Hashable, Future] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Part]) -> Part:
        """What is held under a key, or what `make` makes; an error of its reaches all who wait, and is not kept."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            else:
                mine: Future[Part] = Future()
                self._held[key] = mine
        if found is not None:
            return found.result()
        try:
            part = make()
        except BaseException as error:
            with self._lock:
                self._held.pop(key, None)
            mine.set_exception(error)
            raise
        mine.set_result(part)
        self._keep(key, mine)
        return part

    def clear(self) -> None:
        """Lets go of all."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def _keep(self, key: Hashable, made: Future) -> None:
        with self._lock:
            if self._held.get(key) is not made:
                return
            self._bytes += made.result().nbytes
            for oldest in [key for key, held in self._held.items() if held.done()]:
                if self._bytes <= self._limit:
                    break
                self._bytes -= self._held.pop(oldest).result().nbytes
